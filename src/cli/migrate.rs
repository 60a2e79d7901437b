//! `coffeeshop migrate`.

use std::process::ExitCode;

use anyhow::Result;
use serde_json::{Value, json};

use super::{open, output};
use crate::{app, config::Config};

/// Apply pending migrations, creating the database if needed.
///
/// The server does the same when it starts. A database of a newer coffeeshop is refused.
#[derive(clap::Args)]
pub struct Args {
    /// Change nothing; exit with 1 if migrations are pending.
    #[arg(long)]
    check: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub async fn run(args: &Args, config: &Config) -> Result<ExitCode> {
    let pending = app::pending_migrations(config)?;
    if args.check {
        print(&json!({ "pending": pending }), &pending, args.json)?;
        if !pending.is_empty() {
            let hint = "apply pending migrations with coffeeshop migrate";
            return Err(output::Hinted::new("the database is not up to date", hint).into());
        }
    } else {
        open::or_make(config).await?.close().await;
        print(&json!({ "applied": pending }), &pending, args.json)?;
    }
    output::message(if pending.is_empty() { "nothing to do" } else { "the database is up to date" });
    Ok(ExitCode::SUCCESS)
}

fn print(json: &Value, migrations: &[String], as_json: bool) -> Result<()> {
    if as_json {
        return Ok(output::data(json)?);
    }
    migrations.iter().try_for_each(|migration| Ok(output::data(migration)?))
}
