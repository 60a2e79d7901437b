//! `coffeeshop move`.

use std::{ffi::OsStr, path::PathBuf, process::ExitCode, time::Instant};

use anyhow::Result;
use clap::{
    Arg, Command,
    builder::TypedValueParser,
    error::{Error, ErrorKind},
};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use super::output::{self, Hinted};
use crate::{
    app::{self, MoveMode, Moved, TableContent},
    config::{Config, Database, PostgresUrl},
    domain::Clock,
};

/// Move the database from SQLite to PostgreSQL, or back.
///
/// Stop every server and every other command first. Users stay logged in, and the links and codes that were sent stay valid. The
/// old database is kept, and refused from then on. Run the same command again to complete a move that was interrupted.
#[derive(clap::Args)]
pub struct Args {
    /// The new database, which must be empty, or a file that does not exist.
    ///
    /// database.password, database.tls and database.ca are also used for it.
    #[arg(long, value_name = "postgres://USER@HOST/DATABASE|sqlite:PATH", value_parser = TargetParser)]
    to: Target,
    /// Copy and verify, but move nothing. Tables that were created in PostgreSQL stay there, empty.
    #[arg(long)]
    dry_run: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Debug)]
enum Target {
    Sqlite(PathBuf),
    Postgres(Box<PostgresUrl>),
}

pub async fn run(args: Args, config: &Config) -> Result<ExitCode> {
    let to = target(args.to, config)?;
    to.validate()?;
    let mode = if args.dry_run { MoveMode::DryRun } else { MoveMode::Move };
    let start = Instant::now();
    output::message(format_args!("from {} to {to}", config.database));
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {percent}% {eta}") {
        bar.set_style(style);
    }
    let shown = bar.clone();
    let moved = app::move_store(config, &to, mode, Clock::system(), move |progress| {
        shown.set_length(progress.total);
        shown.set_position(progress.done);
    });
    let moved = moved.await;
    bar.finish_and_clear();
    let tables = match &moved? {
        Moved::Copied(tables) => tables.clone(),
        Moved::Completed => Vec::new(),
    };
    if args.json {
        output::data(json!({
            "dry_run": args.dry_run,
            "from": config.database.to_string(),
            "to": to.to_string(),
            "tables": tables.iter().map(in_json).collect::<Vec<_>>(),
            "seconds": start.elapsed().as_secs_f64(),
        }))?;
    } else if !tables.is_empty() {
        output::table(["TABLE", "ROWS", "HASH"], tables.iter().map(row))?;
    }
    if args.dry_run {
        output::message("nothing was moved");
    } else {
        explain(config, &to);
    }
    Ok(ExitCode::SUCCESS)
}

/// The settings of the target.
fn target(target: Target, config: &Config) -> Result<Database> {
    let same = |engine, hint| Err(Hinted::new(format_args!("both databases are {engine}"), hint).into());
    match (target, &config.database.url) {
        (Target::Postgres(_), Some(_)) => same(
            "PostgreSQL",
            "use pg_dump and psql, or the provider's way, and keep the installation secret",
        ),
        (Target::Sqlite(_), None) => {
            same("SQLite", "stop the server and move the data folder: its files belong together")
        }
        (Target::Postgres(url), None) => Ok(Database { url: Some(*url), ..config.database.clone() }),
        (Target::Sqlite(path), Some(_)) => Ok(Database::at(path).absolute()?),
    }
}

/// Says what the operator has to do next.
fn explain(config: &Config, to: &Database) {
    output::message(format_args!("moved; {} is kept, and is not used any more", config.database));
    output::message(match &to.url {
        None => "next: set database.path to the new file, and unset database.url",
        Some(_) if config.auth.secret.reveal().is_some() => "next: set database.url to the new database",
        Some(_) => {
            "next: set database.url to the new database, and COFFEESHOP_AUTH__SECRET_FILE to the old coffeeshop.secret"
        }
    });
}

fn row(content: &TableContent) -> [String; 3] {
    let hash = content.hex_hash();
    [content.table.to_owned(), content.rows.to_string(), hash[..16].to_owned()]
}

fn in_json(content: &TableContent) -> Value {
    json!({ "table": content.table, "rows": content.rows, "hash": content.hex_hash() })
}

/// Quotes no value, which may have a password.
#[derive(Clone)]
struct TargetParser;

impl TypedValueParser for TargetParser {
    type Value = Target;

    fn parse_ref(&self, command: &Command, _: Option<&Arg>, value: &OsStr) -> Result<Target, Error> {
        parse(value).map_err(|why| {
            Error::raw(ErrorKind::ValueValidation, format_args!("--to {why}\n")).with_cmd(command)
        })
    }
}

fn parse(value: &OsStr) -> Result<Target, String> {
    let text = value.to_str().ok_or("must be a text in UTF-8")?;
    if let Some(path) = text.strip_prefix("sqlite:").filter(|path| !path.is_empty()) {
        return Ok(Target::Sqlite(path.into()));
    }
    if !text.starts_with("postgres") {
        return Err("must be postgres://USER@HOST/DATABASE or sqlite:PATH".to_owned());
    }
    let url: PostgresUrl = text.parse().map_err(|why| format!("{why}"))?;
    if url.password().reveal().is_some() {
        return Err("must not have a password, which other users of this machine could read: set \
                    COFFEESHOP_DATABASE__PASSWORD_FILE"
            .to_owned());
    }
    Ok(Target::Postgres(Box::new(url)))
}
