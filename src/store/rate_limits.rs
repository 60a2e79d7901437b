//! The table `rate_limits`: the used tokens of each bucket until the purge finds it full, and trusted networks.

use super::{
    error::Error,
    sql::timestamp,
    tx::{RateLimitTx, Snapshot, Tx},
};
use crate::domain::{CountKey, Timestamp};

/// The used tokens of a bucket, and the time since which it is being refilled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsedTokens {
    pub used: u32,
    pub since: Timestamp,
}

impl Snapshot<'_> {
    pub(crate) fn used(&self, key: CountKey) -> Result<Option<UsedTokens>, Error> {
        let sql = "SELECT used, since FROM rate_limits WHERE key = ?1";
        self.first(sql, [key.0], |row| Ok(UsedTokens { used: row.get(0)?, since: timestamp(row, 1)? }))
    }

    pub(crate) fn count_refilled_limits(&self, now: Timestamp) -> Result<u64, Error> {
        self.number("SELECT count(*) FROM rate_limits WHERE refilled_at <= ?1", [now.millis()])
    }
}

impl RateLimitTx<'_> {
    pub(crate) fn used(&self, key: CountKey) -> Result<Option<UsedTokens>, Error> {
        self.0.used(key)
    }

    /// Stores what a bucket holds from now on, and when it will be full; none for a full one. `before` is what was read of it.
    ///
    /// # Errors
    /// `Retry` if another transaction has changed it since.
    pub(crate) fn store(
        &self,
        key: CountKey,
        before: Option<UsedTokens>,
        after: Option<(UsedTokens, Timestamp)>,
    ) -> Result<(), Error> {
        let (key, before) = (key.0, before.map(|before| (before.used, before.since.millis())));
        let after =
            after.map(|(after, refilled_at)| (after.used, after.since.millis(), refilled_at.millis()));
        let changed = match (before, after) {
            (None, None) => return Ok(()),
            (None, Some((used, since, refilled_at))) => self.0.execute(
                "INSERT INTO rate_limits (key, used, since, refilled_at) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (key) DO NOTHING",
                (key, used, since, refilled_at),
            ),
            (Some(before), Some((used, since, refilled_at))) => self.0.execute(
                "UPDATE rate_limits SET used = ?4, since = ?5, refilled_at = ?6 WHERE key = ?1 AND used = ?2 AND since = ?3",
                (key, before.0, before.1, used, since, refilled_at),
            ),
            (Some(before), None) => self.0.execute(
                "DELETE FROM rate_limits WHERE key = ?1 AND used = ?2 AND since = ?3",
                (key, before.0, before.1),
            ),
        };
        match changed? {
            1 => Ok(()),
            _ => Err(self.0.conflict("another transaction has changed a rate limit")),
        }
    }
}

impl Tx<'_> {
    /// Deletes at most `limit` buckets that are full again; returns how many.
    pub(crate) fn delete_refilled_limits(&self, now: Timestamp, limit: u32) -> Result<usize, Error> {
        self.delete_some("rate_limits", "key", "refilled_at <= ?1", limit, now)
    }
}
