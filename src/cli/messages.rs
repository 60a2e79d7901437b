//! `coffeeshop messages …`.

use std::process::ExitCode;

use anyhow::{Error, Result, bail};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{open, output};
use crate::{
    accounts::{Accounts, Admin},
    config::{Config, Transport},
    delivery::Carrier,
    model::{Clock, Email, MessageId, MessageState, Posted, Word},
    store::Missing,
};

/// See the messages that were not sent yet, have them tried again, and try the settings.
#[derive(clap::Subcommand)]
pub enum Command {
    List(List),
    Retry(Retry),
    Test(Test),
}

/// List the messages that wait, and those that were given up.
#[derive(clap::Args)]
pub struct List {
    /// Only messages in this state.
    #[arg(long, value_parser = super::users::words::<MessageState>())]
    state: Option<MessageState>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Have messages tried again at once, those that were given up included.
///
/// A message that nobody would read any more, because its link has expired, stays given up; one that was tried for two days
/// already gets one more try.
#[derive(clap::Args)]
pub struct Retry {
    /// The message's id; without one, all of them.
    #[arg(value_parser = |text: &str| text.trim().parse::<Uuid>())]
    id: Option<Uuid>,
}

/// Send a message that says nothing but that messages arrive; if it does not go, say what is wrong.
#[derive(clap::Args)]
pub struct Test {
    /// The address it goes to.
    #[arg(long, value_name = "ADDRESS")]
    to: String,
}

pub async fn run(command: Command, config: &Config) -> Result<ExitCode> {
    match command {
        Command::List(args) => list(args, config).await?,
        Command::Retry(args) => retry(args, config).await?,
        Command::Test(args) => test(args, config).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(args: List, config: &Config) -> Result<()> {
    let accounts = open(config, Missing::Refuse).await?;
    let messages = all(&accounts, args.state).await?;
    if args.json {
        let items: Vec<_> = messages.iter().map(in_json).collect();
        output::data(json!({ "items": items }))?;
    } else {
        let mut table = output::table(["ID", "TO", "ABOUT", "STATE", "TRIED", "NEXT", "LATEST ERROR"]);
        table.add_rows(messages.iter().map(row));
        output::data(table)?;
    }
    accounts.close().await;
    Ok(())
}

async fn all(accounts: &Accounts, state: Option<MessageState>) -> Result<Vec<Posted>> {
    let mut messages = Vec::new();
    let mut after = 0;
    loop {
        let page = accounts.messages(&Admin::at_console(), after).await?;
        let Some((last, _)) = page.last() else { return Ok(messages) };
        after = *last;
        let wanted = page.into_iter().map(|(_, message)| message);
        messages.extend(wanted.filter(|message| state.is_none_or(|state| state == message.state)));
    }
}

async fn retry(args: Retry, config: &Config) -> Result<()> {
    let accounts = open(config, Missing::Refuse).await?;
    let retried = accounts.retry_messages(&Admin::at_console(), args.id.map(MessageId)).await?.0;
    accounts.close().await;
    match (retried, args.id) {
        (0, Some(id)) => bail!("there is no message {id} that anybody would still read"),
        (1, _) => output::words("1 message is tried again by the server"),
        (number, _) => output::words(format_args!("{number} messages are tried again by the server")),
    }
    Ok(())
}

async fn test(args: Test, config: &Config) -> Result<()> {
    let to = Email::parse("to", &args.to)
        .map_err(|error| Error::msg(error.message.replace("The field to", "--to")))?;
    let carrier = Carrier::new(config).map_err(Error::msg)?;
    let sent = carrier.send_test(to.as_str(), Clock::system().now()).await;
    sent.map_err(|setback| Error::msg(setback.in_full()))?;
    output::words(match config.messages.transport {
        Transport::Console => format!("printed a message to {}", to.as_str()),
        Transport::File => {
            format!("wrote a message to {} into {}", to.as_str(), config.messages.folder.display())
        }
        Transport::Smtp => {
            format!("{}:{} took a message to {}", config.smtp.host, config.smtp.port(), to.as_str())
        }
    });
    Ok(())
}

fn row(message: &Posted) -> [String; 7] {
    let waits = message.state == MessageState::Waiting;
    [
        message.id.0.to_string(),
        message.to.clone(),
        message.about().to_owned(),
        message.state.word().to_owned(),
        message.attempts.to_string(),
        if waits { message.due_at.to_string() } else { "-".to_owned() },
        message.last_error.clone().unwrap_or_else(|| "-".to_owned()),
    ]
}

fn in_json(message: &Posted) -> Value {
    json!({
        "id": message.id.0,
        "to": message.to,
        "about": message.about(),
        "state": message.state.word(),
        "attempts": message.attempts,
        "created_at": message.created_at.to_string(),
        "due_at": message.due_at.to_string(),
        "expires_at": message.expires_at.to_string(),
        "last_error": message.last_error,
    })
}
