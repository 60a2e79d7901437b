//! Takes messages from the outbox, sends them, and reports the result.

use std::time::Duration;

use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::{sync::watch, time::Instant};

use super::{
    delivery_error::DeliveryError,
    outbox::{Capacity, Outbox, OutboxMessage},
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

/// Sends the messages of the outbox.
pub struct Worker<T> {
    outbox: Outbox,
    transport: T,
}

struct InFlight {
    id: MessageId,
    since: Instant,
    is_first_attempt: bool,
}

impl<T: Transport> Worker<T> {
    pub const fn new(outbox: Outbox, transport: T) -> Self {
        Self { outbox, transport }
    }

    /// Sends until `stop` is true. Then it takes no further messages but those enqueued just before, and waits for those in flight: one that is interrupted
    /// before its confirmation may arrive twice.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        loop {
            isolate_panics("delivering", self.send_batch(&stop)).await;
            if *stop.borrow() {
                return;
            }
            tokio::select! {
                // A message that was enqueued before the stop is still taken.
                biased;
                () = self.outbox.enqueued() => {}
                _ = stop.wait_for(|stop| *stop) => return,
                () = tokio::time::sleep(POLL_INTERVAL) => {}
            }
        }
    }

    /// Sends until nothing is due or in flight. Returns how many messages were attempted.
    ///
    /// # Errors
    /// If the store does not answer: messages that were not reported as sent are sent again.
    pub async fn send_due(&self) -> Result<usize, Error> {
        let (_never, stop) = watch::channel(false);
        self.send_until(&stop).await
    }

    async fn send_batch(&self, stop: &watch::Receiver<bool>) {
        if let Err(error) = self.send_until(stop).await {
            tracing::error!(error = error.in_full(), "the outbox cannot be read, or written to");
        }
        self.transport.flush_idle().await;
    }

    async fn send_until(&self, stop: &watch::Receiver<bool>) -> Result<usize, Error> {
        let (mut sends, mut in_flight) = (FuturesUnordered::new(), Vec::new());
        let (mut attempted, mut failure) = (0, None);
        let mut is_first_take = true;
        loop {
            if failure.is_none() && (is_first_take || !*stop.borrow()) {
                is_first_take = false;
                match self.outbox.take(self.capacity(&in_flight)).await {
                    Ok(taken) => {
                        attempted += taken.len();
                        in_flight.extend(taken.iter().map(InFlight::new));
                        sends.extend(taken.into_iter().map(|message| self.send(message)));
                    }
                    Err(error) => failure = Some(error),
                }
            }
            if sends.is_empty() {
                return failure.map_or(Ok(attempted), Err);
            }
            tokio::select! {
                Some((message, sent)) = sends.next() => {
                    in_flight.retain(|other| other.id != message.id);
                    // Kept until the other messages in flight are done.
                    if let Err(error) = self.report(&message, sent).await {
                        failure.get_or_insert(error);
                    }
                }
                () = self.outbox.enqueued() => {}
                () = tokio::time::sleep(BUSY_POLL_INTERVAL) => {}
            }
        }
    }

    /// How many more messages can be in flight. Retries take at most half of the capacity, so that first attempts get the rest;
    /// while the circuit breaker is half open there is one retry at a time.
    fn capacity(&self, in_flight: &[InFlight]) -> Capacity {
        let most = self.transport.capacity();
        let quick = in_flight.iter().filter(|one| one.since.elapsed() < SLOW).count();
        let messages = most.saturating_sub(in_flight.len()).min(MAX_QUICK.saturating_sub(quick));
        let most_retries = if self.outbox.is_half_open() { 1 } else { (most / 2).max(1) };
        let retries = in_flight.iter().filter(|one| !one.is_first_attempt).count();
        let limit = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Capacity { messages: limit(messages), retries: limit(most_retries.saturating_sub(retries)) }
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
                tracing::debug!(%id, why, "a message waits for a connection");
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
}

impl InFlight {
    fn new(message: &OutboxMessage) -> Self {
        Self { id: message.id, since: Instant::now(), is_first_attempt: message.attempts() == 1 }
    }
}
