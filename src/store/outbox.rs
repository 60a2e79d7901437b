//! The table `outbox`: messages that wait to be sent, and those that failed for good.

use uuid::Uuid;

use super::{
    error::Error,
    sql::{Param, Row, RowResult, timestamp, uuid, variant},
    tx::{Snapshot, Tx},
};
use crate::domain::{MessageId, MessageState, Page, Timestamp, User, UserId};

const COLUMNS: &str = "id, user_id, recipient, mailbox, urgent, sealed, state, attempts, due_at, created_at, \
                       expires_at, last_error, seq";

/// The messages that may be sent at ?1: those that are due, and those that are due later than any back-off allows, as after a
/// clock was ahead. A message that is not urgent waits for earlier ones to its mailbox that are not deferred. The plus before
/// `expires_at` keeps SQLite from the index on it, which would find nearly all, and its partial index wants `deferred = 0`.
const SENDABLE: [&str; 2] = [
    "state = 'waiting' AND +expires_at > ?1 \
     AND (due_at <= ?1 OR due_at > ?2 AND (deferred = 0 OR due_at > ?3)) \
     AND NOT EXISTS (SELECT 1 FROM outbox e WHERE o.urgent = 0 AND e.mailbox = o.mailbox AND e.state = 'waiting' \
     AND e.deferred = 0 AND e.seq < o.seq AND e.expires_at > ?1)",
    "state = 'waiting' AND expires_at > ?1 \
     AND (due_at <= ?1 OR due_at > ?2 AND (NOT deferred OR due_at > ?3)) \
     AND NOT EXISTS (SELECT 1 FROM outbox e WHERE NOT o.urgent AND e.mailbox = o.mailbox AND e.state = 'waiting' \
     AND NOT e.deferred AND e.seq < o.seq AND e.expires_at > ?1)",
];

/// The times that decide whether a message is due.
#[derive(Clone, Copy, Debug)]
pub struct Due {
    pub now: Timestamp,
    /// The latest time at which a message can be due.
    pub furthest: Timestamp,
    /// The same of a deferred message.
    pub furthest_deferred: Timestamp,
}

/// Which messages to lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attempt {
    First,
    /// Messages that were tried before.
    Further,
    /// Urgent messages that were tried before.
    FurtherUrgent,
}

/// The last message of the page before: its place in the order in which messages were enqueued. Its id would not do, since a
/// message is deleted once it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutboxCursor(i64);

impl Attempt {
    const fn sql(self) -> &'static str {
        match self {
            Self::First => "attempts = 0",
            Self::Further => "attempts > 0",
            Self::FurtherUrgent => "attempts > 0 AND urgent = TRUE",
        }
    }
}

/// A message as it is stored: encrypted.
#[derive(Clone, Debug)]
pub struct SealedMessage {
    /// The same in every attempt.
    pub id: MessageId,
    /// The user with whom the message is deleted; none for a notice, which remains.
    pub user_id: Option<UserId>,
    /// The address in its normalized form.
    pub recipient: String,
    /// Messages to one mailbox keep their order.
    pub mailbox: String,
    /// Whether it is sent first, and waits for no other message.
    pub urgent: bool,
    /// The message encrypted with the installation secret.
    pub sealed: Vec<u8>,
    pub state: MessageState,
    pub attempts: u32,
    pub due_at: Timestamp,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
    pub last_error: Option<String>,
}

impl Snapshot<'_> {
    /// A page of messages, oldest first.
    pub(crate) fn messages(
        &self,
        after: Option<OutboxCursor>,
        limit: u32,
    ) -> Result<Page<SealedMessage, OutboxCursor>, Error> {
        let sql = format!("SELECT {COLUMNS} FROM outbox WHERE seq > ?1 ORDER BY seq LIMIT ?2");
        let after = after.map_or(i64::MIN, |cursor| cursor.0);
        let found = self.all(&sql, (after, limit + 1), read_message)?;
        Ok(Page::first(found, limit as usize, |(seq, _)| OutboxCursor(*seq)).map(|(_, message)| message))
    }

    /// The first and the last message; one or none if there are no more.
    pub(crate) fn oldest_and_newest_message(&self) -> Result<Vec<SealedMessage>, Error> {
        let sql = format!(
            "SELECT {COLUMNS} FROM outbox WHERE seq IN ((SELECT min(seq) FROM outbox), (SELECT max(seq) FROM outbox))"
        );
        self.all(&sql, (), |row| Ok(read_message(row)?.1))
    }

    /// The latest messages of a user, and the notices to their address since they signed up, at most `most` in all; oldest
    /// first.
    pub(crate) fn messages_of(&self, user: &User, most: usize) -> Result<Vec<SealedMessage>, Error> {
        const THEIRS: &str = "SELECT seq FROM outbox WHERE user_id = ?1 ORDER BY seq DESC";
        const NOTICES: &str = "SELECT seq FROM outbox WHERE recipient = ?1 AND user_id IS NULL AND created_at >= ?2 \
             ORDER BY seq DESC";
        let id = vec![Param::from(*user.id.as_uuid().as_bytes())];
        let address = vec![user.profile.email.key().to_owned().into(), user.created_at.millis().into()];
        let select = format!("SELECT {COLUMNS} FROM outbox");
        let lists = [(THEIRS, id), (NOTICES, address)];
        let mut found = self.newest(&select, &lists, most, |row| Ok(Some(read_message(row)?.1)))?;
        found.reverse();
        Ok(found)
    }

    pub(crate) fn has_sendable(&self, due: Due, attempt: Attempt) -> Result<bool, Error> {
        let sql = format!("SELECT 1 FROM outbox o WHERE {} AND {} LIMIT 1", attempt.sql(), self.sendable());
        let due = [due.now, due.furthest, due.furthest_deferred].map(|time| time.millis());
        Ok(self.number(&sql, due)? > 0)
    }

    fn sendable(&self) -> &'static str {
        let [sqlite, postgres] = SENDABLE;
        self.either(sqlite, postgres)
    }

    pub(crate) fn count_old_messages(&self, before: Timestamp) -> Result<u64, Error> {
        self.number("SELECT count(*) FROM outbox WHERE expires_at <= ?1", [before.millis()])
    }
}

impl Tx<'_> {
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
                message.state.into_str(),
                message.attempts,
                message.due_at.millis(),
                message.created_at.millis(),
                message.expires_at.millis(),
            ),
        )
    }

    /// Leases at most `limit` messages: the least tried first, of those the urgent ones, and then the oldest. They are due
    /// again at `again`, in case the worker is stopped before it sends them.
    pub(crate) fn take_messages(
        &self,
        due: Due,
        attempt: Attempt,
        again: Timestamp,
        limit: u32,
    ) -> Result<Vec<SealedMessage>, Error> {
        let sql = format!(
            "WITH due AS MATERIALIZED (SELECT seq FROM outbox o WHERE {} AND {} ORDER BY attempts, urgent DESC, seq LIMIT ?5{}) \
             UPDATE outbox SET attempts = attempts + 1, due_at = ?4 WHERE seq IN (SELECT seq FROM due) RETURNING {COLUMNS}",
            attempt.sql(),
            self.sendable(),
            self.skip_locked()
        );
        let [now, furthest, furthest_deferred] =
            [due.now, due.furthest, due.furthest_deferred].map(|time| time.millis());
        let params = (now, furthest, furthest_deferred, again.millis(), limit);
        let mut taken = self.returning(&sql, params, read_message)?;
        taken.sort_by_key(|(seq, message)| (message.attempts, !message.urgent, *seq));
        Ok(taken.into_iter().map(|(_, message)| message).collect())
    }

    /// Deletes a message, if it still exists.
    pub(crate) fn delete_message(&self, id: MessageId) -> Result<(), Error> {
        self.execute("DELETE FROM outbox WHERE id = ?1", [id.0.as_bytes()])?;
        Ok(())
    }

    /// Records a failed attempt; returns whether it was the latest one: after the lease another worker may have taken the
    /// message, whose result counts.
    pub(crate) fn message_failed(
        &self,
        id: MessageId,
        attempts: u32,
        state: MessageState,
        due_at: Timestamp,
        why: &str,
    ) -> Result<bool, Error> {
        let changed = self.execute(
            "UPDATE outbox SET state = ?3, due_at = ?4, last_error = ?5 WHERE id = ?1 AND attempts = ?2",
            (id.0.as_bytes(), attempts, state.into_str(), due_at.millis(), why),
        )?;
        Ok(changed > 0)
    }

    /// Lets later messages to the same mailbox overtake this one.
    pub(crate) fn defer_message(&self, id: MessageId) -> Result<(), Error> {
        self.execute("UPDATE outbox SET deferred = TRUE WHERE id = ?1", [id.0.as_bytes()])?;
        Ok(())
    }

    /// Delays every waiting message.
    pub(crate) fn postpone_messages(&self, due_at: Timestamp) -> Result<(), Error> {
        let sql = "UPDATE outbox SET due_at = ?1 WHERE state = 'waiting' AND due_at < ?1";
        self.execute(sql, [due_at.millis()])?;
        Ok(())
    }

    /// Delays every waiting message that was tried and is not urgent.
    pub(crate) fn postpone_tried_messages(&self, due_at: Timestamp) -> Result<(), Error> {
        let sql = "UPDATE outbox SET due_at = ?1 WHERE state = 'waiting' AND due_at < ?1 AND attempts > 0 AND urgent = FALSE";
        self.execute(sql, [due_at.millis()])?;
        Ok(())
    }

    /// Returns a leased message that was not tried, unless another attempt has begun since.
    pub(crate) fn put_back_message(
        &self,
        id: MessageId,
        attempts: u32,
        due_at: Timestamp,
    ) -> Result<(), Error> {
        self.execute(
            "UPDATE outbox SET due_at = ?3, attempts = attempts - 1 WHERE id = ?1 AND attempts = ?2",
            (id.0.as_bytes(), attempts, due_at.millis()),
        )?;
        Ok(())
    }

    /// Makes one message, or all, due at once, dead ones included unless they have expired; returns how many.
    pub(crate) fn retry_messages(&self, id: Option<MessageId>, now: Timestamp) -> Result<usize, Error> {
        self.execute(
            "UPDATE outbox SET state = 'waiting', due_at = ?2 WHERE (id = ?1 OR ?1 IS NULL) AND expires_at > ?2",
            (id.map(|id| *id.0.as_bytes()), now.millis()),
        )
    }

    /// Deletes at most `limit` messages that expired before; returns how many.
    pub(crate) fn delete_old_messages(&self, before: Timestamp, limit: u32) -> Result<usize, Error> {
        self.delete_some("outbox", "seq", "expires_at <= ?1", limit, before)
    }
}

fn read_message(row: &Row<'_>) -> RowResult<(i64, SealedMessage)> {
    let recipient: String = row.get(2)?;
    let message = SealedMessage {
        id: MessageId(uuid(row, 0)?),
        user_id: row.get::<Option<[u8; 16]>>(1)?.map(|id| UserId::from_uuid(Uuid::from_bytes(id))),
        mailbox: row.get::<Option<String>>(3)?.unwrap_or_else(|| recipient.clone()),
        recipient,
        urgent: row.get(4)?,
        sealed: row.get(5)?,
        state: variant(row, 6)?,
        attempts: row.get(7)?,
        due_at: timestamp(row, 8)?,
        created_at: timestamp(row, 9)?,
        expires_at: timestamp(row, 10)?,
        last_error: row.get(11)?,
    };
    Ok((row.get(12)?, message))
}
