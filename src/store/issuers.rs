//! The table `issuers`.

use super::{
    error::Error,
    sql::timestamp,
    tx::{Snapshot, Tx},
};
use crate::domain::Timestamp;

impl Snapshot<'_> {
    /// Every issuer, with the time of its last use.
    pub(crate) fn issuers(&self) -> Result<Vec<(String, Timestamp)>, Error> {
        let sql = "SELECT issuer, last_used_at FROM issuers ORDER BY issuer";
        self.all(sql, (), |row| Ok((row.get(0)?, timestamp(row, 1)?)))
    }
}

impl Tx<'_> {
    /// Records that an issuer is used, at most once an hour.
    pub(crate) fn use_issuer(&self, issuer: &str, now: Timestamp) -> Result<(), Error> {
        self.execute(
            "INSERT INTO issuers (issuer, last_used_at) VALUES (?1, ?2) ON CONFLICT (issuer) DO UPDATE \
             SET last_used_at = excluded.last_used_at \
             WHERE abs(excluded.last_used_at - issuers.last_used_at) >= 3600000",
            (issuer, now.millis()),
        )?;
        Ok(())
    }

    pub(crate) fn delete_old_issuers(&self, before: Timestamp) -> Result<(), Error> {
        self.execute("DELETE FROM issuers WHERE last_used_at < ?1", [before.millis()])?;
        Ok(())
    }
}
