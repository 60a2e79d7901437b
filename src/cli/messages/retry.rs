//! `coffeeshop messages retry`.

use anyhow::{Result, bail};
use serde_json::json;
use uuid::Uuid;

use crate::{
    cli::{args, open, output},
    config::Config,
    core::Admin,
    domain::MessageId,
};

/// Have the server send messages again now, also those that were given up.
///
/// A message whose link has expired is not sent again; one that was given up after two days gets one more try.
#[derive(clap::Args)]
pub struct Args {
    /// The message's id; without one, all messages.
    #[arg(value_parser = args::id)]
    id: Option<Uuid>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub async fn run(args: Args, config: &Config) -> Result<()> {
    let app = open::to_write(config).await?;
    let retried = app.outbox.retry(&Admin::from_cli(), args.id.map(MessageId)).await?.0;
    app.close().await;
    match (retried, args.id) {
        (0, Some(id)) => bail!("message {id} does not exist, was sent, or has expired"),
        _ if args.json => output::data(json!({ "retried": retried }))?,
        (1, _) => output::message("the server will retry 1 message"),
        (number, _) => output::message(format_args!("the server will retry {number} messages")),
    }
    Ok(())
}
