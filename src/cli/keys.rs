//! `coffeeshop keys …`.

use std::process::ExitCode;

use anyhow::{Result, bail};
use serde_json::{Value, json};

use super::{open, output, prompt};
use crate::{
    auth::{KeyInfo, Rotation},
    config::Config,
    core::Admin,
};

/// List and rotate the keys that sign tokens.
#[derive(clap::Subcommand)]
pub enum Command {
    List(List),
    Rotate(Rotate),
}

/// List the signing key, and older keys that still verify tokens.
#[derive(clap::Args)]
pub struct List {
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Create a new signing key.
///
/// Tokens signed by older keys stay valid until they expire. A running server uses the new key within seconds.
#[derive(clap::Args)]
pub struct Rotate {
    /// The key may be compromised: delete it and revoke all sessions.
    #[arg(long)]
    emergency: bool,
    /// Do not ask for confirmation.
    #[arg(long)]
    yes: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub async fn run(command: Command, config: &Config) -> Result<ExitCode> {
    let app = match command {
        Command::List(_) => open::to_read(config).await?,
        Command::Rotate(_) => open::to_write(config).await?,
    };
    let by = Admin::from_cli();
    match command {
        Command::List(args) => {
            let keys = app.signing_keys.list(&by).await?;
            if args.json {
                let items: Vec<_> = keys.iter().map(in_json).collect();
                output::data(json!({ "items": items }))?;
            } else {
                output::table(["KID", "CREATED", "RETIRED"], keys.iter().map(row))?;
            }
        }
        Command::Rotate(args) => {
            let rotation = if args.emergency { Rotation::Emergency } else { Rotation::Gentle };
            let question = "Delete the old keys and log out all users?";
            if rotation == Rotation::Emergency && !args.yes && !prompt::confirm(question)? {
                bail!("nothing was changed");
            }
            let key = app.signing_keys.rotate(&by, rotation).await?;
            output::data(if args.json { in_json(&key).to_string() } else { key.kid })?;
        }
    }
    app.close().await;
    Ok(ExitCode::SUCCESS)
}

fn row(key: &KeyInfo) -> [String; 3] {
    let retired = key.retired_at.map_or_else(|| "in use".to_owned(), |at| at.to_string());
    [key.kid.clone(), key.created_at.to_string(), retired]
}

fn in_json(key: &KeyInfo) -> Value {
    json!({
        "kid": key.kid,
        "created_at": key.created_at.to_string(),
        "retired_at": key.retired_at.map(|at| at.to_string()),
    })
}
