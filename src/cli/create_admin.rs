//! `coffeeshop create-admin`.

use std::process::ExitCode;

use anyhow::Result;

use super::{open, output, prompt, users};
use crate::{
    accounts::{Admin, Error, SignupDraft},
    config::Config,
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
    let user = accounts.create_admin(&Admin::at_console(), accounts.check_signup(&draft)?).await;
    let user = user.map_err(|error| match error {
        Error::EmailTaken => {
            let hint = format!("make that user an admin: coffeeshop users set-role {email} admin");
            output::Hinted::new(error, hint).into()
        }
        error => anyhow::Error::from(error),
    })?;
    users::print(&user, args.json)?;
    accounts.close().await;
    Ok(ExitCode::SUCCESS)
}
