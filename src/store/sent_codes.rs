//! The table `sent_codes`: how much was sent to an address, whoever asked for it.

use super::{Error, Snapshot, Tx, tx::timestamp};
use crate::domain::{CountKey, Timestamp};

impl Snapshot<'_> {
    /// How much was sent, and when the latest; nothing if it does not count any more.
    pub(crate) fn sent_codes(&self, key: CountKey, now: Timestamp) -> Result<Option<(u8, Timestamp)>, Error> {
        let sql = "SELECT sent, sent_at FROM sent_codes WHERE key = ?1 AND counted_until > ?2";
        self.first(sql, (key.0, now.millis()), |row| Ok((row.get(0)?, timestamp(row, 1)?)))
    }

    /// How many counts are over.
    pub(crate) fn count_old_sent_codes(&self, now: Timestamp) -> Result<u64, Error> {
        self.number("SELECT count(*) FROM sent_codes WHERE counted_until <= ?1", [now.millis()])
    }
}

impl Tx<'_> {
    /// Keeps a count.
    pub(crate) fn put_sent_codes(
        &self,
        key: CountKey,
        sent: u8,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<(), Error> {
        self.execute_one(
            "INSERT OR REPLACE INTO sent_codes (key, sent, sent_at, counted_until) VALUES (?1, ?2, ?3, ?4)",
            (key.0, sent, now.millis(), until.millis()),
        )
    }

    /// Forgets a count.
    pub(crate) fn delete_sent_codes(&self, key: CountKey) -> Result<(), Error> {
        self.execute("DELETE FROM sent_codes WHERE key = ?1", [key.0])?;
        Ok(())
    }

    /// Deletes counts that are over, at most `limit`; answers how many.
    pub(crate) fn delete_old_sent_codes(&self, now: Timestamp, limit: u32) -> Result<usize, Error> {
        self.execute(
            "DELETE FROM sent_codes WHERE key IN (SELECT key FROM sent_codes WHERE counted_until <= ?1 LIMIT ?2)",
            (now.millis(), limit),
        )
    }
}
