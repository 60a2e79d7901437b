//! The table `limits`: how much of a budget is gone.

use super::{Error, Snapshot, Tx, tx::timestamp};
use crate::model::{CountKey, Timestamp};

impl Snapshot<'_> {
    /// How much of a budget is gone, and since when time has been giving it back; nothing if it is whole.
    pub(crate) fn spent(&self, key: CountKey) -> Result<Option<(u32, Timestamp)>, Error> {
        let sql = "SELECT spent, since FROM limits WHERE key = ?1";
        self.first(sql, [key.0], |row| Ok((row.get(0)?, timestamp(row, 1)?)))
    }

    /// How many budgets are whole again.
    pub(crate) fn count_whole_limits(&self, now: Timestamp) -> Result<u64, Error> {
        self.number("SELECT count(*) FROM limits WHERE whole_at <= ?1", [now.millis()])
    }
}

impl Tx<'_> {
    /// Writes how much of a budget is gone.
    pub(crate) fn put_spent(
        &self,
        key: CountKey,
        spent: u32,
        since: Timestamp,
        whole_at: Timestamp,
    ) -> Result<(), Error> {
        self.execute_one(
            "INSERT OR REPLACE INTO limits (key, spent, since, whole_at) VALUES (?1, ?2, ?3, ?4)",
            (key.0, spent, since.millis(), whole_at.millis()),
        )
    }

    /// Makes a budget whole.
    pub(crate) fn delete_spent(&self, key: CountKey) -> Result<(), Error> {
        self.execute("DELETE FROM limits WHERE key = ?1", [key.0])?;
        Ok(())
    }

    /// Forgets budgets that are whole again, at most `limit`; answers how many.
    pub(crate) fn delete_whole_limits(&self, now: Timestamp, limit: u32) -> Result<usize, Error> {
        self.execute(
            "DELETE FROM limits WHERE key IN (SELECT key FROM limits WHERE whole_at <= ?1 LIMIT ?2)",
            (now.millis(), limit),
        )
    }
}
