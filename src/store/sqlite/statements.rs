//! Statements on a connection of SQLite: parameters in, rows out.

use std::ops::ControlFlow;

use rusqlite::{
    CachedStatement, Connection, Rows, ToSql, params_from_iter,
    types::{ToSqlOutput, ValueRef},
};

use crate::store::{
    error::Error,
    sql::{BadColumn, Cell, Cells, Row, RowResult, Value},
};

/// Runs a statement; returns the number of rows changed.
pub(in crate::store) fn execute(
    connection: &Connection,
    sql: &str,
    values: &[Value<'_>],
) -> Result<usize, Error> {
    let mut statement = prepare(connection, sql)?;
    statement.execute(params_from_iter(values)).map_err(|error| Error::of_statement(error, connection, sql))
}

/// Reads the rows of a statement one by one, until `read` breaks.
pub(in crate::store) fn query(
    connection: &Connection,
    sql: &str,
    values: &[Value<'_>],
    read: &mut dyn FnMut(&Row<'_>) -> RowResult<ControlFlow<()>>,
) -> Result<(), Error> {
    let mut statement = prepare(connection, sql)?;
    let failed = |error| Error::of_statement(error, connection, sql);
    let mut rows = statement.query(params_from_iter(values)).map_err(failed)?;
    while let Some(row) = rows.next().map_err(failed)? {
        match read(&Row::new(row)) {
            Ok(ControlFlow::Continue(())) => {}
            Ok(ControlFlow::Break(())) => break,
            Err(BadColumn(column)) => return Err(Error::unexpected_value(connection, sql, column)),
        }
    }
    Ok(())
}

/// Merges lists of numbers, each in descending order, until `read` breaks. A number that is in several lists is read once,
/// and no list is read further than needed.
pub(in crate::store) fn merge(
    connection: &Connection,
    lists: &[(&str, Vec<Value<'_>>)],
    read: &mut dyn FnMut(i64) -> Result<ControlFlow<()>, Error>,
) -> Result<(), Error> {
    let statements = lists.iter().map(|(sql, _)| prepare(connection, sql));
    let mut statements = statements.collect::<Result<Vec<_>, _>>()?;
    let lists = statements.iter_mut().zip(lists).map(|(statement, (sql, values))| {
        let rows = statement.query(params_from_iter(values));
        rows.map(|rows| (rows, *sql)).map_err(|error| Error::of_statement(error, connection, sql))
    });
    let mut lists = lists.collect::<Result<Vec<_>, _>>()?;
    let next = |(rows, sql): &mut (Rows<'_>, &str)| {
        let number = rows.next().and_then(|row| row.map(|row| row.get::<_, i64>(0)).transpose());
        number.map_err(|error| Error::of_statement(error, connection, sql))
    };
    let mut heads = lists.iter_mut().map(next).collect::<Result<Vec<_>, _>>()?;
    while let Some(highest) = heads.iter().copied().flatten().max() {
        if read(highest)?.is_break() {
            break;
        }
        for (head, list) in heads.iter_mut().zip(&mut lists).filter(|(head, _)| **head == Some(highest)) {
            *head = next(list)?;
        }
    }
    Ok(())
}

fn prepare<'c>(connection: &'c Connection, sql: &str) -> Result<CachedStatement<'c>, Error> {
    tracing::trace!(sql, "statement"); // without its values
    connection.prepare_cached(sql).map_err(|error| Error::of_statement(error, connection, sql))
}

impl ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match *self {
            Self::Null => ValueRef::Null,
            Self::Int(number) => ValueRef::Integer(number),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Blob(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

impl Cells for rusqlite::Row<'_> {
    fn cell(&self, column: usize) -> Option<Cell<'_>> {
        match self.get_ref(column).ok()? {
            ValueRef::Null => Some(Cell::Null),
            ValueRef::Integer(number) => Some(Cell::Int(number)),
            ValueRef::Text(text) => std::str::from_utf8(text).ok().map(Cell::Text),
            ValueRef::Blob(bytes) => Some(Cell::Blob(bytes)),
            ValueRef::Real(_) => None,
        }
    }
}
