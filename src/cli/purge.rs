//! `coffeeshop purge`.

use std::{process::ExitCode, thread, time::Duration};

use anyhow::{Error, Result};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use super::{open, output};
use crate::{
    api,
    config::{Config, Period},
    core::cli,
    operations::{Purge, PurgePlan, PurgeScope, Purged},
};

/// Between two batches.
const PAUSE: Duration = Duration::from_millis(5);

/// Delete expired unverified users, and expired sessions, codes, messages and audit events.
///
/// The server does the same on schedule. Verified users are never deleted.
#[derive(clap::Args)]
pub struct Args {
    /// Delete users who have been unverified for at least this long, such as 2d, instead of those that have expired.
    #[arg(long, value_name = "PERIOD")]
    older_than: Option<Period>,
    /// Delete nothing; list the users who would be deleted.
    #[arg(long)]
    dry_run: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub async fn run(args: &Args, config: &Config) -> Result<ExitCode> {
    let app = if args.dry_run { open::to_read(config).await? } else { open::to_write(config).await? };
    let which = args.older_than.map_or(PurgeScope::Expired, |age| PurgeScope::OlderThan(age.get()));
    let plan = app.purge.plan(which, cli());
    if args.dry_run {
        list(&app.purge, &plan, args.json).await?;
    } else {
        let purged = run_with_progress(&app.purge, &plan).await?;
        print("deleted", purged, args.json)?;
    }
    app.close().await;
    Ok(ExitCode::SUCCESS)
}

/// Deletes, and shows a progress bar on a terminal.
async fn run_with_progress(purge: &Purge, plan: &PurgePlan) -> Result<Purged> {
    let due = purge.count_due(plan).await?;
    let bar = ProgressBar::new(due.total());
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} {eta}") {
        bar.set_style(style);
    }
    let progress = |purged: Purged| {
        if purged.total() > bar.position() {
            // A running server polls for the database's write lock, and must get it between two batches.
            thread::sleep(PAUSE);
        }
        bar.set_position(purged.total());
    };
    let purged = purge.run(plan, progress).await;
    bar.finish_and_clear();
    purged.map_err(|cut| {
        let so_far = format!("{cut} after it had deleted {}", in_words(cut.purged));
        Error::from(cut.why).context(so_far)
    })
}

/// Lists the users who would be deleted, page by page: there may be many.
async fn list(purge: &Purge, plan: &PurgePlan, as_json: bool) -> Result<()> {
    let mut users = Vec::new();
    let mut after = None;
    loop {
        let page = purge.due_users(plan, after).await?;
        for user in page.items {
            if as_json {
                users.push(api::user_json(&user));
            } else {
                output::data(format_args!(
                    "{}  {}  {}",
                    user.id,
                    user.created_at,
                    user.profile.email.as_str()
                ))?;
            }
        }
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let due = purge.count_due(plan).await?;
    if as_json {
        output::data(json!({ "dry_run": true, "would_delete": counts(due), "users": users }))?;
    } else {
        print("would delete", due, false)?;
    }
    Ok(())
}

fn print(verb: &str, purged: Purged, as_json: bool) -> Result<()> {
    if as_json {
        return Ok(output::data(counts(purged))?);
    }
    output::data(format_args!("{verb} {}", in_words(purged)))?;
    Ok(())
}

fn in_words(purged: Purged) -> String {
    let Purged { users, sessions, codes, counts, messages, events } = purged;
    let all = [
        (users, "user"),
        (sessions, "session"),
        (codes, "code"),
        (counts, "count"),
        (messages, "message"),
        (events, "event"),
    ];
    let all = all.map(|(number, noun)| format!("{number} {noun}{}", if number == 1 { "" } else { "s" }));
    all.join(", ")
}

fn counts(purged: Purged) -> Value {
    let Purged { users, sessions, codes, counts, messages, events } = purged;
    json!({ "users": users, "sessions": sessions, "codes": codes, "counts": counts, "messages": messages, "events": events })
}
