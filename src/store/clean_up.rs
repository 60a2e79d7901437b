//! The table `clean_up`: one row, in which a server that starts finds when the clean-up last ran.

use std::time::Duration;

use super::{Error, Snapshot, Tx, tx::maybe_timestamp};
use crate::domain::Timestamp;

/// What is known of the clean-up before the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CleanUpRow {
    /// When it ran, by the clock of then; none before the first.
    pub last_run: Option<Timestamp>,
    /// Whether the clock has leapt since, while a server ran.
    pub leapt: bool,
    /// For how long servers have run since the next was held first.
    pub held: Duration,
}

impl Snapshot<'_> {
    /// What is known of the clean-up before the next.
    pub(crate) fn clean_up(&self) -> Result<CleanUpRow, Error> {
        let found = self.first("SELECT last_run, leapt, held FROM clean_up", [], |row| {
            Ok(CleanUpRow {
                last_run: maybe_timestamp(row, 0)?,
                leapt: row.get(1)?,
                held: Duration::from_millis(row.get::<_, i64>(2)?.unsigned_abs()),
            })
        });
        found.map(Option::unwrap_or_default)
    }
}

impl Tx<'_> {
    /// Writes what is to be known of the clean-up before the next.
    pub(crate) fn put_clean_up(&self, row: CleanUpRow) -> Result<(), Error> {
        let held = i64::try_from(row.held.as_millis()).unwrap_or(i64::MAX);
        self.execute_one(
            "INSERT OR REPLACE INTO clean_up (one, last_run, leapt, held) VALUES (1, ?1, ?2, ?3)",
            (row.last_run.map(Timestamp::millis), row.leapt, held),
        )
    }
}
