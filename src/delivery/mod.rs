//! MESSAGES out: takes them from the outbox, hands them to a transport, and reports what came of it.

mod console;
mod dialogue;
mod file;
mod letters;
mod mail;
mod smtp;
mod tls;
mod trouble;

use std::{io, time::Duration};

use tokio::{sync::watch, time::Instant};

pub use self::console::Console;
use self::{file::Folder, mail::Sender, smtp::Smtp};
use crate::{
    accounts::{Accounts, Error, LEASE, Outgoing, Setback},
    config::{self, Config},
    contained::contained,
    model::{Letter, Message, MessageState, Timestamp},
};

/// How often to look for messages that another process put into the outbox, or that are due again.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// What carries a message to a person.
pub trait Transport: Send {
    /// Hands one message over.
    fn send(&mut self, outgoing: &Outgoing) -> impl Future<Output = Result<(), Setback>> + Send;

    /// There is nothing more to send for now.
    fn rest(&mut self) -> impl Future<Output = ()> + Send {
        async {}
    }
}

/// The transport of the settings.
pub enum Carrier {
    /// Prints.
    Console(Console<io::Stdout>),
    /// Writes files.
    Folder(Folder),
    /// Sends mails.
    Smtp(Box<Smtp>),
}

impl Carrier {
    /// The transport that the settings name. Nothing is connected to yet.
    ///
    /// # Errors
    /// In words for whoever starts the program, if the settings cannot be used.
    pub fn new(config: &Config) -> Result<Self, String> {
        let settings = &config.messages;
        let sender = || Sender::new(&settings.from, &settings.shop_name);
        Ok(match settings.transport {
            config::Transport::Console => Self::Console(Console::new(io::stdout(), &settings.shop_name)),
            config::Transport::File => Self::Folder(Folder::new(settings.folder.clone(), sender()?)),
            config::Transport::Smtp => Self::Smtp(Box::new(Smtp::new(&config.smtp, sender()?)?)),
        })
    }

    /// Sends a message that says nothing but that messages arrive.
    ///
    /// # Errors
    /// One sentence that says what is wrong.
    pub async fn send_test(&mut self, to: &str, now: Timestamp) -> Result<(), Setback> {
        let outgoing = Outgoing::unkept(Message::plain(to.to_owned(), Letter::Test), now);
        let sent = self.send(&outgoing).await;
        self.rest().await;
        sent
    }
}

impl Transport for Carrier {
    async fn send(&mut self, outgoing: &Outgoing) -> Result<(), Setback> {
        match self {
            Self::Console(console) => console.send(outgoing).await,
            Self::Folder(folder) => folder.send(outgoing).await,
            Self::Smtp(smtp) => smtp.send(outgoing).await,
        }
    }

    async fn rest(&mut self) {
        match self {
            Self::Console(console) => console.rest().await,
            Self::Folder(folder) => folder.rest().await,
            Self::Smtp(smtp) => smtp.rest().await,
        }
    }
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
            contained("delivering", self.deliver_all()).await;
            tokio::select! {
                () = self.accounts.message_posted() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
                _ = stop.wait_for(|stop| *stop) => break,
            }
        }
        contained("delivering", self.deliver_all()).await;
    }

    /// Delivers what is due now, at most a batch; answers how many were taken.
    ///
    /// # Errors
    /// If the store does not answer: whatever was not reported as sent is sent again.
    pub async fn deliver_due(&mut self) -> Result<usize, Error> {
        let batch = self.accounts.take_messages().await?;
        let start = Instant::now();
        for (index, outgoing) in batch.iter().enumerate() {
            let rest = || batch[index..].iter().map(|outgoing| outgoing.id).collect();
            if start.elapsed() > LEASE / 2 {
                self.accounts.put_back_messages(rest()).await?;
                break;
            }
            match self.transport.send(outgoing).await {
                Ok(()) => self.accounts.message_sent(outgoing.id).await?,
                Err(setback) if setback.concerns_all() => {
                    self.accounts.put_back_messages(rest().split_off(1)).await?;
                    self.set_back(outgoing, &setback).await?;
                    break;
                }
                Err(setback) => self.set_back(outgoing, &setback).await?,
            }
        }
        Ok(batch.len())
    }

    async fn set_back(&self, outgoing: &Outgoing, setback: &Setback) -> Result<(), Error> {
        let (id, why) = (outgoing.id.0, setback.why());
        match self.accounts.message_failed(outgoing, setback).await? {
            MessageState::Waiting => {
                tracing::warn!(%id, why, "a message could not be sent; it will be tried again");
            }
            MessageState::Dead if setback.is_final() => {
                tracing::warn!(%id, why, "a message was refused for good; it was given up");
            }
            MessageState::Dead => {
                tracing::error!(%id, why, "a message could not be sent for two days; it was given up");
            }
        }
        Ok(())
    }

    async fn deliver_all(&mut self) {
        loop {
            match self.deliver_due().await {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) => {
                    tracing::error!(?error, "the outbox cannot be read, or written to");
                    break;
                }
            }
        }
        self.transport.rest().await;
    }
}
