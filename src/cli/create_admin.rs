//! `coffeeshop create-admin`.

use std::process::ExitCode;

use anyhow::Result;

use super::{open, output, prompt, users};
use crate::{
    accounts::{Accounts, Admin, Error, SignupDraft},
    config::Config,
    model::{Client, Email, Status},
    store::Missing,
};

/// Make a verified admin, such as the first one.
///
/// Asks for the password twice, or reads it from standard input with --password-stdin; no flag takes one. Prints the new
/// user.
#[derive(clap::Args)]
pub struct Args {
    /// The admin's address.
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
    let accounts = open(config, Missing::Create).await?;
    let password = prompt::new_password(args.password_stdin)?;
    let email = args.email.clone();
    let draft =
        SignupDraft { email: args.email, password, first_name: args.first_name, last_name: args.last_name };
    let new = accounts.check_signup(draft, &Client::default()).await?;
    let user = accounts.create_admin(&Admin::at_console(), new).await;
    let user = match user {
        Err(taken @ Error::EmailTaken) => {
            return Err(output::Hinted::new(taken, hint(&accounts, email).await).into());
        }
        user => user?,
    };
    users::print(&user, args.json)?;
    accounts.close().await;
    Ok(ExitCode::SUCCESS)
}

/// What to do about an address that is taken. Whoever signed up with it and never verified may be anybody: their password
/// must not become an admin's.
async fn hint(accounts: &Accounts, email: String) -> String {
    let owner = match Email::parse("email", &email) {
        Ok(email) => accounts.user_by_email(&Admin::at_console(), email).await.ok(),
        Err(_) => None,
    };
    match owner.map(|owner| owner.status()) {
        Some(Status::Unverified) => {
            format!("nobody has confirmed that address: coffeeshop users delete {email}, then do this again")
        }
        _ => format!("make that user an admin: coffeeshop users set-role {email} admin"),
    }
}
