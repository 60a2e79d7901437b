//! Takes messages from the outbox, sends them, and reports the result.

use std::time::Duration;

use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::{sync::watch, time::Instant};

use super::{
    delivery_error::DeliveryError,
    outbox::{Outbox, OutboxMessage, Room},
    transport::Transport,
};
use crate::{
    core::Error,
    domain::{MessageId, MessageState},
    isolate_panics::isolate_panics,
};

/// How often to poll for messages that another process enqueued, or that are due again.
const POLL_INTERVAL: Duration = Duration::from_secs(5);
/// How often to poll for capacity and messages while some are in flight.
const BUSY_POLL_INTERVAL: Duration = Duration::from_millis(250);
/// How many quick messages are in flight at once.
const MAX_QUICK: usize = 4;
/// A message in flight for longer than this no longer counts as quick: it must not delay others.
const SLOW: Duration = Duration::from_secs(1);

/// The worker that empties the outbox.
pub struct Worker<T> {
    outbox: Outbox,
    transport: T,
}

/// A message that is on its way.
struct InFlight {
    id: MessageId,
    since: Instant,
    is_first_attempt: bool,
}

impl<T: Transport> Worker<T> {
    /// A worker with this transport.
    pub const fn new(outbox: Outbox, transport: T) -> Self {
        Self { outbox, transport }
    }

    /// Delivers until `stop` says so. Then it takes nothing more, and ends with the messages that are on their way: what is
    /// cut off between its last byte and the receipt arrives twice.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        while !*stop.borrow() {
            isolate_panics("delivering", self.deliver_all(&stop)).await;
            tokio::select! {
                () = self.outbox.enqueued() => {}
                () = tokio::time::sleep(POLL_INTERVAL) => {}
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
                match self.outbox.take(self.room(&under_way)).await {
                    Ok(taken) => {
                        number += taken.len();
                        under_way.extend(taken.iter().map(InFlight::begun));
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
                () = self.outbox.enqueued() => {}
                () = tokio::time::sleep(BUSY_POLL_INTERVAL) => {}
            }
        }
    }

    /// How many more messages may be on their way. What was tried before takes at most half of it, so that there is room
    /// for the others; and one alone, where it is the mail server's trouble.
    fn room(&self, under_way: &[InFlight]) -> Room {
        let most = self.transport.capacity();
        let quick = under_way.iter().filter(|one| one.since.elapsed() < SLOW).count();
        let messages = most.saturating_sub(under_way.len()).min(MAX_QUICK.saturating_sub(quick));
        let most_tried = if self.outbox.is_half_open() { 1 } else { (most / 2).max(1) };
        let tried = under_way.iter().filter(|one| !one.is_first_attempt).count();
        let limit = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Room { messages: limit(messages), tried: limit(most_tried.saturating_sub(tried)) }
    }

    async fn send(&self, message: OutboxMessage) -> (OutboxMessage, Result<(), DeliveryError>) {
        let sent = self.transport.send(&message).await;
        (message, sent)
    }

    async fn report(&self, message: &OutboxMessage, sent: Result<(), DeliveryError>) -> Result<(), Error> {
        let Err(error) = sent else { return self.outbox.mark_sent(message.id).await };
        let (id, why) = (message.id.0, error.reason());
        match self.outbox.mark_failed(message, &error).await? {
            MessageState::Waiting if !error.is_attempted() => {
                tracing::debug!(%id, why, "a message waits");
            }
            MessageState::Waiting => {
                tracing::warn!(%id, why, "a message could not be sent; it will be tried again");
            }
            MessageState::Dead if error.is_final() => {
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
        self.transport.flush_idle().await;
    }
}

impl InFlight {
    fn begun(message: &OutboxMessage) -> Self {
        Self { id: message.id, since: Instant::now(), is_first_attempt: message.attempts() == 1 }
    }
}
