//! The table `outbox`: messages that wait to be sent, and those that were given up.

use rusqlite::Row;
use uuid::Uuid;

use super::{
    Error, Snapshot, Tx,
    tx::{timestamp, uuid, word},
};
use crate::model::{MessageId, MessageState, Timestamp, User, UserId, Word};

const COLUMNS: &str = "id, user_id, recipient, mailbox, urgent, sealed, state, attempts, due_at, created_at, \
                       expires_at, last_error, seq";

/// What is due at ?1, when no message is put off beyond ?2. The clock may have been ahead when a message was written or put
/// off.
const DUE: &str = "state = 'waiting' AND expires_at > ?1 \
                   AND (due_at <= ?1 OR due_at > ?2 OR attempts = 0 AND created_at > ?1)";

/// A message as it is kept: encrypted.
#[derive(Clone, Debug)]
pub struct SealedMessage {
    /// Its id, stable over every attempt.
    pub id: MessageId,
    /// Whose it is; it goes when they go. A notice stays.
    pub user_id: Option<UserId>,
    /// The address it goes to, in its compared form.
    pub recipient: String,
    /// The mailbox that it is delivered to: messages to one keep their order.
    pub mailbox: String,
    /// Whether it waits for no other message, and is taken first.
    pub urgent: bool,
    /// The message under the installation secret.
    pub sealed: Vec<u8>,
    /// Whether it still waits to be sent.
    pub state: MessageState,
    /// How often it was tried.
    pub attempts: u32,
    /// Not to be tried before.
    pub due_at: Timestamp,
    /// When it was written.
    pub created_at: Timestamp,
    /// Worth nothing from then on.
    pub expires_at: Timestamp,
    /// Why the latest attempt failed.
    pub last_error: Option<String>,
}

impl Snapshot<'_> {
    /// Messages in the order in which they were written, at most `limit`, after the row `after`.
    pub(crate) fn messages(&self, after: i64, limit: u32) -> Result<Vec<(i64, SealedMessage)>, Error> {
        let sql = format!("SELECT {COLUMNS} FROM outbox WHERE seq > ?1 ORDER BY seq LIMIT ?2");
        self.all(&sql, (after, limit), read_message)
    }

    /// The messages of a user, and the notices to their address since it can have been theirs.
    pub(crate) fn messages_of(&self, user: &User) -> Result<Vec<SealedMessage>, Error> {
        let sql = format!(
            "SELECT {COLUMNS} FROM outbox WHERE user_id = ?1 OR (user_id IS NULL AND recipient = ?2 AND created_at >= ?3) ORDER BY seq"
        );
        let (id, address) = (user.id.as_uuid().as_bytes(), user.profile.email.key());
        self.all(&sql, (id, address, user.created_at.millis()), |row| Ok(read_message(row)?.1))
    }

    /// Whether there is anything to send; no message is put off beyond `furthest`.
    pub(crate) fn has_due_messages(&self, now: Timestamp, furthest: Timestamp) -> Result<bool, Error> {
        let sql = format!("SELECT 1 FROM outbox WHERE {DUE} LIMIT 1");
        Ok(self.number(&sql, [now.millis(), furthest.millis()])? > 0)
    }

    /// How many messages have been worth nothing since before.
    pub(crate) fn count_old_messages(&self, before: Timestamp) -> Result<u64, Error> {
        self.number("SELECT count(*) FROM outbox WHERE expires_at <= ?1", [before.millis()])
    }
}

impl Tx<'_> {
    /// Adds a message.
    pub(crate) fn enqueue(&self, message: &SealedMessage) -> Result<(), Error> {
        self.execute_one(
            "INSERT INTO outbox (id, user_id, recipient, mailbox, urgent, sealed, state, attempts, due_at, created_at, \
             expires_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
            (
                message.id.0.as_bytes(),
                message.user_id.map(|id| *id.as_uuid().as_bytes()),
                &message.recipient,
                &message.mailbox,
                message.urgent,
                &message.sealed,
                message.state.word(),
                message.attempts,
                message.due_at.millis(),
                message.created_at.millis(),
                message.expires_at.millis(),
            ),
        )
    }

    /// Takes messages that are due, at most `limit`: the least tried first, among those the urgent ones, and then the
    /// oldest. One that is not urgent waits for the earlier ones to its mailbox that were not deferred yet. Until `again`
    /// they belong to this worker; then, if it was stopped in between, they are due once more.
    pub(crate) fn take_messages(
        &self,
        now: Timestamp,
        furthest: Timestamp,
        again: Timestamp,
        limit: u32,
    ) -> Result<Vec<SealedMessage>, Error> {
        let sql = format!(
            "UPDATE outbox SET attempts = attempts + 1, due_at = ?3 WHERE seq IN \
             (SELECT seq FROM outbox o WHERE {DUE} AND NOT EXISTS \
             (SELECT 1 FROM outbox e WHERE o.urgent = 0 AND e.mailbox = o.mailbox AND e.state = 'waiting' \
             AND e.deferred = 0 AND e.seq < o.seq AND e.expires_at > ?1) \
             ORDER BY attempts, urgent DESC, seq LIMIT ?4) RETURNING {COLUMNS}"
        );
        let mut taken =
            self.returning(&sql, (now.millis(), furthest.millis(), again.millis(), limit), read_message)?;
        taken.sort_by_key(|(seq, message)| (message.attempts, !message.urgent, *seq));
        Ok(taken.into_iter().map(|(_, message)| message).collect())
    }

    /// Forgets a message, sent or not worth sending; one that is gone already is as good.
    pub(crate) fn delete_message(&self, id: MessageId) -> Result<(), Error> {
        self.execute("DELETE FROM outbox WHERE id = ?1", [id.0.as_bytes()])?;
        Ok(())
    }

    /// Writes what became of an attempt that failed.
    pub(crate) fn message_failed(
        &self,
        id: MessageId,
        state: MessageState,
        due_at: Timestamp,
        why: &str,
    ) -> Result<(), Error> {
        self.execute(
            "UPDATE outbox SET state = ?2, due_at = ?3, last_error = ?4 WHERE id = ?1",
            (id.0.as_bytes(), state.word(), due_at.millis(), why),
        )?;
        Ok(())
    }

    /// Has later messages to the same mailbox wait for this one no longer.
    pub(crate) fn defer_message(&self, id: MessageId) -> Result<(), Error> {
        self.execute("UPDATE outbox SET deferred = 1 WHERE id = ?1", [id.0.as_bytes()])?;
        Ok(())
    }

    /// Puts off every message that waits and was tried so often at least: none would fare better before.
    pub(crate) fn postpone_messages(&self, due_at: Timestamp, attempts: u32) -> Result<(), Error> {
        let sql = "UPDATE outbox SET due_at = ?1 WHERE state = 'waiting' AND due_at < ?1 AND attempts >= ?2";
        self.execute(sql, (due_at.millis(), attempts))?;
        Ok(())
    }

    /// Gives back a message that was taken and not tried.
    pub(crate) fn put_back_message(&self, id: MessageId, due_at: Timestamp) -> Result<(), Error> {
        self.execute(
            "UPDATE outbox SET due_at = ?2, attempts = attempts - 1 WHERE id = ?1",
            (id.0.as_bytes(), due_at.millis()),
        )?;
        Ok(())
    }

    /// Has messages tried again at once, dead ones included, unless nobody would read them any more: this one, or all;
    /// answers how many.
    pub(crate) fn retry_messages(&self, id: Option<MessageId>, now: Timestamp) -> Result<usize, Error> {
        self.execute(
            "UPDATE outbox SET state = 'waiting', due_at = ?2 WHERE (?1 IS NULL OR id = ?1) AND expires_at > ?2",
            (id.map(|id| *id.0.as_bytes()), now.millis()),
        )
    }

    /// Deletes messages that have been worth nothing since before, at most `limit`; answers how many.
    pub(crate) fn delete_old_messages(&self, before: Timestamp, limit: u32) -> Result<usize, Error> {
        self.execute(
            "DELETE FROM outbox WHERE seq IN (SELECT seq FROM outbox WHERE expires_at <= ?1 LIMIT ?2)",
            (before.millis(), limit),
        )
    }
}

fn read_message(row: &Row<'_>) -> rusqlite::Result<(i64, SealedMessage)> {
    let recipient: String = row.get(2)?;
    let message = SealedMessage {
        id: MessageId(uuid(row, 0)?),
        user_id: row.get::<_, Option<[u8; 16]>>(1)?.map(|id| UserId::from_uuid(Uuid::from_bytes(id))),
        mailbox: row.get::<_, Option<String>>(3)?.unwrap_or_else(|| recipient.clone()),
        recipient,
        urgent: row.get(4)?,
        sealed: row.get(5)?,
        state: word(row, 6)?,
        attempts: row.get(7)?,
        due_at: timestamp(row, 8)?,
        created_at: timestamp(row, 9)?,
        expires_at: timestamp(row, 10)?,
        last_error: row.get(11)?,
    };
    Ok((row.get(12)?, message))
}
