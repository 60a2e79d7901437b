//! Values of statements and the rows of their results: all that the files of the tables see of the driver.

use rusqlite::types::Type;
use std::str::FromStr;

pub(super) use rusqlite::{Params, Row, ToSql, params_from_iter, types::Value};
use uuid::Uuid;

use crate::domain::Timestamp;

/// The error of a column that cannot be read.
pub(super) type RowResult<T> = rusqlite::Result<T>;

pub(super) fn timestamp(row: &Row<'_>, column: usize) -> RowResult<Timestamp> {
    row.get(column).map(Timestamp::from_millis)
}

pub(super) fn maybe_timestamp(row: &Row<'_>, column: usize) -> RowResult<Option<Timestamp>> {
    Ok(row.get::<_, Option<i64>>(column)?.map(Timestamp::from_millis))
}

pub(super) fn uuid(row: &Row<'_>, column: usize) -> RowResult<Uuid> {
    row.get(column).map(Uuid::from_bytes)
}

/// An enum in a column, by its name.
pub(super) fn variant<V: FromStr>(row: &Row<'_>, column: usize) -> RowResult<V> {
    row.get_ref(column)?.as_str().ok().and_then(|text| text.parse().ok()).ok_or_else(|| corrupt(column))
}

/// A value that this program cannot have written.
pub(super) fn corrupt(column: usize) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Null, "unexpected value".into())
}
