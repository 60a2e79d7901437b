//! The table `rate_limits`: the used tokens of each bucket until the purge finds it full, and trusted networks.

use super::{
    error::Error,
    sql::timestamp,
    tx::{Snapshot, Tx},
};
use crate::domain::{CountKey, Timestamp};

impl Snapshot<'_> {
    /// The used tokens of a bucket, and the time since which it is being refilled.
    pub(crate) fn used(&self, key: CountKey) -> Result<Option<(u32, Timestamp)>, Error> {
        let sql = "SELECT used, since FROM rate_limits WHERE key = ?1";
        self.first(sql, [key.0], |row| Ok((row.get(0)?, timestamp(row, 1)?)))
    }

    pub(crate) fn count_refilled_limits(&self, now: Timestamp) -> Result<u64, Error> {
        self.number("SELECT count(*) FROM rate_limits WHERE refilled_at <= ?1", [now.millis()])
    }
}

impl Tx<'_> {
    pub(crate) fn put_used(
        &self,
        key: CountKey,
        used: u32,
        since: Timestamp,
        refilled_at: Timestamp,
    ) -> Result<(), Error> {
        self.execute_one(
            "INSERT INTO rate_limits (key, used, since, refilled_at) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (key) \
             DO UPDATE SET used = excluded.used, since = excluded.since, refilled_at = excluded.refilled_at",
            (key.0, used, since.millis(), refilled_at.millis()),
        )
    }

    pub(crate) fn delete_used(&self, key: CountKey) -> Result<(), Error> {
        self.execute("DELETE FROM rate_limits WHERE key = ?1", [key.0])?;
        Ok(())
    }

    /// Deletes at most `limit` buckets that are full again; returns how many.
    pub(crate) fn delete_refilled_limits(&self, now: Timestamp, limit: u32) -> Result<usize, Error> {
        self.delete_some("rate_limits", "key", "refilled_at <= ?1", limit, now)
    }
}
