//! The outbox as the worker and the operator see it: messages are taken, retried when sending fails, and given up visibly.

use std::{sync::Arc, time::Duration};

use uuid::Uuid;

use super::{
    circuit_breaker::CircuitBreaker,
    delivery_error::DeliveryError,
    retry::{LONGEST_PAUSE, LONGEST_UNCONFIRMED_PAUSE, Scope, retry_delay},
};
use crate::{
    core::{
        Admin, Core, Error, Tx,
        outbox::{entry, open},
    },
    domain::{Message, MessageId, MessageState, OutboxEntry, Page, Timestamp},
    store::{Attempt, Due, OutboxCursor},
};

/// For how long messages belong to the worker that took them. It is done sooner, or was stopped: `smtp.timeout` is 25 seconds
/// at most, and counts twice.
///
/// Simplified: printing and writing to a folder have no timeout. Where they hang for longer, and another server works on
/// the same store, that one sends the message, too.
pub const LEASE: Duration = Duration::from_mins(1);
/// How long a message is retried.
const RETRIED_FOR: Duration = Duration::from_hours(48);

#[derive(Clone)]
pub struct Outbox {
    core: Core,
    circuit_breaker: Arc<CircuitBreaker>,
}

/// A message to send now.
#[derive(Debug)]
pub struct OutboxMessage {
    /// The same at every attempt.
    pub id: MessageId,
    pub created_at: Timestamp,
    pub message: Message,
    mailbox: String,
    attempts: u32,
}

/// How many messages a worker can take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    pub messages: u32,
    /// Of these, retries.
    pub retries: u32,
}

/// How many messages are retried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retried(pub usize);

impl OutboxMessage {
    /// A message that is not in the outbox, to test a transport.
    #[must_use]
    pub fn unsaved(message: Message, now: Timestamp) -> Self {
        let mailbox = message.to.clone();
        Self { id: MessageId(Uuid::now_v7()), created_at: now, message, mailbox, attempts: 1 }
    }

    /// How many attempts there were, with this one.
    #[must_use]
    pub const fn attempts(&self) -> u32 {
        self.attempts
    }
}

impl Outbox {
    pub(crate) fn new(core: Core) -> Self {
        Self { core, circuit_breaker: Arc::default() }
    }

    /// Returns when this process has enqueued a message.
    pub async fn enqueued(&self) {
        self.core.store.enqueued().await;
    }

    /// Takes messages that are due, first attempts before retries. They come back unless they are reported as sent:
    /// at-least-once delivery.
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn take(&self, capacity: Capacity) -> Result<Vec<OutboxMessage>, Error> {
        if capacity.messages == 0 {
            return Ok(Vec::new());
        }
        let now = self.core.now();
        // No pause is longer: what is due later was postponed while the clock was ahead, and a code does not wait for that.
        let due =
            Due { now, furthest: now + LONGEST_PAUSE, furthest_deferred: now + LONGEST_UNCONFIRMED_PAUSE };
        let is_any = self.core.read(move |tx| {
            Ok(tx.has_sendable(due, Attempt::First)?
                || capacity.retries > 0 && tx.has_sendable(due, Attempt::Further)?)
        });
        if !is_any.await? {
            return Ok(Vec::new()); // no write that requests would have to wait for
        }
        let take = move |tx: &Tx<'_>| {
            let mut taken = tx.take_messages(due, Attempt::First, now + LEASE, capacity.messages)?;
            let left = capacity.messages.saturating_sub(u32::try_from(taken.len()).unwrap_or(u32::MAX));
            let mut left = left.min(capacity.retries);
            // The index is by attempts, so the urgent ones are queried by themselves.
            for attempt in [Attempt::FurtherUrgent, Attempt::Further] {
                let further = tx.take_messages(due, attempt, now + LEASE, left)?;
                left = left.saturating_sub(u32::try_from(further.len()).unwrap_or(u32::MAX));
                taken.extend(further);
            }
            Ok(taken)
        };
        let taken = self.core.write(take).await?;
        let mut messages = Vec::new();
        for sealed in taken {
            let (id, created_at, attempts) = (sealed.id, sealed.created_at, sealed.attempts);
            match open(&self.core.secret, &sealed) {
                Ok(message) => {
                    let mailbox = sealed.mailbox;
                    messages.push(OutboxMessage { id, created_at, message, mailbox, attempts });
                }
                // Sealed under a secret that is gone, or of a version that is: it stays in the list.
                Err(error) => {
                    tracing::error!(id = %id.0, error = error.in_full(), "gave up a message that cannot be read");
                    let give_up = move |tx: &Tx<'_>| {
                        tx.message_failed(id, attempts, MessageState::Dead, now, "it cannot be read")?;
                        Ok(())
                    };
                    self.core.write(give_up).await?;
                }
            }
        }
        Ok(messages)
    }

    /// Reports that a message was sent: it is deleted, with the code and link in it.
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn mark_sent(&self, id: MessageId) -> Result<(), Error> {
        self.circuit_breaker.reset();
        self.core.outbox_pause.set(self.circuit_breaker.open_until());
        self.core.write(move |tx| Ok(tx.delete_message(id)?)).await
    }

    /// Whether one retry at a time is enough to see when the mail server is back.
    #[must_use]
    pub fn is_half_open(&self) -> bool {
        self.circuit_breaker.is_half_open()
    }

    /// Reports that a message could not be sent: it is retried with a growing back-off until it is rejected for good, was
    /// retried for two days or has expired. Then it is dead, and stays in the list. Returns which. A report after the lease, when
    /// another attempt has begun, changes nothing in the outbox.
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn mark_failed(
        &self,
        message: &OutboxMessage,
        error: &DeliveryError,
    ) -> Result<MessageState, Error> {
        let now = self.core.now();
        let (id, attempts) = (message.id, message.attempts);
        if !error.is_attempted() {
            self.core.write(move |tx| Ok(tx.put_back_message(id, attempts, now)?)).await?;
            return Ok(MessageState::Waiting);
        }
        let is_over = error.is_final() || now >= message.created_at + RETRIED_FOR;
        let state = if is_over { MessageState::Dead } else { MessageState::Waiting };
        if error.is_final() && self.circuit_breaker.record_rejection(&message.mailbox) {
            tracing::error!("every recipient is refused: check messages.from and smtp.username");
        }
        let impact = self.circuit_breaker.record_failure(error, &message.mailbox, attempts, now);
        self.core.outbox_pause.set(self.circuit_breaker.open_until());
        let (scope, others) = (impact.scope, impact.others_wait_until);
        let own = now + retry_delay(attempts, error, scope);
        // A security notice does not wait for the other retries.
        let is_alone = scope == Scope::Retries && message.message.kind.is_urgent();
        let due_at = if is_alone { own } else { own.max(others.unwrap_or(own)) };
        let why = error.with_response();
        let state = self.core.write(move |tx| {
            if !tx.message_failed(id, attempts, state, due_at, &why)? {
                return Ok(state);
            }
            if scope != Scope::All {
                tx.defer_message(id)?;
            }
            match (scope, others) {
                (Scope::Retries, Some(until)) => tx.postpone_tried_messages(until)?,
                (Scope::All, Some(until)) => tx.postpone_messages(until)?,
                _ => {}
            }
            Ok(state)
        });
        state.await
    }

    /// A page of the messages that were not sent (yet), oldest first.
    ///
    /// # Errors
    /// Only if the store does not answer.
    pub async fn list(
        &self,
        _by: &Admin,
        after: Option<OutboxCursor>,
    ) -> Result<Page<OutboxEntry, OutboxCursor>, Error> {
        const PAGE: u32 = 500;
        let now = self.core.now();
        let page = self.core.read(move |tx| Ok(tx.messages(after, PAGE)?)).await?;
        Ok(page.map(|sealed| entry(&self.core.secret, &sealed, now)))
    }

    /// Has one message, or every one, retried at once; dead ones, too, unless they have expired.
    ///
    /// # Errors
    /// Only if the store does not answer.
    pub async fn retry(&self, by: &Admin, id: Option<MessageId>) -> Result<Retried, Error> {
        let retried = self.core.write_as(by, move |tx, _, now| {
            tx.wake_outbox();
            Ok(Retried(tx.retry_messages(id, now)?))
        });
        retried.await
    }
}
