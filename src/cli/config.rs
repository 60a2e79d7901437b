//! `coffeeshop config`.

use std::{path, process::ExitCode};

use anyhow::Result;

use super::output;
use crate::config::Config;

/// Print the current settings, with secrets hidden.
#[derive(clap::Args)]
pub struct Args {
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args, config: &Config) -> Result<ExitCode> {
    output::data(
        if args.json { serde_json::to_string_pretty(config)? } else { config.to_toml() }.trim_end(),
    )?;
    match &config.file {
        Some(file) => output::message(format_args!(
            "read from {}, overridden by the environment",
            path::absolute(file)?.display()
        )),
        None => output::message(
            "no config.toml in the working directory: defaults, overridden by the environment",
        ),
    }
    if config.database.url.is_some() {
        output::message(format_args!(
            "database.url is set, so the database is {} on PostgreSQL, and database.folder and database.path are ignored",
            config.database
        ));
    } else if config.database.has_path() {
        output::message(format_args!(
            "database.path is set, so the database is {}, and database.folder is ignored",
            config.database
        ));
    }
    Ok(ExitCode::SUCCESS)
}
