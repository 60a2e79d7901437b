//! `coffeeshop users sessions` and `coffeeshop users end-sessions`.

use anyhow::Result;
use serde_json::json;

use crate::{
    accounts::{Accounts, Admin},
    api,
    cli::{args::UserArgs, output, user},
    domain::Session,
};

pub async fn list(accounts: &Accounts, by: &Admin, args: UserArgs) -> Result<()> {
    let user = user::find(accounts, by, &args.user).await?;
    let sessions = accounts.sessions_of(by, user.id).await?;
    if args.json {
        let items: Vec<_> = sessions.into_iter().map(api::session_json).collect();
        return Ok(output::data(json!({ "items": items }))?);
    }
    output::table(["ID", "LOGIN", "LAST USED", "EXPIRES", "ADDRESS", "PROGRAM"], sessions.iter().map(row))?;
    Ok(())
}

pub async fn end(accounts: &Accounts, by: &Admin, args: UserArgs) -> Result<()> {
    let user = user::find(accounts, by, &args.user).await?;
    accounts.end_sessions_of(by, user.id).await?;
    if args.json {
        user::print(&user, true)?;
    }
    output::message(format_args!("{} is logged out everywhere", user.profile.email.as_str()));
    Ok(())
}

fn row(session: &Session) -> [String; 6] {
    [
        session.id.as_uuid().to_string(),
        session.created_at.to_string(),
        session.last_used_at.to_string(),
        session.expires_at.to_string(),
        session.client.ip.map_or_else(|| "-".to_owned(), |ip| ip.to_string()),
        session.client.user_agent.clone().unwrap_or_else(|| "-".to_owned()),
    ]
}
