//! `coffeeshop audit`.

use std::process::ExitCode;

use anyhow::{Result, bail};
use serde_json::json;

use super::{open, output, users};
use crate::{
    accounts::{Accounts, Admin},
    api,
    config::Config,
    model::{Action, AuditCursor, AuditEvent, AuditQuery, Limit, UserId, Word},
    store::Missing,
};

/// See what was done to accounts, by whom and from where: newest first, a page at a time.
#[derive(clap::Args)]
pub struct Args {
    /// Only what was done to this user: an id, which may be of an account that is gone, or an address.
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// Only what this user did: an id or an address.
    #[arg(long, value_name = "USER")]
    actor: Option<String>,
    /// Only this.
    #[arg(long, value_parser = users::words::<Action>())]
    action: Option<Action>,
    /// How many at most, 1 to 200.
    #[arg(long, default_value_t = 50)]
    limit: i64,
    /// Go on where the page before ended.
    #[arg(long, value_name = "CURSOR")]
    cursor: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub async fn run(args: Args, config: &Config) -> Result<ExitCode> {
    let accounts = open(config, Missing::Refuse).await?;
    let by = Admin::at_console();
    let cursor = args.cursor.map(|text| match AuditCursor::decode(&text) {
        Some(cursor) => Ok(cursor),
        None => bail!("the cursor is not one of this list"),
    });
    let query = AuditQuery {
        user_id: id(&accounts, &by, args.user).await?,
        actor_id: id(&accounts, &by, args.actor).await?,
        action: args.action,
        cursor: cursor.transpose()?,
        limit: Limit::new(args.limit).map_err(|error| anyhow::anyhow!(error.message))?,
    };
    let page = accounts.audit(&by, query).await?;
    let next = page.next.map(AuditCursor::encode);
    if args.json {
        let items: Vec<_> = page.items.into_iter().map(api::audit_json).collect();
        output::data(json!({ "items": items, "next_cursor": next }))?;
    } else {
        let mut table = output::table(["AT", "ACTION", "WHO", "WHOM", "FROM", "WHAT"]);
        table.add_rows(page.items.iter().map(row));
        output::data(table)?;
        if let Some(next) = next {
            output::words(format_args!("more with --cursor {next}"));
        }
    }
    accounts.close().await;
    Ok(ExitCode::SUCCESS)
}

/// Whose events; an id need not be of anybody who is still there.
async fn id(accounts: &Accounts, by: &Admin, user: Option<String>) -> Result<Option<UserId>> {
    let Some(user) = user else { return Ok(None) };
    match uuid::Uuid::try_parse(user.trim()) {
        Ok(id) => Ok(Some(UserId::from_uuid(id))),
        Err(_) => Ok(Some(users::find(accounts, by, &user).await?.id)),
    }
}

fn row(event: &AuditEvent) -> [String; 6] {
    let origin = &event.origin;
    let from = match (origin.client.ip, origin.uid) {
        (Some(ip), _) => format!("{} {ip}", origin.door.word()),
        (None, Some(uid)) => format!("{} uid {uid}", origin.door.word()),
        (None, None) => origin.door.word().to_owned(),
    };
    let changes = event.changes.iter().map(|change| match (&change.from, &change.to) {
        (Some(from), Some(to)) => format!("{}: {from} → {to}", change.field),
        _ => change.field.clone(),
    });
    [
        event.at.to_string(),
        event.action.word().to_owned(),
        event.actor_id.map_or_else(|| "-".to_owned(), |id| id.to_string()),
        event.user_id.to_string(),
        from,
        changes.collect::<Vec<_>>().join(", "),
    ]
}
