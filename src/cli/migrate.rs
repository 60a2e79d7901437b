//! `coffeeshop migrate`.

use std::process::ExitCode;

use anyhow::Result;

use super::{open, output};
use crate::{
    accounts::StartError,
    config::Config,
    store::{Missing, OpenError, Store},
};

/// Bring the store up to date, or make it.
///
/// The server does the same when it starts. A store that a newer coffeeshop made is refused.
#[derive(clap::Args)]
pub struct Args {
    /// Change nothing; exit with 1 if there is something to do.
    #[arg(long)]
    check: bool,
}

pub async fn run(args: &Args, config: &Config) -> Result<ExitCode> {
    if args.check {
        return check(config);
    }
    let before = pending(config)?;
    open(config, Missing::Create).await?.close().await;
    for migration in &before {
        output::data(migration);
    }
    output::words(if before.is_empty() { "nothing to do" } else { "the store is up to date" });
    Ok(ExitCode::SUCCESS)
}

fn check(config: &Config) -> Result<ExitCode> {
    let pending = pending(config)?;
    for migration in &pending {
        output::data(migration);
    }
    if pending.is_empty() {
        output::words("nothing to do");
        return Ok(ExitCode::SUCCESS);
    }
    Err(output::Hinted::new("the store is not up to date", "bring it up to date with coffeeshop migrate")
        .into())
}

fn pending(config: &Config) -> Result<Vec<String>> {
    match Store::pending_migrations(&config.database.path) {
        Ok(pending) => Ok(pending),
        // A store that is not there yet lacks everything.
        Err(OpenError::Missing(_)) => Ok(vec!["a new store".to_owned()]),
        Err(error) => Err(StartError::from(error).into()),
    }
}
