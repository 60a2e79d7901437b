//! What a closure gets to see of the store: a snapshot to read, or a transaction to read and write.

use std::{
    cell::RefCell,
    ops::{ControlFlow, Deref},
};

use std::str::FromStr;

use rusqlite::{CachedStatement, Connection, Params, Row, Rows, types::Type};
use uuid::Uuid;

use super::Error;
use crate::domain::Timestamp;

/// The store at one instant, to read.
pub struct Snapshot<'c>(&'c Connection);

/// A transaction: all of it happens, or nothing.
pub struct Tx<'c> {
    snapshot: Snapshot<'c>,
    /// The first statement that the store could not carry out.
    failed: RefCell<Option<Error>>,
}

impl<'c> Tx<'c> {
    pub(super) fn new(connection: &'c Connection) -> Self {
        Self { snapshot: Snapshot::new(connection), failed: RefCell::default() }
    }

    /// Why the store gave up, if a statement of this transaction made it do so.
    pub(super) fn failure(&self) -> Option<Error> {
        self.failed.take()
    }

    /// Runs one statement; answers how many rows it changed.
    pub(super) fn execute(&self, sql: &str, params: impl Params) -> Result<usize, Error> {
        let run = || Ok(self.prepare(sql)?.execute(params)?);
        run().inspect_err(|error: &Error| self.note(error))
    }

    /// Runs a statement that changes rows and answers each (`RETURNING` promises no order).
    pub(super) fn returning<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
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

    /// The first row of a query, if it has one.
    pub(super) fn first<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, Error> {
        let mut statement = self.prepare(sql)?;
        let found = statement.query(params).and_then(|mut rows| rows.next()?.map(read).transpose());
        found.map_err(|error| Error::reading(error, &statement, sql))
    }

    /// All rows of a query.
    pub(super) fn all<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, Error> {
        let mut statement = self.prepare(sql)?;
        let found = statement.query_map(params, read).and_then(Iterator::collect);
        found.map_err(|error| Error::reading(error, &statement, sql))
    }

    /// Reads the rows of a query one by one, until `read` has seen enough.
    pub(super) fn until(
        &self,
        sql: &str,
        params: impl Params,
        mut read: impl FnMut(&Row<'_>) -> rusqlite::Result<ControlFlow<()>>,
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
        read_all.map_err(|error| Error::reading(error, &statement, sql))
    }

    /// Walks along lists of row numbers, each from its highest down, as if they were one, until `read` has seen enough. A
    /// number that is in several lists comes once. The lists are read no further than that.
    pub(super) fn until_merged<P: Params>(
        &self,
        lists: Vec<(&str, P)>,
        mut read: impl FnMut(i64) -> Result<ControlFlow<()>, Error>,
    ) -> Result<(), Error> {
        let statements = lists.iter().map(|(sql, _)| self.prepare(sql));
        let mut statements = statements.collect::<Result<Vec<_>, _>>()?;
        let rows = statements.iter_mut().zip(lists).map(|(statement, (_, params))| statement.query(params));
        let mut rows = rows.collect::<rusqlite::Result<Vec<_>>>()?;
        let next = |rows: &mut Rows<'_>| rows.next()?.map(|row| row.get::<_, i64>(0)).transpose();
        let mut heads = rows.iter_mut().map(next).collect::<rusqlite::Result<Vec<_>>>()?;
        while let Some(highest) = heads.iter().copied().flatten().max() {
            if read(highest)?.is_break() {
                break;
            }
            for (head, rows) in heads.iter_mut().zip(&mut rows).filter(|(head, _)| **head == Some(highest)) {
                *head = next(rows)?;
            }
        }
        Ok(())
    }

    /// The number in the only column of the only row of a query; 0 for the sum of nothing.
    pub(super) fn number(&self, sql: &str, params: impl Params) -> Result<u64, Error> {
        let number = self.first(sql, params, |row| row.get::<_, Option<i64>>(0))?.flatten();
        Ok(number.and_then(|n| u64::try_from(n).ok()).unwrap_or(0))
    }

    fn prepare(&self, sql: &str) -> Result<CachedStatement<'c>, Error> {
        tracing::trace!(sql, "statement"); // without its values
        Ok(self.0.prepare_cached(sql)?)
    }
}

/// Runs a statement that begins, ends or marks a transaction.
pub(super) fn execute(connection: &Connection, sql: &str) -> Result<(), Error> {
    connection.prepare_cached(sql)?.execute([])?;
    Ok(())
}

/// An instant in a column.
pub(super) fn timestamp(row: &Row<'_>, column: usize) -> rusqlite::Result<Timestamp> {
    row.get(column).map(Timestamp::from_millis)
}

/// An instant in a column that may be empty.
pub(super) fn maybe_timestamp(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Timestamp>> {
    Ok(row.get::<_, Option<i64>>(column)?.map(Timestamp::from_millis))
}

/// A UUID in a column.
pub(super) fn uuid(row: &Row<'_>, column: usize) -> rusqlite::Result<Uuid> {
    row.get(column).map(Uuid::from_bytes)
}

/// An enum in a column, by its name.
pub(super) fn variant<V: FromStr>(row: &Row<'_>, column: usize) -> rusqlite::Result<V> {
    row.get_ref(column)?.as_str().ok().and_then(|text| text.parse().ok()).ok_or_else(|| corrupt(column))
}

/// A value that this program cannot have written.
pub(super) fn corrupt(column: usize) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Null, "unexpected value".into())
}
