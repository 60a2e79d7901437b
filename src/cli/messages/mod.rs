//! `coffeeshop messages …`.

mod list;
mod retry;
mod test;

use std::process::ExitCode;

use anyhow::Result;

use crate::config::Config;

/// List and retry messages that were not sent, and test the mail settings.
#[derive(clap::Subcommand)]
pub enum Command {
    List(list::Args),
    Retry(retry::Args),
    Test(test::Args),
}

pub async fn run(command: Command, config: &Config) -> Result<ExitCode> {
    match command {
        Command::List(args) => list::run(args, config).await?,
        Command::Retry(args) => retry::run(args, config).await?,
        Command::Test(args) => test::run(args, config).await?,
    }
    Ok(ExitCode::SUCCESS)
}
