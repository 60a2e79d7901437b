//! The table `sent_codes`: how many codes were sent to an address, for all clients together.

use super::{
    error::Error,
    sql::timestamp,
    tx::{Snapshot, Tx},
};
use crate::domain::{CountKey, Timestamp};

impl Snapshot<'_> {
    /// How many codes were sent, and when the latest; none once the count has expired.
    pub(crate) fn sent_codes(&self, key: CountKey, now: Timestamp) -> Result<Option<(u8, Timestamp)>, Error> {
        let sql = "SELECT sent, sent_at FROM sent_codes WHERE key = ?1 AND counted_until > ?2";
        self.first(sql, (key.0, now.millis()), |row| Ok((row.get(0)?, timestamp(row, 1)?)))
    }

    pub(crate) fn count_old_sent_codes(&self, now: Timestamp) -> Result<u64, Error> {
        self.number("SELECT count(*) FROM sent_codes WHERE counted_until <= ?1", [now.millis()])
    }
}

impl Tx<'_> {
    pub(crate) fn put_sent_codes(
        &self,
        key: CountKey,
        sent: u8,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<(), Error> {
        self.execute_one(
            "INSERT INTO sent_codes (key, sent, sent_at, counted_until) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (key) \
             DO UPDATE SET sent = excluded.sent, sent_at = excluded.sent_at, counted_until = excluded.counted_until",
            (key.0, sent, now.millis(), until.millis()),
        )
    }

    pub(crate) fn delete_sent_codes(&self, key: CountKey) -> Result<(), Error> {
        self.execute("DELETE FROM sent_codes WHERE key = ?1", [key.0])?;
        Ok(())
    }

    /// Deletes at most `limit` expired counts; returns how many.
    pub(crate) fn delete_old_sent_codes(&self, now: Timestamp, limit: u32) -> Result<usize, Error> {
        self.delete_some("sent_codes", "key", "counted_until <= ?1", limit, now)
    }
}
