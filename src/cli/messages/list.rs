//! `coffeeshop messages list`.

use anyhow::Result;
use serde_json::{Value, json};

use crate::{
    cli::{args, open, output},
    config::Config,
    core::Admin,
    domain::{MessageState, OutboxEntry},
    messaging::Outbox,
};

/// List messages that wait to be sent (waiting), and those that were given up (dead).
#[derive(clap::Args)]
pub struct Args {
    /// Only messages in this state.
    #[arg(long, value_parser = args::choice::<MessageState>())]
    state: Option<MessageState>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub async fn run(args: Args, config: &Config) -> Result<()> {
    let app = open::to_read(config).await?;
    let messages = all(&app.outbox, args.state).await?;
    if args.json {
        let items: Vec<_> = messages.iter().map(in_json).collect();
        output::data(json!({ "items": items }))?;
    } else {
        output::table(
            ["ID", "TO", "ABOUT", "STATE", "ATTEMPTS", "NEXT TRY", "LAST ERROR"],
            messages.iter().map(row),
        )?;
    }
    app.close().await;
    Ok(())
}

async fn all(outbox: &Outbox, state: Option<MessageState>) -> Result<Vec<OutboxEntry>> {
    let mut messages = Vec::new();
    let mut after = None;
    loop {
        let page = outbox.list(&Admin::from_cli(), after).await?;
        let found = page.items.into_iter();
        messages.extend(found.filter(|message| state.is_none_or(|state| state == message.state)));
        after = page.next;
        if after.is_none() {
            return Ok(messages);
        }
    }
}

fn row(message: &OutboxEntry) -> [String; 7] {
    let waits = message.state == MessageState::Waiting;
    [
        message.id.0.to_string(),
        message.to.clone(),
        message.about().to_owned(),
        message.state.into_str().to_owned(),
        message.attempts.to_string(),
        if waits { message.due_at.to_string() } else { "-".to_owned() },
        message.last_error.clone().unwrap_or_else(|| "-".to_owned()),
    ]
}

fn in_json(message: &OutboxEntry) -> Value {
    json!({
        "id": message.id.0,
        "to": message.to,
        "about": message.about(),
        "state": message.state.into_str(),
        "attempts": message.attempts,
        "created_at": message.created_at.to_string(),
        "due_at": message.due_at.to_string(),
        "expires_at": message.expires_at.to_string(),
        "last_error": message.last_error,
    })
}
