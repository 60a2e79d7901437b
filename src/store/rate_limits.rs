//! The table `limits`: how much of a budget is gone.

use super::{Error, Snapshot, Tx, tx::timestamp};
use crate::domain::{CountKey, Timestamp};

impl Snapshot<'_> {
    /// How much of a budget is gone, and since when time has been giving it back; nothing if it is whole.
    pub(crate) fn used(&self, key: CountKey) -> Result<Option<(u32, Timestamp)>, Error> {
        let sql = "SELECT used, since FROM rate_limits WHERE key = ?1";
        self.first(sql, [key.0], |row| Ok((row.get(0)?, timestamp(row, 1)?)))
    }

    /// How many budgets are whole again.
    pub(crate) fn count_refilled_limits(&self, now: Timestamp) -> Result<u64, Error> {
        self.number("SELECT count(*) FROM rate_limits WHERE refilled_at <= ?1", [now.millis()])
    }
}

impl Tx<'_> {
    /// Writes how much of a budget is gone.
    pub(crate) fn put_used(
        &self,
        key: CountKey,
        used: u32,
        since: Timestamp,
        refilled_at: Timestamp,
    ) -> Result<(), Error> {
        self.execute_one(
            "INSERT OR REPLACE INTO rate_limits (key, used, since, refilled_at) VALUES (?1, ?2, ?3, ?4)",
            (key.0, used, since.millis(), refilled_at.millis()),
        )
    }

    /// Makes a budget whole.
    pub(crate) fn delete_used(&self, key: CountKey) -> Result<(), Error> {
        self.execute("DELETE FROM rate_limits WHERE key = ?1", [key.0])?;
        Ok(())
    }

    /// Forgets budgets that are whole again, at most `limit`; answers how many.
    pub(crate) fn delete_refilled_limits(&self, now: Timestamp, limit: u32) -> Result<usize, Error> {
        self.execute(
            "DELETE FROM rate_limits WHERE key IN (SELECT key FROM rate_limits WHERE refilled_at <= ?1 LIMIT ?2)",
            (now.millis(), limit),
        )
    }
}
