//! The table `clean_up`: one row, which tells a starting server about the last purge.

use std::time::Duration;

use super::{
    error::Error,
    sql::maybe_timestamp,
    tx::{Snapshot, Tx},
};
use crate::domain::Timestamp;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CleanUpRow {
    /// By the clock at that time; none before the first purge.
    pub last_run: Option<Timestamp>,
    /// Whether the clock has jumped since, while a server ran.
    pub jumped: bool,
    /// For how long servers have run since the next purge was first delayed.
    pub held: Duration,
}

impl Snapshot<'_> {
    pub(crate) fn clean_up(&self) -> Result<CleanUpRow, Error> {
        let found = self.first("SELECT last_run, jumped, held FROM clean_up", (), |row| {
            Ok(CleanUpRow {
                last_run: maybe_timestamp(row, 0)?,
                jumped: row.get(1)?,
                held: Duration::from_millis(row.get::<i64>(2)?.unsigned_abs()),
            })
        });
        found.map(Option::unwrap_or_default)
    }
}

impl Tx<'_> {
    pub(crate) fn put_clean_up(&self, row: CleanUpRow) -> Result<(), Error> {
        let held = i64::try_from(row.held.as_millis()).unwrap_or(i64::MAX);
        self.execute_one(
            "INSERT INTO clean_up (one, last_run, jumped, held) VALUES (1, ?1, ?2, ?3) ON CONFLICT (one) DO UPDATE \
             SET last_run = excluded.last_run, jumped = excluded.jumped, held = excluded.held",
            (row.last_run.map(Timestamp::millis), row.jumped, held),
        )
    }
}
