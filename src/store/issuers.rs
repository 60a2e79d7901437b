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
        // Most often there is nothing to record, and then nothing is written: PostgreSQL would lock the row even for an UPDATE
        // whose condition is not met, and logins would wait for each other's commits.
        let recent = "SELECT count(*) FROM issuers WHERE issuer = ?1 AND abs(last_used_at - ?2) < 3600000";
        if self.number(recent, (issuer, now.millis()))? == 0 {
            self.execute(
                "INSERT INTO issuers (issuer, last_used_at) VALUES (?1, ?2) ON CONFLICT (issuer) DO UPDATE \
                 SET last_used_at = excluded.last_used_at",
                (issuer, now.millis()),
            )?;
        }
        Ok(())
    }

    pub(crate) fn delete_old_issuers(&self, before: Timestamp) -> Result<(), Error> {
        self.execute("DELETE FROM issuers WHERE last_used_at < ?1", [before.millis()])?;
        Ok(())
    }
}
