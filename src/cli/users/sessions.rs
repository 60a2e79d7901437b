//! `coffeeshop users sessions` and `coffeeshop users end-sessions`.

use anyhow::Result;
use serde_json::json;

use crate::{
    api,
    app::App,
    cli::{args::UserArgs, output, user},
    core::Admin,
    domain::Session,
};

pub async fn list(app: &App, by: &Admin, args: UserArgs) -> Result<()> {
    let user = user::find(&app.users, by, &args.user).await?;
    let sessions = app.sessions.list_of(by, user.id).await?;
    if args.json {
        let items: Vec<_> = sessions.into_iter().map(api::session_json).collect();
        return Ok(output::data(json!({ "items": items }))?);
    }
    output::table(["ID", "LOGIN", "LAST USED", "EXPIRES", "ADDRESS", "PROGRAM"], sessions.iter().map(row))?;
    Ok(())
}

pub async fn end(app: &App, by: &Admin, args: UserArgs) -> Result<()> {
    let user = user::find(&app.users, by, &args.user).await?;
    app.sessions.revoke_all_of(by, user.id).await?;
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
