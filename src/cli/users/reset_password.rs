//! `coffeeshop users reset-password`.

use anyhow::Result;
use serde_json::json;

use crate::{
    app::App,
    cli::{args::UserArgs, output, user},
    core::Admin,
};

pub async fn run(app: &App, by: &Admin, args: UserArgs) -> Result<()> {
    let user = user::find(&app.users, by, &args.user).await?;
    let reset = app.passwords.create_reset_link(by, user.id).await?;
    if args.json {
        output::data(json!({ "link": reset.link, "expires_at": reset.expires_at.to_string() }))?;
    } else {
        output::data(&reset.link)?;
        output::message(format_args!(
            "works once, until {}; give it only to {}",
            reset.expires_at,
            user.profile.email.as_str()
        ));
    }
    Ok(())
}
