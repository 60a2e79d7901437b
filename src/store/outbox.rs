//! The table `outbox`: messages that wait to be sent.

use super::{Error, Snapshot, Tx, tx::uuid};
use crate::model::{MessageId, Timestamp, UserId};

/// A message as it waits: encrypted.
#[derive(Clone, Debug)]
pub struct SealedMessage {
    /// Its id, stable over every attempt.
    pub id: MessageId,
    /// To whom; it goes when they go.
    pub user_id: UserId,
    /// The message under the installation secret.
    pub sealed: Vec<u8>,
    /// How often it was tried.
    pub attempts: u32,
    /// Not to be tried before.
    pub due_at: Timestamp,
    /// When it was written.
    pub created_at: Timestamp,
    /// Worth nothing from then on.
    pub expires_at: Timestamp,
}

impl Snapshot<'_> {
    /// How many messages came too late to be sent.
    pub(crate) fn count_dead_messages(&self, now: Timestamp) -> Result<u64, Error> {
        self.number("SELECT count(*) FROM outbox WHERE expires_at <= ?1", [now.millis()])
    }
}

impl Tx<'_> {
    /// Adds a message.
    pub(crate) fn enqueue(&self, message: &SealedMessage) -> Result<(), Error> {
        self.execute_one(
            "INSERT INTO outbox (id, user_id, sealed, attempts, due_at, created_at, expires_at) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            (
                message.id.0.as_bytes(),
                message.user_id.as_uuid().as_bytes(),
                &message.sealed,
                message.attempts,
                message.due_at.millis(),
                message.created_at.millis(),
                message.expires_at.millis(),
            ),
        )
    }

    /// Takes messages that are due, oldest first, at most `limit`. Until `again` they are nobody else's; then, if
    /// whoever took them was stopped in between, they are due once more.
    pub(crate) fn take_messages(
        &self,
        now: Timestamp,
        again: Timestamp,
        limit: u32,
    ) -> Result<Vec<SealedMessage>, Error> {
        let mut taken = self.returning(
            "UPDATE outbox SET attempts = attempts + 1, due_at = ?2 WHERE seq IN \
             (SELECT seq FROM outbox WHERE due_at <= ?1 AND expires_at > ?1 ORDER BY seq LIMIT ?3) \
             RETURNING id, user_id, sealed, attempts, due_at, created_at, expires_at, seq",
            (now.millis(), again.millis(), limit),
            |row| {
                let message = SealedMessage {
                    id: MessageId(uuid(row, 0)?),
                    user_id: UserId::from_uuid(uuid(row, 1)?),
                    sealed: row.get(2)?,
                    attempts: row.get(3)?,
                    due_at: Timestamp::from_millis(row.get(4)?),
                    created_at: Timestamp::from_millis(row.get(5)?),
                    expires_at: Timestamp::from_millis(row.get(6)?),
                };
                Ok((row.get::<_, i64>(7)?, message))
            },
        )?;
        taken.sort_by_key(|(seq, _)| *seq);
        Ok(taken.into_iter().map(|(_, message)| message).collect())
    }

    /// Forgets a message, sent or not worth sending; one that is gone already is as good.
    pub(crate) fn delete_message(&self, id: MessageId) -> Result<(), Error> {
        self.execute("DELETE FROM outbox WHERE id = ?1", [id.0.as_bytes()])?;
        Ok(())
    }

    /// Puts a message off.
    pub(crate) fn postpone_message(&self, id: MessageId, due_at: Timestamp) -> Result<(), Error> {
        self.execute("UPDATE outbox SET due_at = ?2 WHERE id = ?1", (id.0.as_bytes(), due_at.millis()))?;
        Ok(())
    }

    /// Deletes messages that came too late, at most `limit`; answers how many.
    pub(crate) fn delete_dead_messages(&self, now: Timestamp, limit: u32) -> Result<usize, Error> {
        self.execute(
            "DELETE FROM outbox WHERE seq IN (SELECT seq FROM outbox WHERE expires_at <= ?1 LIMIT ?2)",
            (now.millis(), limit),
        )
    }
}
