//! `coffeeshop users delete`.

use anyhow::{Result, bail};

use crate::{
    accounts::Users,
    cli::{output, prompt, user},
    core::Admin,
};

/// Delete a user and all their data. This cannot be undone.
#[derive(clap::Args)]
pub struct Args {
    /// The user's id or e-mail address.
    user: String,
    /// Do not ask for confirmation.
    #[arg(long)]
    yes: bool,
    /// Print the deleted user as JSON.
    #[arg(long)]
    json: bool,
}

pub async fn run(users: &Users, by: &Admin, args: Args) -> Result<()> {
    let user = user::find(users, by, &args.user).await?;
    let question =
        format!("Delete {} and all their data? This cannot be undone.", user.profile.email.as_str());
    if !args.yes && !prompt::confirm(&question)? {
        bail!("nothing was deleted");
    }
    users.delete(by, user.id).await?;
    if args.json {
        user::print(&user, true)?;
    }
    output::message(format_args!("deleted {}", user.profile.email.as_str()));
    Ok(())
}
