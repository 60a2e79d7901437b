//! The table `outbox`: messages that wait to be sent, and those that were given up.

use std::ops::ControlFlow;

use rusqlite::{Row, types::Value};
use uuid::Uuid;

use super::{
    Error, Snapshot, Tx,
    tx::{timestamp, uuid, variant},
};
use crate::domain::{MessageId, MessageState, Page, Timestamp, User, UserId};

const COLUMNS: &str = "id, user_id, recipient, mailbox, urgent, sealed, state, attempts, due_at, created_at, \
                       expires_at, last_error, seq";

/// What may be sent at ?1: what is due, and what is put off further than ever happens, as after a clock that was ahead. One
/// that is not urgent waits for the earlier ones to its mailbox that were not deferred yet. The sign before `expires_at`
/// keeps SQLite from its index, which would find nearly all.
const SENDABLE: &str = "state = 'waiting' AND +expires_at > ?1 \
    AND (due_at <= ?1 OR due_at > ?2 AND (deferred = 0 OR due_at > ?3)) \
    AND NOT EXISTS (SELECT 1 FROM outbox e WHERE o.urgent = 0 AND e.mailbox = o.mailbox AND e.state = 'waiting' \
    AND e.deferred = 0 AND e.seq < o.seq AND e.expires_at > ?1)";

/// When messages are due.
#[derive(Clone, Copy, Debug)]
pub struct Due {
    /// Now.
    pub now: Timestamp,
    /// No message is put off beyond that.
    pub furthest: Timestamp,
    /// None is that was deferred.
    pub furthest_deferred: Timestamp,
}

/// Which messages to take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// Those that were not tried yet.
    First,
    /// Those that were.
    Further,
    /// Those of them that are urgent.
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
            Self::FurtherUrgent => "attempts > 0 AND urgent = 1",
        }
    }
}

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

    /// The latest messages of a user, and the notices to their address since it can have been theirs, at most `most` in all;
    /// oldest first.
    pub(crate) fn messages_of(&self, user: &User, most: usize) -> Result<Vec<SealedMessage>, Error> {
        const THEIRS: &str = "SELECT seq FROM outbox WHERE user_id = ?1 ORDER BY seq DESC";
        const NOTICES: &str = "SELECT seq FROM outbox WHERE recipient = ?1 AND user_id IS NULL AND created_at >= ?2 \
             ORDER BY seq DESC";
        let id = vec![Value::Blob(user.id.as_uuid().as_bytes().to_vec())];
        let address = user.profile.email.key().to_owned();
        let address = vec![Value::Text(address), Value::Integer(user.created_at.millis())];
        let lists = [(THEIRS, id), (NOTICES, address)];
        let lists = lists.map(|(sql, values)| (sql, rusqlite::params_from_iter(values)));
        let sql = format!("SELECT {COLUMNS} FROM outbox WHERE seq = ?1");
        let mut found = Vec::new();
        self.until_merged(lists.into(), |seq| {
            found.extend(self.first(&sql, [seq], |row| Ok(read_message(row)?.1))?);
            Ok(if found.len() < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
        })?;
        found.reverse();
        Ok(found)
    }

    /// Whether there is anything to send.
    pub(crate) fn has_sendable(&self, due: Due, attempt: Attempt) -> Result<bool, Error> {
        let sql = format!("SELECT 1 FROM outbox o WHERE {} AND {SENDABLE} LIMIT 1", attempt.sql());
        let due = [due.now, due.furthest, due.furthest_deferred].map(|time| time.millis());
        Ok(self.number(&sql, due)? > 0)
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
                message.state.into_str(),
                message.attempts,
                message.due_at.millis(),
                message.created_at.millis(),
                message.expires_at.millis(),
            ),
        )
    }

    /// Takes messages, at most `limit`: the least tried first, among those the urgent ones, and then the oldest. Until
    /// `again` they belong to this worker; then, if it was stopped in between, they are due once more.
    pub(crate) fn take_messages(
        &self,
        due: Due,
        attempt: Attempt,
        again: Timestamp,
        limit: u32,
    ) -> Result<Vec<SealedMessage>, Error> {
        let sql = format!(
            "UPDATE outbox SET attempts = attempts + 1, due_at = ?4 WHERE seq IN (SELECT seq FROM outbox o WHERE {} \
             AND {SENDABLE} ORDER BY attempts, urgent DESC, seq LIMIT ?5) RETURNING {COLUMNS}",
            attempt.sql()
        );
        let [now, furthest, furthest_deferred] =
            [due.now, due.furthest, due.furthest_deferred].map(|time| time.millis());
        let params = (now, furthest, furthest_deferred, again.millis(), limit);
        let mut taken = self.returning(&sql, params, read_message)?;
        taken.sort_by_key(|(seq, message)| (message.attempts, !message.urgent, *seq));
        Ok(taken.into_iter().map(|(_, message)| message).collect())
    }

    /// Forgets a message, sent or not worth sending; one that is gone already is as good.
    pub(crate) fn delete_message(&self, id: MessageId) -> Result<(), Error> {
        self.execute("DELETE FROM outbox WHERE id = ?1", [id.0.as_bytes()])?;
        Ok(())
    }

    /// Writes what became of an attempt that failed; answers whether it was the latest one: after the lease another worker
    /// has the message, and knows better.
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

    /// Has later messages to the same mailbox wait for this one no longer.
    pub(crate) fn defer_message(&self, id: MessageId) -> Result<(), Error> {
        self.execute("UPDATE outbox SET deferred = 1 WHERE id = ?1", [id.0.as_bytes()])?;
        Ok(())
    }

    /// Puts off every message that waits: none would fare better before.
    pub(crate) fn postpone_messages(&self, due_at: Timestamp) -> Result<(), Error> {
        let sql = "UPDATE outbox SET due_at = ?1 WHERE state = 'waiting' AND due_at < ?1";
        self.execute(sql, [due_at.millis()])?;
        Ok(())
    }

    /// Puts off every message that waits and was tried, but for the urgent ones.
    pub(crate) fn postpone_tried_messages(&self, due_at: Timestamp) -> Result<(), Error> {
        let sql = "UPDATE outbox SET due_at = ?1 WHERE state = 'waiting' AND due_at < ?1 AND attempts > 0 AND urgent = 0";
        self.execute(sql, [due_at.millis()])?;
        Ok(())
    }

    /// Gives back a message that was taken and not tried, unless another attempt was begun since.
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
        state: variant(row, 6)?,
        attempts: row.get(7)?,
        due_at: timestamp(row, 8)?,
        created_at: timestamp(row, 9)?,
        expires_at: timestamp(row, 10)?,
        last_error: row.get(11)?,
    };
    Ok((row.get(12)?, message))
}
