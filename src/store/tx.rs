//! What a closure sees of the store: a snapshot to read, or a transaction to read and write.

use std::{
    cell::RefCell,
    ops::{ControlFlow, Deref},
};

use rusqlite::{CachedStatement, Connection, Rows};

use super::{
    error::Error,
    sql::{Params, Row, RowResult},
};

/// A consistent view of the store.
pub struct Snapshot<'c>(&'c Connection);

/// A transaction: all of its changes are committed, or none.
pub struct Tx<'c> {
    snapshot: Snapshot<'c>,
    /// The error of the first statement that failed.
    failed: RefCell<Option<Error>>,
}

impl<'c> Tx<'c> {
    pub(super) fn new(connection: &'c Connection) -> Self {
        Self { snapshot: Snapshot::new(connection), failed: RefCell::default() }
    }

    /// Takes the error of the first statement that failed.
    pub(super) fn failure(&self) -> Option<Error> {
        self.failed.take()
    }

    /// Runs one statement; returns the number of rows changed.
    pub(super) fn execute(&self, sql: &str, params: impl Params) -> Result<usize, Error> {
        let run = || {
            let mut statement = self.prepare(sql)?;
            statement.execute(params).map_err(|error| self.snapshot.failed(error, sql))
        };
        run().inspect_err(|error: &Error| self.note(error))
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

    /// Runs a statement that must change exactly one row.
    pub(super) fn execute_one(&self, sql: &str, params: impl Params) -> Result<(), Error> {
        match self.execute(sql, params)? {
            1 => Ok(()),
            rows => Err(Error::Defect(format!("changed {rows} rows instead of one: {sql}"))),
        }
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
    pub(super) fn new(connection: &'c Connection) -> Self {
        Self(connection)
    }

    /// The first row of a query.
    pub(super) fn first<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> RowResult<T>,
    ) -> Result<Option<T>, Error> {
        let mut statement = self.prepare(sql)?;
        let found = statement.query(params).and_then(|mut rows| rows.next()?.map(read).transpose());
        found.map_err(|error| self.failed(error, sql))
    }

    /// All rows of a query.
    pub(super) fn all<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnMut(&Row<'_>) -> RowResult<T>,
    ) -> Result<Vec<T>, Error> {
        let mut statement = self.prepare(sql)?;
        let found = statement.query_map(params, read).and_then(Iterator::collect);
        found.map_err(|error| self.failed(error, sql))
    }

    /// Reads the rows of a query one by one, until `read` breaks.
    pub(super) fn until(
        &self,
        sql: &str,
        params: impl Params,
        mut read: impl FnMut(&Row<'_>) -> RowResult<ControlFlow<()>>,
    ) -> Result<(), Error> {
        let mut statement = self.prepare(sql)?;
        let read_all = statement.query(params).and_then(|mut rows| {
            while let Some(row) = rows.next()? {
                if read(row)?.is_break() {
                    break;
                }
            }
            Ok(())
        });
        read_all.map_err(|error| self.failed(error, sql))
    }

    /// Merges lists of numbers, each in descending order, until `read` breaks. A number that is in several lists is read once,
    /// and no list is read further than needed.
    pub(super) fn until_merged<P: Params>(
        &self,
        lists: Vec<(&str, P)>,
        mut read: impl FnMut(i64) -> Result<ControlFlow<()>, Error>,
    ) -> Result<(), Error> {
        let sqls: Vec<_> = lists.iter().map(|(sql, _)| *sql).collect();
        let statements = sqls.iter().map(|sql| self.prepare(sql));
        let mut statements = statements.collect::<Result<Vec<_>, _>>()?;
        let rows = statements.iter_mut().zip(lists).map(|(statement, (sql, params))| {
            statement.query(params).map_err(|error| self.failed(error, sql))
        });
        let mut rows = rows.collect::<Result<Vec<_>, _>>()?;
        let next = |(rows, sql): (&mut Rows<'_>, &&str)| {
            let number = rows.next().and_then(|row| row.map(|row| row.get::<_, i64>(0)).transpose());
            number.map_err(|error| self.failed(error, sql))
        };
        let mut heads = rows.iter_mut().zip(&sqls).map(next).collect::<Result<Vec<_>, _>>()?;
        while let Some(highest) = heads.iter().copied().flatten().max() {
            if read(highest)?.is_break() {
                break;
            }
            let lists = heads.iter_mut().zip(rows.iter_mut().zip(&sqls));
            for (head, list) in lists.filter(|(head, _)| **head == Some(highest)) {
                *head = next(list)?;
            }
        }
        Ok(())
    }

    /// The number in the only column of the only row of a query; 0 for the sum of no rows.
    pub(super) fn number(&self, sql: &str, params: impl Params) -> Result<u64, Error> {
        let number = self.first(sql, params, |row| row.get::<_, Option<i64>>(0))?.flatten();
        Ok(number.and_then(|n| u64::try_from(n).ok()).unwrap_or(0))
    }

    fn prepare(&self, sql: &str) -> Result<CachedStatement<'c>, Error> {
        tracing::trace!(sql, "statement"); // without its values
        self.0.prepare_cached(sql).map_err(|error| self.failed(error, sql))
    }

    fn failed(&self, error: rusqlite::Error, sql: &str) -> Error {
        Error::of_statement(error, self.0, sql)
    }
}
