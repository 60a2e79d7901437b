//! MESSAGES out: takes them from the outbox, hands them to a transport, and reports what came of it.

mod console;
mod dialogue;
mod file;
mod texts;
mod mail;
mod smtp;
mod tls;
mod diagnosis;

use std::{io, time::Duration};

use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::{sync::watch, time::Instant};

pub use self::console::Console;
use self::{file::Folder, mail::Sender, smtp::Smtp};
use crate::{
    accounts::{Accounts, DeliveryError, Error, OutboxMessage, Room},
    config::{self, Config},
    domain::{Message, MessageId, MessageKind, MessageState, Timestamp},
    isolate_panics::isolate_panics,
};

/// How often to look for messages that another process put into the outbox, or that are due again.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// How often to look for room and for messages while some are on their way.
const RELOAD_INTERVAL: Duration = Duration::from_millis(250);
/// How many messages are on their way at once, as long as each of them is quick.
const QUICK: usize = 4;
/// One that takes longer no longer counts as one of these: it must not hold up the others.
const SLOW: Duration = Duration::from_secs(1);

/// What carries a message to a person.
pub trait Transport: Send + Sync {
    /// Hands one message over.
    fn send(&self, message: &OutboxMessage) -> impl Future<Output = Result<(), DeliveryError>> + Send;

    /// How many messages it can have on their way at once, for now.
    fn most(&self) -> usize {
        1
    }

    /// There is nothing more to send for now.
    fn rest(&self) -> impl Future<Output = ()> + Send {
        async {}
    }

    /// Sends a message that says nothing but that messages arrive.
    ///
    /// # Errors
    /// One sentence that says what is wrong.
    fn send_test(&self, to: &str, now: Timestamp) -> impl Future<Output = Result<(), DeliveryError>> + Send {
        let message = OutboxMessage::unkept(Message::plain(to.to_owned(), MessageKind::Test), now);
        async move {
            let sent = self.send(&message).await;
            self.rest().await;
            sent
        }
    }
}

/// The transport of the settings.
pub enum ConfiguredTransport {
    /// Prints.
    Console(Console<io::Stdout>),
    /// Writes files.
    Folder(Folder),
    /// Sends mails.
    Smtp(Box<Smtp>),
}

impl ConfiguredTransport {
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
}

impl Transport for ConfiguredTransport {
    async fn send(&self, message: &OutboxMessage) -> Result<(), DeliveryError> {
        match self {
            Self::Console(console) => console.send(message).await,
            Self::Folder(folder) => folder.send(message).await,
            Self::Smtp(smtp) => smtp.send(message).await,
        }
    }

    fn most(&self) -> usize {
        match self {
            Self::Console(console) => console.most(),
            Self::Folder(folder) => folder.most(),
            Self::Smtp(smtp) => smtp.most(),
        }
    }

    async fn rest(&self) {
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

/// A message that is on its way.
struct AttemptsInProgress {
    id: MessageId,
    since: Instant,
    is_first_attempt: bool,
}

impl<T: Transport> Delivery<T> {
    /// A worker with this transport.
    pub const fn new(accounts: Accounts, transport: T) -> Self {
        Self { accounts, transport }
    }

    /// Delivers until `stop` says so. Then it takes nothing more, and ends with the messages that are on their way: what is
    /// cut off between its last byte and the receipt arrives twice.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        while !*stop.borrow() {
            isolate_panics("delivering", self.deliver_all(&stop)).await;
            tokio::select! {
                () = self.accounts.message_posted() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
                _ = stop.wait_for(|stop| *stop) => break,
            }
        }
    }

    /// Delivers until nothing is due and nothing on its way; answers how many messages were taken.
    ///
    /// # Errors
    /// If the store does not answer: what was not reported as sent is sent again.
    pub async fn deliver_due(&self) -> Result<usize, Error> {
        let (_never, stop) = watch::channel(false);
        self.deliver_until(&stop).await
    }

    /// The same, but takes nothing more once `stop` says so.
    async fn deliver_until(&self, stop: &watch::Receiver<bool>) -> Result<usize, Error> {
        let (mut sends, mut under_way) = (FuturesUnordered::new(), Vec::new());
        let (mut number, mut failure) = (0, None);
        loop {
            if failure.is_none() && !*stop.borrow() {
                match self.accounts.take_messages(self.room(&under_way)).await {
                    Ok(taken) => {
                        number += taken.len();
                        under_way.extend(taken.iter().map(AttemptsInProgress::begun));
                        sends.extend(taken.into_iter().map(|message| self.send(message)));
                    }
                    Err(error) => failure = Some(error),
                }
            }
            if sends.is_empty() {
                return failure.map_or(Ok(number), Err);
            }
            tokio::select! {
                Some((message, sent)) = sends.next() => {
                    under_way.retain(|other| other.id != message.id);
                    // What else is on its way comes to its end even so.
                    if let Err(error) = self.report(&message, sent).await {
                        failure.get_or_insert(error);
                    }
                }
                () = self.accounts.message_posted() => {}
                () = tokio::time::sleep(RELOAD_INTERVAL) => {}
            }
        }
    }

    /// How many more messages may be on their way. What was tried before takes at most half of it, so that there is room
    /// for the others; and one alone, where it is the mail server's trouble.
    fn room(&self, under_way: &[AttemptsInProgress]) -> Room {
        let most = self.transport.most();
        let quick = under_way.iter().filter(|one| one.since.elapsed() < SLOW).count();
        let messages = most.saturating_sub(under_way.len()).min(QUICK.saturating_sub(quick));
        let most_tried = if self.accounts.is_trouble_widespread() { 1 } else { (most / 2).max(1) };
        let tried = under_way.iter().filter(|one| !one.is_first_attempt).count();
        let limit = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Room { messages: limit(messages), tried: limit(most_tried.saturating_sub(tried)) }
    }

    async fn send(&self, message: OutboxMessage) -> (OutboxMessage, Result<(), DeliveryError>) {
        let sent = self.transport.send(&message).await;
        (message, sent)
    }

    async fn report(&self, message: &OutboxMessage, sent: Result<(), DeliveryError>) -> Result<(), Error> {
        let Err(delivery_error) = sent else { return self.accounts.message_sent(message.id).await };
        let (id, why) = (message.id.0, delivery_error.why());
        match self.accounts.message_failed(message, &delivery_error).await? {
            MessageState::Waiting if delivery_error.is_untried() => {
                tracing::debug!(%id, why, "a message waits");
            }
            MessageState::Waiting => {
                tracing::warn!(%id, why, "a message could not be sent; it will be tried again");
            }
            MessageState::Dead if delivery_error.is_final() => {
                tracing::warn!(%id, why, "a message was refused for good; it was given up");
            }
            MessageState::Dead => {
                tracing::error!(%id, why, "a message could not be sent for two days; it was given up");
            }
        }
        Ok(())
    }

    async fn deliver_all(&self, stop: &watch::Receiver<bool>) {
        if let Err(error) = self.deliver_until(stop).await {
            tracing::error!(error = error.in_full(), "the outbox cannot be read, or written to");
        }
        self.transport.rest().await;
    }
}

impl AttemptsInProgress {
    fn begun(message: &OutboxMessage) -> Self {
        Self { id: message.id, since: Instant::now(), is_first_attempt: message.attempts() == 1 }
    }
}
