//! `coffeeshop users …`.

mod change;
mod delete;
mod invite;
mod list;
mod reset_password;
mod sessions;
mod set_role;

use std::process::ExitCode;

use anyhow::Result;

use super::{args::UserArgs, open, output, user};
use crate::{config::Config, core::Admin};

/// List, invite, change and delete users.
///
/// The same rules hold as in the API.
#[derive(clap::Subcommand)]
pub enum Command {
    List(list::Args),
    /// Show a user.
    Show(UserArgs),
    SetRole(set_role::Args),
    /// Disable a user: log them out everywhere, and refuse new logins.
    Disable(UserArgs),
    /// Let a disabled user log in again.
    Enable(UserArgs),
    /// Mark a user's e-mail address as verified.
    Verify(UserArgs),
    Delete(delete::Args),
    /// Print a link on which a user chooses a new password. It works once.
    ResetPassword(UserArgs),
    Invite(invite::Args),
    /// List a user's sessions: where they are logged in.
    Sessions(UserArgs),
    /// Log a user out everywhere.
    EndSessions(UserArgs),
}

pub async fn run(command: Command, config: &Config) -> Result<ExitCode> {
    let app = match command {
        Command::List(_) | Command::Show(_) | Command::Sessions(_) => open::to_read(config).await?,
        _ => open::to_write(config).await?,
    };
    let by = Admin::from_cli();
    match command {
        Command::List(args) => list::run(&app.users, &by, args).await?,
        Command::Show(args) => user::print(&user::find(&app.users, &by, &args.user).await?, args.json)?,
        Command::SetRole(args) => set_role::run(&app.users, &by, args).await?,
        Command::Disable(args) => change::disable(&app.users, &by, args).await?,
        Command::Enable(args) => change::enable(&app.users, &by, args).await?,
        Command::Verify(args) => change::verify(&app.users, &by, args).await?,
        Command::Delete(args) => delete::run(&app.users, &by, args).await?,
        Command::ResetPassword(args) => {
            reset_password::run(&app, &by, args).await?;
            warn_of_local_links(config);
        }
        Command::Invite(args) => {
            invite::run(&app.invitations, &by, args).await?;
            warn_of_local_links(config);
        }
        Command::Sessions(args) => sessions::list(&app, &by, args).await?,
        Command::EndSessions(args) => sessions::end(&app, &by, args).await?,
    }
    app.close().await;
    Ok(ExitCode::SUCCESS)
}

/// Warns if links are made with the default public URL, which suggests that this is not run with the server's settings.
fn warn_of_local_links(config: &Config) {
    if config.has_local_links() {
        output::warning(format_args!(
            "the link starts with {}, which only opens on this machine: run this with the server's settings, or set \
             COFFEESHOP_SERVER__PUBLIC_URL",
            config.reset_url()
        ));
    }
}
