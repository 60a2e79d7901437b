//! `coffeeshop messages test`.

use std::{io, path};

use anyhow::{Error, Result};
use serde_json::json;

use crate::{
    cli::output,
    config::{Config, Transport},
    domain::{Clock, Email},
    messaging::{ConfiguredTransport, ConsoleTransport, Transport as _},
};

/// Send a test message, and show the error if that fails.
#[derive(clap::Args)]
pub struct Args {
    /// The address to send it to.
    #[arg(long, value_name = "ADDRESS")]
    to: String,
    /// Print JSON. The console transport then prints the message to standard error.
    #[arg(long)]
    json: bool,
}

pub async fn run(args: Args, config: &Config) -> Result<()> {
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
            ConsoleTransport::new(io::stderr(), &config.messages.shop_name).send_test(to.as_str(), now).await
        }
        _ => transport.send_test(to.as_str(), now).await,
    };
    sent.map_err(|error| Error::msg(error.with_response()))?;
    if args.json {
        output::data(json!({ "to": to.as_str(), "transport": config.messages.transport.to_string() }))?;
    }
    output::message(match config.messages.transport {
        Transport::Console => format!("printed a message to {}", to.as_str()),
        Transport::File => {
            let folder = path::absolute(&config.messages.folder)?;
            format!("wrote a message to {} into {}", to.as_str(), folder.display())
        }
        Transport::Smtp => {
            format!("{}:{} accepted a message to {}", config.smtp.host, config.smtp.port(), to.as_str())
        }
    });
    Ok(())
}
