//! Messages on their way out: taken in order, sent by `delivery`, tried again when that fails, and given up in sight.

use std::time::Duration;

use uuid::Uuid;

use super::{Accounts, Admin, Error, codes::count_one};
use crate::{
    domain::{
        Email, Message, MessageId, MessageKind, MessageState, OutboxEntry, Page, Timestamp, User, UserId,
    },
    messaging::{DeliveryError, LONGEST_PAUSE, LONGEST_UNCONFIRMED_PAUSE, Scope, retry_delay},
    store::{Attempt, Due, OutboxCursor, SealedMessage, Tx},
};

/// For how long messages that were taken belong to one worker. It tries for a shorter time, or was stopped: `smtp.timeout`
/// is 25 seconds at most, and counts twice.
///
/// Simplified: printing and writing to a folder have no deadline. Where they hang for longer, and another server works on
/// the same store, that one sends the message, too.
pub const LEASE: Duration = Duration::from_mins(1);
/// How long a message is tried.
const TRIED_FOR: Duration = Duration::from_hours(48);
/// How long a notice, which carries nothing that expires, is worth reading.
const NOTICE_TTL: Duration = Duration::from_hours(7 * 24);
/// How long a message that nobody would read any more can still be seen.
pub(crate) const KEPT_FOR: Duration = Duration::from_hours(7 * 24);

/// A message to send now.
#[derive(Debug)]
pub struct OutboxMessage {
    /// Its id, the same at every attempt.
    pub id: MessageId,
    /// When it was written.
    pub written_at: Timestamp,
    /// What to send.
    pub message: Message,
    mailbox: String,
    attempts: u32,
}

/// For how many messages a worker has room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// In all.
    pub messages: u32,
    /// Of these, for such as were tried before.
    pub tried: u32,
}

/// What came of asking for another try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retried(pub usize);

impl OutboxMessage {
    /// A message that is not kept anywhere, to try a transport.
    #[must_use]
    pub fn unkept(message: Message, now: Timestamp) -> Self {
        let mailbox = message.to.clone();
        Self { id: MessageId(Uuid::now_v7()), written_at: now, message, mailbox, attempts: 1 }
    }

    /// How often it was tried, with this attempt.
    #[must_use]
    pub const fn attempts(&self) -> u32 {
        self.attempts
    }
}

impl Accounts {
    /// Puts a message for a user into the outbox, in the commit of what caused it.
    pub(crate) fn post(
        &self,
        tx: &Tx<'_>,
        user: &User,
        to: &Email,
        message: &Message,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<(), Error> {
        self.enqueue(tx, Some(user.id), to, message, expires_at, now)
    }

    /// Puts a notice into the outbox: a message that says what happened to an account. It outlives the account, so that
    /// nobody silences it by deleting that.
    pub(crate) fn notify(
        &self,
        tx: &Tx<'_>,
        to: &Email,
        message: &Message,
        now: Timestamp,
    ) -> Result<(), Error> {
        self.enqueue(tx, None, to, message, now + NOTICE_TTL, now)
    }

    /// Puts a notice into the outbox with the address of the form for a new password; not past the most that an address
    /// is sent of a kind, since it can be caused again and again.
    pub(crate) fn notify_with_form(
        &self,
        tx: &Tx<'_>,
        counted_as: &str,
        kind: MessageKind,
        to: &Email,
        now: Timestamp,
    ) -> Result<(), Error> {
        match count_one(tx, self.secret.hash_count(counted_as, to), now) {
            Err(Error::TooManyRequests { .. }) => return Ok(()),
            counted => counted?,
        }
        let link = Some(self.rules.reset_url.clone());
        let message = Message { link, ..Message::plain(to.as_str().to_owned(), kind) };
        self.notify(tx, to, &message, now)
    }

    fn enqueue(
        &self,
        tx: &Tx<'_>,
        user_id: Option<UserId>,
        to: &Email,
        message: &Message,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<(), Error> {
        let id = MessageId(Uuid::now_v7());
        let plain = serde_json::to_vec(message).map_err(|e| Error::Internal(e.to_string()))?;
        let sealed = self.secret.seal(&label(id), &plain).map_err(|e| Error::Internal(e.to_string()))?;
        tx.enqueue(&SealedMessage {
            id,
            user_id,
            recipient: to.key().to_owned(),
            mailbox: to.mailbox(),
            urgent: message.kind.is_urgent(),
            sealed,
            state: MessageState::Waiting,
            attempts: 0,
            due_at: now.max(self.circuit_breaker.open_until()),
            created_at: now,
            expires_at,
            last_error: None,
        })?;
        Ok(())
    }

    /// Takes messages that are due, first those that were not tried yet. They come back unless they are reported as sent:
    /// at least once, never not.
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn take_messages(&self, room: Room) -> Result<Vec<OutboxMessage>, Error> {
        let now = self.clock.now();
        // No pause is longer: what is due later was put off while the clock was ahead, and a code does not wait for that.
        let due =
            Due { now, furthest: now + LONGEST_PAUSE, furthest_deferred: now + LONGEST_UNCONFIRMED_PAUSE };
        let is_any = self.store.read(move |tx| {
            Ok::<_, Error>(
                room.messages > 0 && tx.has_sendable(due, Attempt::First)?
                    || room.tried > 0 && tx.has_sendable(due, Attempt::Further)?,
            )
        });
        if !is_any.await? {
            return Ok(Vec::new()); // the writes of requests need not wait for that
        }
        let take = move |tx: &Tx<'_>| {
            let mut taken = tx.take_messages(due, Attempt::First, now + LEASE, room.messages)?;
            let left = room.messages.saturating_sub(u32::try_from(taken.len()).unwrap_or(u32::MAX));
            let mut left = left.min(room.tried);
            // An index gives them by their attempts, so the urgent ones are asked for by themselves.
            for attempt in [Attempt::FurtherUrgent, Attempt::Further] {
                let further = tx.take_messages(due, attempt, now + LEASE, left)?;
                left = left.saturating_sub(u32::try_from(further.len()).unwrap_or(u32::MAX));
                taken.extend(further);
            }
            Ok::<_, Error>(taken)
        };
        let taken = self.store.write(take).await?;
        let mut messages = Vec::new();
        for sealed in taken {
            let (id, written_at, attempts) = (sealed.id, sealed.created_at, sealed.attempts);
            match self.open_message(&sealed) {
                Ok(message) => {
                    let mailbox = sealed.mailbox;
                    messages.push(OutboxMessage { id, written_at, message, mailbox, attempts });
                }
                // Sealed under a secret that is gone, or of a version that is: it stays to be seen.
                Err(error) => {
                    tracing::error!(id = %id.0, error = error.in_full(), "gave up a message that cannot be read");
                    let give_up = move |tx: &Tx<'_>| {
                        tx.message_failed(id, attempts, MessageState::Dead, now, "it cannot be read")?;
                        Ok::<_, Error>(())
                    };
                    self.store.write(give_up).await?;
                }
            }
        }
        Ok(messages)
    }

    /// Reports that a message was sent: it is forgotten, with the code and link in it.
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn message_sent(&self, id: MessageId) -> Result<(), Error> {
        self.circuit_breaker.reset();
        self.store.write(move |tx| Ok::<_, Error>(tx.delete_message(id)?)).await
    }

    /// Whether what was tried before is rather the mail server's trouble than the messages', so that one more try is enough
    /// to see whether it is over.
    #[must_use]
    pub fn is_half_open(&self) -> bool {
        self.circuit_breaker.is_half_open()
    }

    /// Reports that a message could not be sent: it is tried again after a pause that grows, until it is refused for good,
    /// was tried for two days or has expired. Then it is dead, and can be seen to be. Answers which. A report that comes
    /// after the lease, when another attempt was begun, changes nothing in the outbox.
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn message_failed(
        &self,
        message: &OutboxMessage,
        delivery_error: &DeliveryError,
    ) -> Result<MessageState, Error> {
        let now = self.clock.now();
        if !delivery_error.is_attempted() {
            let (id, attempts) = (message.id, message.attempts);
            self.store.write(move |tx| Ok::<_, Error>(tx.put_back_message(id, attempts, now)?)).await?;
            return Ok(MessageState::Waiting);
        }
        let is_over = delivery_error.is_final() || now >= message.written_at + TRIED_FOR;
        let state = if is_over { MessageState::Dead } else { MessageState::Waiting };
        if delivery_error.is_final() && self.circuit_breaker.record_rejection(&message.mailbox) {
            tracing::error!("every recipient is refused: check messages.from and smtp.username");
        }
        let (id, attempts, why) = (message.id, message.attempts, delivery_error.with_response());
        let impact =
            self.circuit_breaker.record_failure(delivery_error, &message.mailbox, message.attempts, now);
        let (scope, others) = (impact.scope, impact.others_wait_until);
        let own = now + retry_delay(message.attempts, delivery_error, scope);
        let is_alone = scope == Scope::Retries && message.message.kind.is_urgent();
        let due_at = if is_alone { own } else { own.max(others.unwrap_or(own)) };
        let noted = self.store.write(move |tx| {
            if !tx.message_failed(id, attempts, state, due_at, &why)? {
                return Ok(state);
            }
            if scope != Scope::All {
                tx.defer_message(id)?;
            }
            if let Some(until) = others {
                match scope {
                    Scope::Retries => tx.postpone_tried_messages(until)?,
                    Scope::Message | Scope::All => tx.postpone_messages(until)?,
                }
            }
            Ok::<_, Error>(state)
        });
        noted.await
    }

    /// A page of the messages that were not sent (yet), oldest first.
    ///
    /// # Errors
    /// Only if the store does not answer.
    pub async fn messages(
        &self,
        _by: &Admin,
        after: Option<OutboxCursor>,
    ) -> Result<Page<OutboxEntry, OutboxCursor>, Error> {
        const PAGE: u32 = 500;
        let now = self.clock.now();
        let page = self.store.read(move |tx| Ok::<_, Error>(tx.messages(after, PAGE)?)).await?;
        Ok(page.map(|sealed| self.posted(&sealed, now)))
    }

    /// Has one message, or every one, tried again at once; dead ones, too, unless nobody would read them any more.
    ///
    /// # Errors
    /// Only if the store does not answer.
    pub async fn retry_messages(&self, _by: &Admin, id: Option<MessageId>) -> Result<Retried, Error> {
        let now = self.clock.now();
        let retried = self.store.write(move |tx| Ok::<_, Error>(Retried(tx.retry_messages(id, now)?))).await;
        self.posted.notify_one();
        retried
    }

    /// Returns when a message was put into the outbox by this process.
    pub async fn message_posted(&self) {
        self.posted.notified().await;
    }

    /// A message as its keeper sees it; one that cannot be read any more is about nothing.
    pub(crate) fn posted(&self, sealed: &SealedMessage, now: Timestamp) -> OutboxEntry {
        let (to, kind) = match self.open_message(sealed) {
            Ok(message) => (message.to, Some(message.kind)),
            Err(_) => (sealed.recipient.clone(), None),
        };
        let state = if sealed.expires_at <= now { MessageState::Dead } else { sealed.state };
        OutboxEntry {
            id: sealed.id,
            to,
            kind,
            state,
            attempts: sealed.attempts,
            due_at: sealed.due_at,
            created_at: sealed.created_at,
            expires_at: sealed.expires_at,
            last_error: sealed.last_error.clone(),
        }
    }

    fn open_message(&self, sealed: &SealedMessage) -> Result<Message, Error> {
        let plain = self
            .secret
            .unseal(&label(sealed.id), &sealed.sealed)
            .map_err(|e| Error::Internal(e.to_string()))?;
        serde_json::from_slice(&plain).map_err(|e| Error::Internal(e.to_string()))
    }
}

/// What a message is sealed with, besides the secret.
fn label(id: MessageId) -> String {
    format!("message {}", id.0)
}
