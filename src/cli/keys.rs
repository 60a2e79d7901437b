//! `coffeeshop keys …`.

use std::process::ExitCode;

use anyhow::{Result, bail};
use serde_json::{Value, json};

use super::{open, output, prompt};
use crate::{
    accounts::{Admin, KeyInfo, Rotation},
    config::Config,
    store::Missing,
};

/// See and exchange the keys that sign tokens.
#[derive(clap::Subcommand)]
pub enum Command {
    List(List),
    Rotate(Rotate),
}

/// List the keys: the one that signs, and those that still check what they signed.
#[derive(clap::Args)]
pub struct List {
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Make a new key, which signs from now on.
///
/// What older keys signed stays valid until it expires, and nobody notices anything. A running server follows within
/// seconds.
#[derive(clap::Args)]
pub struct Rotate {
    /// The old key may be in wrong hands: forget it, and end every session of everybody.
    #[arg(long)]
    emergency: bool,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub async fn run(command: Command, config: &Config) -> Result<ExitCode> {
    let accounts = open(config, Missing::Refuse).await?;
    let by = Admin::at_console();
    match command {
        Command::List(args) => {
            let keys = accounts.keys(&by).await?;
            if args.json {
                let items: Vec<_> = keys.iter().map(in_json).collect();
                output::data(json!({ "items": items }))?;
            } else {
                let mut table = output::table(["KID", "CREATED", "RETIRED"]);
                table.add_rows(keys.iter().map(row));
                output::data(table)?;
            }
        }
        Command::Rotate(args) => {
            let rotation = if args.emergency { Rotation::Emergency } else { Rotation::Gentle };
            let question = "End every session of everybody?";
            if rotation == Rotation::Emergency && !args.yes && !prompt::confirm(question)? {
                bail!("nothing was changed");
            }
            let key = accounts.rotate_keys(&by, rotation).await?;
            output::data(if args.json { in_json(&key).to_string() } else { key.kid })?;
        }
    }
    accounts.close().await;
    Ok(ExitCode::SUCCESS)
}

fn row(key: &KeyInfo) -> [String; 3] {
    let retired = key.retired_at.map_or_else(|| "signs".to_owned(), |at| at.to_string());
    [key.kid.clone(), key.created_at.to_string(), retired]
}

fn in_json(key: &KeyInfo) -> Value {
    json!({
        "kid": key.kid,
        "created_at": key.created_at.to_string(),
        "retired_at": key.retired_at.map(|at| at.to_string()),
    })
}
