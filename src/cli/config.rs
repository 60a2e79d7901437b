//! `coffeeshop config`.

use std::process::ExitCode;

use anyhow::Result;

use super::output;
use crate::config::Config;

/// Print the settings in force, with secrets hidden.
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
    Ok(ExitCode::SUCCESS)
}
