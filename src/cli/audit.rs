//! `coffeeshop audit`.

use std::{
    collections::{HashMap, HashSet},
    process::ExitCode,
};

use anyhow::Result;
use serde_json::{Value, json};

use super::{args, open, output, user};
use crate::{
    accounts::Users,
    api,
    config::Config,
    core::{Admin, Error},
    domain::{Action, AuditCursor, AuditEvent, AuditQuery, UserId},
};

/// List audit events, newest first: what was done to accounts, by whom and from where.
///
/// Accounts are shown by their e-mail address, deleted ones by their id. --json prints both.
#[derive(clap::Args)]
pub struct Args {
    /// Only events about this user: an e-mail address, or an id, also of a deleted user.
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// Only events caused by this user: an e-mail address, or an id, also of a deleted user.
    #[arg(long, value_name = "USER")]
    actor: Option<String>,
    /// Only events with this action.
    #[arg(long, value_parser = args::choice::<Action>())]
    action: Option<Action>,
    #[command(flatten)]
    page: args::PageArgs,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub async fn run(args: Args, config: &Config) -> Result<ExitCode> {
    let app = open::to_read(config).await?;
    let by = Admin::from_cli();
    let query = AuditQuery {
        user_id: id(&app.users, &by, args.user).await?,
        actor_id: id(&app.users, &by, args.actor).await?,
        action: args.action,
        cursor: args.page.cursor(AuditCursor::decode)?,
        limit: args.page.limit()?,
    };
    let page = app.audit.list(&by, query).await?;
    let next = page.next.map(AuditCursor::encode);
    let emails = emails(&app.users, &by, &page.items).await?;
    if args.json {
        let items: Vec<_> = page.items.into_iter().map(|event| in_json(event, &emails)).collect();
        output::data(json!({ "items": items, "next_cursor": next }))?;
    } else {
        let rows = page.items.iter().map(|event| row(event, &emails));
        output::table(["AT", "ACTION", "ACTOR", "USER", "FROM", "CHANGES"], rows)?;
        if let Some(next) = next {
            output::message(format_args!("next page: --cursor {next}"));
        }
    }
    app.close().await;
    Ok(ExitCode::SUCCESS)
}

/// Finds the id of a user to filter by. An id need not exist: events of deleted users are kept.
async fn id(users: &Users, by: &Admin, id_or_email: Option<String>) -> Result<Option<UserId>> {
    let Some(text) = id_or_email else { return Ok(None) };
    match uuid::Uuid::try_parse(text.trim()) {
        Ok(id) => Ok(Some(UserId::from_uuid(id))),
        Err(_) => Ok(Some(user::find(users, by, &text).await?.id)),
    }
}

/// Looks up the e-mail addresses of actors and users who still exist: the audit itself stores none.
async fn emails(users: &Users, by: &Admin, events: &[AuditEvent]) -> Result<HashMap<UserId, String>> {
    let ids = events.iter().flat_map(|event| event.actor_id.into_iter().chain([event.user_id]));
    let mut emails = HashMap::new();
    for id in ids.collect::<HashSet<_>>() {
        match users.get(by, id).await {
            Ok(user) => drop(emails.insert(id, user.profile.email.as_str().to_owned())),
            Err(Error::NotFound) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(emails)
}

/// An event as the API presents it, with the addresses added.
fn in_json(event: AuditEvent, emails: &HashMap<UserId, String>) -> Value {
    let email = |id: UserId| emails.get(&id).cloned();
    let (actor, user) = (event.actor_id.and_then(email), email(event.user_id));
    let mut json = api::audit_json(event);
    json["actor_email"] = actor.into();
    json["user_email"] = user.into();
    json
}

fn row(event: &AuditEvent, emails: &HashMap<UserId, String>) -> [String; 6] {
    let name = |id: UserId| emails.get(&id).cloned().unwrap_or_else(|| id.to_string());
    let origin = &event.origin;
    let from = match (origin.client.ip, origin.uid) {
        (Some(ip), _) => format!("{} {ip}", origin.channel.into_str()),
        (None, Some(uid)) => format!("{} uid {uid}", origin.channel.into_str()),
        (None, None) => origin.channel.into_str().to_owned(),
    };
    let changes = event.changes.iter().map(|change| match (&change.from, &change.to) {
        (Some(from), Some(to)) => format!("{}: {from} → {to}", change.field),
        _ => change.field.clone(),
    });
    [
        event.at.to_string(),
        event.action.into_str().to_owned(),
        event.actor_id.map_or_else(|| "-".to_owned(), name),
        name(event.user_id),
        from,
        changes.collect::<Vec<_>>().join(", "),
    ]
}
