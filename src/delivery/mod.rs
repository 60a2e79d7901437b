//! MESSAGES out: takes them from the outbox, hands them to a transport, and reports what came of it.

mod console;

use std::time::Duration;

use tokio::sync::watch;

pub use self::console::Console;
use crate::{
    accounts::{Accounts, Error},
    model::{Message, MessageId},
};

/// How often to look for messages that another process put into the outbox, or that are due again.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// What carries a message to a person.
pub trait Transport: Send {
    /// Hands one message over. An error is a sentence for the log, without anything of the message in it.
    fn send(&mut self, id: MessageId, message: &Message) -> impl Future<Output = Result<(), String>> + Send;
}

/// The worker that empties the outbox.
pub struct Delivery<T> {
    accounts: Accounts,
    transport: T,
}

impl<T: Transport> Delivery<T> {
    /// A worker with this transport.
    pub const fn new(accounts: Accounts, transport: T) -> Self {
        Self { accounts, transport }
    }

    /// Delivers until `stop` says so, and then what is still due.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        loop {
            self.deliver_all().await;
            tokio::select! {
                () = self.accounts.message_posted() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
                _ = stop.wait_for(|stop| *stop) => break,
            }
        }
        self.deliver_all().await;
    }

    /// Delivers what is due now, at most a batch; answers how many were taken.
    ///
    /// # Errors
    /// If the store does not answer: whatever was not reported as sent is sent again.
    pub async fn deliver_due(&mut self) -> Result<usize, Error> {
        let messages = self.accounts.take_messages().await?;
        let mut sent = Vec::new();
        for taken in &messages {
            match self.transport.send(taken.id, &taken.message).await {
                Ok(()) => sent.push(taken.id),
                Err(why) => {
                    tracing::warn!(message = %taken.id.0, why, "a message could not be sent; it will be tried again");
                    self.accounts.message_failed(taken).await?;
                }
            }
        }
        if !sent.is_empty() {
            self.accounts.messages_sent(sent).await?;
        }
        Ok(messages.len())
    }

    async fn deliver_all(&mut self) {
        loop {
            match self.deliver_due().await {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) => {
                    tracing::error!(?error, "the outbox cannot be read");
                    return;
                }
            }
        }
    }
}
