//! Messages on their way out: taken, sent by `delivery`, and forgotten.

use std::time::Duration;

use uuid::Uuid;

use super::{Accounts, Error};
use crate::{
    model::{Message, MessageId, Timestamp, User},
    store::{SealedMessage, Tx},
};

/// For how long a message that was taken is nobody else's. Whoever takes it sends it in less, or was stopped.
const LEASE: Duration = Duration::from_secs(15);
/// How many are taken at a time.
const BATCH: u32 = 32;
/// The pause after the first failure; it doubles with each further one, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_mins(10);

/// A message to send now.
#[derive(Debug)]
pub struct Taken {
    /// Its id, the same at every attempt.
    pub id: MessageId,
    /// What to send.
    pub message: Message,
    attempts: u32,
}

impl Accounts {
    /// Puts a message to a user into the outbox, in the commit of what caused it.
    pub(super) fn post(
        &self,
        tx: &Tx<'_>,
        user: &User,
        message: &Message,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<(), Error> {
        let id = MessageId(Uuid::now_v7());
        let plain = serde_json::to_vec(message).map_err(|e| Error::Internal(e.to_string()))?;
        let sealed = self.secret.seal(&label(id), &plain).map_err(|e| Error::Internal(e.to_string()))?;
        let (attempts, due_at) = (0, now);
        tx.enqueue(&SealedMessage {
            id,
            user_id: user.id,
            sealed,
            attempts,
            due_at,
            created_at: now,
            expires_at,
        })?;
        Ok(())
    }

    /// Takes the messages that are due. They come back unless they are reported as sent: at least once, never not.
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn take_messages(&self) -> Result<Vec<Taken>, Error> {
        let now = self.clock.now();
        let taken =
            self.store.write(move |tx| Ok::<_, Error>(tx.take_messages(now, now + LEASE, BATCH)?)).await?;
        let mut messages = Vec::new();
        for sealed in taken {
            let (id, attempts) = (sealed.id, sealed.attempts);
            match self.open_message(&sealed) {
                Ok(message) => messages.push(Taken { id, message, attempts }),
                // It was sealed under a secret that is gone: nobody will ever read it.
                Err(error) => {
                    tracing::error!(message = %id.0, %error, "dropped a message that cannot be read");
                    self.store.write(move |tx| Ok::<_, Error>(tx.delete_message(id)?)).await?;
                }
            }
        }
        Ok(messages)
    }

    /// Reports that messages were sent: they are forgotten, with the codes and links in them.
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn messages_sent(&self, sent: Vec<MessageId>) -> Result<(), Error> {
        let forget = self
            .store
            .write(move |tx| sent.into_iter().try_for_each(|id| tx.delete_message(id)).map_err(Error::from));
        forget.await
    }

    /// Reports that a message could not be sent: it is tried again after a pause that grows.
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn message_failed(&self, taken: &Taken) -> Result<(), Error> {
        let doublings = taken.attempts.saturating_sub(1).min(16);
        let due_at = self.clock.now() + (FIRST_PAUSE * 2_u32.pow(doublings)).min(LONGEST_PAUSE);
        let id = taken.id;
        self.store.write(move |tx| Ok::<_, Error>(tx.postpone_message(id, due_at)?)).await
    }

    /// Returns when a message was put into the outbox by this process.
    pub async fn message_posted(&self) {
        self.posted.notified().await;
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
