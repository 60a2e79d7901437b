//! `coffeeshop messages …`.

use std::{io, path, process::ExitCode};

use anyhow::{Error, Result, bail};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{open, output, users};
use crate::{
    accounts::{Accounts, Admin},
    config::{Config, Transport},
    delivery::{ConfiguredTransport, Console, Transport as _},
    domain::{Clock, Email, MessageId, MessageState, OutboxEntry, Word},
};

/// List messages that were not sent, retry them, and test the mail settings.
#[derive(clap::Subcommand)]
pub enum Command {
    List(List),
    Retry(Retry),
    Test(Test),
}

/// List messages that are waiting, and those that were given up.
#[derive(clap::Args)]
pub struct List {
    /// Only messages in this state.
    #[arg(long, value_parser = users::words::<MessageState>())]
    state: Option<MessageState>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Retry messages now, also those that were given up.
///
/// A message whose link has expired stays given up; one that was tried for two days already gets one more try.
#[derive(clap::Args)]
pub struct Retry {
    /// The message's id; without one, all messages.
    #[arg(value_parser = users::id)]
    id: Option<Uuid>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Send a test message, or say what is wrong.
#[derive(clap::Args)]
pub struct Test {
    /// The address to send it to.
    #[arg(long, value_name = "ADDRESS")]
    to: String,
    /// Print JSON; the message of the console transport then goes to standard error.
    #[arg(long)]
    json: bool,
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
    let accounts = open::to_read(config).await?;
    let messages = all(&accounts, args.state).await?;
    if args.json {
        let items: Vec<_> = messages.iter().map(in_json).collect();
        output::data(json!({ "items": items }))?;
    } else {
        output::table(
            ["ID", "TO", "ABOUT", "STATE", "TRIED", "NEXT", "LATEST ERROR"],
            messages.iter().map(row),
        )?;
    }
    accounts.close().await;
    Ok(())
}

async fn all(accounts: &Accounts, state: Option<MessageState>) -> Result<Vec<OutboxEntry>> {
    let mut messages = Vec::new();
    let mut after = 0;
    loop {
        let page = accounts.messages(&Admin::from_cli(), after).await?;
        let Some((last, _)) = page.last() else { return Ok(messages) };
        after = *last;
        let wanted = page.into_iter().map(|(_, message)| message);
        messages.extend(wanted.filter(|message| state.is_none_or(|state| state == message.state)));
    }
}

async fn retry(args: Retry, config: &Config) -> Result<()> {
    let accounts = open::to_write(config).await?;
    let retried = accounts.retry_messages(&Admin::from_cli(), args.id.map(MessageId)).await?.0;
    accounts.close().await;
    match (retried, args.id) {
        (0, Some(id)) => bail!("message {id} does not exist, was sent, or has expired"),
        _ if args.json => output::data(json!({ "retried": retried }))?,
        (1, _) => output::words("1 message is retried by the server"),
        (number, _) => output::words(format_args!("{number} messages are retried by the server")),
    }
    Ok(())
}

async fn test(args: Test, config: &Config) -> Result<()> {
    let to = Email::parse("to", &args.to).map_err(|error| {
        Error::msg(
            error.message.replace("The field to", &format!("--to is {}; it", output::quoted(&args.to))),
        )
    })?;
    let transport = ConfiguredTransport::new(config).map_err(Error::msg)?;
    if config.has_local_sender() {
        output::warning(format_args!(
            "messages.from is {}: mail servers refuse such a sender; set COFFEESHOP_MESSAGES__FROM",
            config.messages.from
        ));
    }
    let now = Clock::system().now();
    let sent = match config.messages.transport {
        Transport::Console if args.json => {
            Console::new(io::stderr(), &config.messages.shop_name).send_test(to.as_str(), now).await
        }
        _ => transport.send_test(to.as_str(), now).await,
    };
    sent.map_err(|delivery_error| Error::msg(delivery_error.in_full()))?;
    if args.json {
        output::data(json!({ "to": to.as_str(), "transport": config.messages.transport.to_string() }))?;
    }
    output::words(match config.messages.transport {
        Transport::Console => format!("printed a message to {}", to.as_str()),
        Transport::File => {
            let folder = path::absolute(&config.messages.folder)?;
            format!("wrote a message to {} into {}", to.as_str(), folder.display())
        }
        Transport::Smtp => {
            format!("{}:{} took a message to {}", config.smtp.host, config.smtp.port(), to.as_str())
        }
    });
    Ok(())
}

fn row(message: &OutboxEntry) -> [String; 7] {
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

fn in_json(message: &OutboxEntry) -> Value {
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
