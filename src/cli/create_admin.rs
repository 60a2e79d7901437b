//! `coffeeshop create-admin`.

use std::process::ExitCode;

use anyhow::Result;

use super::{open, output, prompt, user};
use crate::{
    accounts::{InvitationDraft, SignupDraft, Users},
    config::Config,
    core::{Admin, Error},
    domain::{Email, Role, Status},
};

/// Create an admin, such as the first one. No confirmation mail is needed.
///
/// Asks for the password twice, or reads it from standard input with --password-stdin; no option takes a password. Creates
/// the database if needed, and prints the new user.
#[derive(clap::Args)]
pub struct Args {
    /// The admin's e-mail address.
    #[arg(long, value_name = "ADDRESS")]
    email: String,
    /// First name.
    #[arg(long, value_name = "NAME")]
    first_name: Option<String>,
    /// Last name.
    #[arg(long, value_name = "NAME")]
    last_name: Option<String>,
    /// Read the password from standard input.
    #[arg(long)]
    password_stdin: bool,
    /// Print the user as JSON.
    #[arg(long)]
    json: bool,
}

pub async fn run(args: Args, config: &Config) -> Result<ExitCode> {
    let Args { email, first_name, last_name, password_stdin, json } = args;
    // A bad address is refused before the password is asked for.
    let admin = InvitationDraft { email, first_name, last_name, role: Role::Admin };
    admin.check()?;
    let app = open::or_make(config).await?;
    refuse_taken(&app.users, &admin.email).await?;
    let password = prompt::new_password(password_stdin)?;
    let InvitationDraft { email, first_name, last_name, .. } = admin;
    let draft = SignupDraft { email: email.clone(), password, first_name, last_name, malformed: Vec::new() };
    let created = match app.registration.create_admin(&Admin::from_cli(), draft).await {
        Err(Error::EmailTaken) => {
            return refuse_taken(&app.users, &email).await.and(Err(Error::EmailTaken.into()));
        }
        created => created?,
    };
    user::print(&created, json)?;
    app.close().await;
    Ok(ExitCode::SUCCESS)
}

/// Refuses an address that is taken, with a hint. An account that was never verified may have been created by a stranger,
/// whose password must not become an admin's.
async fn refuse_taken(users: &Users, email: &str) -> Result<()> {
    let Ok(parsed) = Email::parse("email", email) else { return Ok(()) };
    let hint = match users.get_by_email(&Admin::from_cli(), parsed).await.map(|owner| owner.status()) {
        Err(Error::NotFound) => return Ok(()),
        Err(error) => return Err(error.into()),
        Ok(Status::Unverified) => {
            format!(
                "that account was never verified and may belong to a stranger: coffeeshop users delete {email}, then run this again"
            )
        }
        Ok(Status::Verified) => format!("make that user an admin: coffeeshop users set-role {email} admin"),
    };
    Err(output::Hinted::new(Error::EmailTaken, hint).into())
}
