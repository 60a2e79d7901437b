//! What a closure sees of the store: a snapshot to read, or a transaction to read and write.

use std::{
    cell::{Cell, RefCell},
    ops::{ControlFlow, Deref},
};

use super::{
    error::Error,
    postgres,
    sql::{BadColumn, Dialect, Param, Params, Row, RowResult},
    sqlite::statements,
};
use crate::domain::Timestamp;

/// A consistent view of the store.
pub struct Snapshot<'c>(Link<'c>);

/// The connection of an engine.
#[derive(Clone, Copy)]
enum Link<'c> {
    Sqlite(&'c rusqlite::Connection),
    Postgres(&'c postgres::Connection),
}

/// A transaction: all of its changes are committed, or none.
pub struct Tx<'c> {
    snapshot: Snapshot<'c>,
    /// The error of the first statement that failed.
    failed: RefCell<Option<Error>>,
    wakes_outbox: Cell<bool>,
}

/// A transaction on the table `rate_limits` and nothing else, which may be isolated less than others: what is written there
/// says what it replaces.
pub struct RateLimitTx<'t>(pub(super) &'t Tx<'t>);

impl<'c> Tx<'c> {
    pub(super) fn new(connection: &'c rusqlite::Connection) -> Self {
        Self::of(Link::Sqlite(connection))
    }

    pub(super) fn on_postgres(connection: &'c postgres::Connection) -> Self {
        Self::of(Link::Postgres(connection))
    }

    fn of(link: Link<'c>) -> Self {
        Self { snapshot: Snapshot(link), failed: RefCell::default(), wakes_outbox: Cell::new(false) }
    }

    /// Takes the error of the first statement that failed.
    pub(super) fn failure(&self) -> Option<Error> {
        self.failed.take()
    }

    /// Has [`Store::enqueued`](super::Store::enqueued) return after the commit.
    pub fn wake_outbox(&self) {
        self.wakes_outbox.set(true);
    }

    pub(super) fn wakes_outbox(&self) -> bool {
        self.wakes_outbox.get()
    }

    /// Runs one statement; returns the number of rows changed.
    #[expect(clippy::needless_pass_by_value, reason = "callers write a tuple or an array in place")]
    pub(super) fn execute(&self, sql: &str, params: impl Params) -> Result<usize, Error> {
        let executed = match self.0 {
            Link::Sqlite(connection) => statements::execute(connection, sql, &params.values()),
            Link::Postgres(connection) => connection.execute(sql, &params.values()),
        };
        executed.inspect_err(|error| self.note(error))
    }

    /// Runs a statement that changes rows and returns each; the order of `RETURNING` is undefined.
    pub(super) fn returning<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnMut(&Row<'_>) -> RowResult<T>,
    ) -> Result<Vec<T>, Error> {
        self.snapshot.all(sql, params, read).inspect_err(|error| self.note(error))
    }

    /// Deletes at most `limit` rows of a table, whose primary key is `key`, by a condition on ?1; returns how many.
    pub(super) fn delete_some(
        &self,
        table: &str,
        key: &str,
        condition: &str,
        limit: u32,
        by: Timestamp,
    ) -> Result<usize, Error> {
        let skip_locked = self.skip_locked();
        let sql = format!(
            "WITH due AS MATERIALIZED (SELECT {key} FROM {table} WHERE {condition} LIMIT ?2{skip_locked}) \
             DELETE FROM {table} WHERE ({key}) IN (SELECT {key} FROM due)"
        );
        self.execute(&sql, (by.millis(), limit))
    }

    /// Runs a statement that must change exactly one row.
    pub(super) fn execute_one(&self, sql: &str, params: impl Params) -> Result<(), Error> {
        match self.execute(sql, params)? {
            1 => Ok(()),
            rows => Err(Error::Defect(format!("changed {rows} rows instead of one: {sql}"))),
        }
    }

    /// The error of a write that is to be run again.
    pub(super) fn conflict(&self, why: &str) -> Error {
        let error = Error::Retry(why.to_owned());
        self.note(&error);
        error
    }

    fn note(&self, error: &Error) {
        self.failed.borrow_mut().get_or_insert_with(|| error.clone());
    }
}

impl<'c> Deref for Tx<'c> {
    type Target = Snapshot<'c>;

    fn deref(&self) -> &Self::Target {
        &self.snapshot
    }
}

impl<'c> Snapshot<'c> {
    pub(super) fn new(connection: &'c rusqlite::Connection) -> Self {
        Self(Link::Sqlite(connection))
    }

    pub(super) fn dialect(&self) -> Dialect {
        match self.0 {
            Link::Sqlite(_) => Dialect::Sqlite,
            Link::Postgres(_) => Dialect::Postgres,
        }
    }

    /// The text of a statement for the engine of this store.
    pub(super) fn either<'a>(&self, sqlite: &'a str, postgres: &'a str) -> &'a str {
        self.dialect().either(sqlite, postgres)
    }

    /// Ends a query for rows that are changed next: what another process is changing is left to it.
    pub(super) fn skip_locked(&self) -> &'static str {
        self.either("", " FOR UPDATE SKIP LOCKED")
    }

    /// The first row of a query.
    pub(super) fn first<T>(
        &self,
        sql: &str,
        params: impl Params,
        mut read: impl FnMut(&Row<'_>) -> RowResult<T>,
    ) -> Result<Option<T>, Error> {
        let mut first = None;
        self.until(sql, params, |row| {
            first = Some(read(row)?);
            Ok(ControlFlow::Break(()))
        })?;
        Ok(first)
    }

    /// All rows of a query.
    pub(super) fn all<T>(
        &self,
        sql: &str,
        params: impl Params,
        mut read: impl FnMut(&Row<'_>) -> RowResult<T>,
    ) -> Result<Vec<T>, Error> {
        let mut all = Vec::new();
        self.until(sql, params, |row| {
            all.push(read(row)?);
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(all)
    }

    /// Reads the rows of a query one by one, until `read` breaks.
    #[expect(clippy::needless_pass_by_value, reason = "callers write a tuple or an array in place")]
    pub(super) fn until(
        &self,
        sql: &str,
        params: impl Params,
        mut read: impl FnMut(&Row<'_>) -> RowResult<ControlFlow<()>>,
    ) -> Result<(), Error> {
        let connection = match self.0 {
            Link::Sqlite(connection) => {
                return statements::query(connection, sql, &params.values(), &mut read);
            }
            Link::Postgres(connection) => connection,
        };
        for row in connection.query(sql, &params.values())? {
            match read(&Row::new(&row)) {
                Ok(ControlFlow::Continue(())) => {}
                Ok(ControlFlow::Break(())) => break,
                Err(BadColumn(column)) => return Err(postgres::unexpected_value(&row, sql, column)),
            }
        }
        Ok(())
    }

    /// The rows of a table whose `seq` is in one of the lists, the newest first. Each list is a query for numbers in descending
    /// order; a number that is in several lists is read once, and no list is read further than needed. `select` has no
    /// condition yet; `read` returns none for a row that does not belong, as a damaged index may name it.
    pub(super) fn newest<T>(
        &self,
        select: &str,
        lists: &[(&str, Vec<Param>)],
        most: usize,
        mut read: impl FnMut(&Row<'_>) -> RowResult<Option<T>>,
    ) -> Result<Vec<T>, Error> {
        let connection = match self.0 {
            Link::Sqlite(connection) => connection,
            Link::Postgres(_) => return self.newest_in_one(select, lists, most, read),
        };
        let sql = format!("{select} WHERE seq = ?1");
        let lists: Vec<_> = lists.iter().map(|(sql, params)| (*sql, params.values())).collect();
        let mut found = Vec::new();
        statements::merge(connection, &lists, &mut |seq| {
            found.extend(self.first(&sql, [seq], &mut read)?.flatten());
            Ok(if found.len() < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
        })?;
        Ok(found)
    }

    /// The same in one statement, since each one takes a round trip.
    fn newest_in_one<T>(
        &self,
        select: &str,
        lists: &[(&str, Vec<Param>)],
        most: usize,
        read: impl FnMut(&Row<'_>) -> RowResult<Option<T>>,
    ) -> Result<Vec<T>, Error> {
        let params: Vec<_> = lists.iter().flat_map(|(_, params)| params).cloned().collect();
        let limit = format!("LIMIT ?{}", params.len() + 1);
        let mut offset = 0;
        let parts: Vec<_> = lists
            .iter()
            .map(|(sql, params)| {
                let part = format!("({} {limit})", postgres::shifted(sql, '?', offset));
                offset += params.len();
                part
            })
            .collect();
        let sql = format!("{select} WHERE seq IN ({}) ORDER BY seq DESC {limit}", parts.join(" UNION "));
        let limit = Param::Int(i64::try_from(most).unwrap_or(i64::MAX));
        let found = self.all(&sql, [params, vec![limit]].concat(), read)?;
        Ok(found.into_iter().flatten().collect())
    }

    /// The number in the only column of the only row of a query; 0 for the sum of no rows.
    pub(super) fn number(&self, sql: &str, params: impl Params) -> Result<u64, Error> {
        let number = self.first(sql, params, |row| row.get::<Option<i64>>(0))?.flatten();
        Ok(number.and_then(|n| u64::try_from(n).ok()).unwrap_or(0))
    }
}
