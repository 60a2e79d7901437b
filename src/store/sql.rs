//! Values of statements and the rows of their results: all that the files of the tables see of an engine.

use std::str::FromStr;

use uuid::Uuid;

use crate::domain::Timestamp;

/// The language of an engine, where the text of a statement differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    Sqlite,
    Postgres,
}

impl Dialect {
    pub(super) fn either<T>(self, sqlite: T, postgres: T) -> T {
        match self {
            Self::Sqlite => sqlite,
            Self::Postgres => postgres,
        }
    }
}

/// A parameter of a statement, as it is sent to the engine.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value<'a> {
    Null,
    Int(i64),
    Text(&'a str),
    Blob(&'a [u8]),
}

/// A column of a row, as it comes from the engine.
#[derive(Clone, Copy, Debug)]
pub(super) enum Cell<'r> {
    Null,
    Int(i64),
    Text(&'r str),
    Blob(&'r [u8]),
}

/// A type that can be a parameter.
pub(super) trait Bind {
    fn value(&self) -> Value<'_>;
}

/// A type that can be read from a column; none if the cell cannot have been written by this program.
pub(super) trait Column: Sized {
    fn read(cell: Cell<'_>) -> Option<Self>;
}

/// The parameters of a statement: `()`, an array, a slice, or a tuple.
pub(super) trait Params {
    fn values(&self) -> Vec<Value<'_>>;
}

/// A parameter that is kept until its statement is run, or a column that is kept after its row.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Param {
    Int(i64),
    Text(String),
    Blob(Vec<u8>),
}

/// A column with a value that this program cannot have written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BadColumn(pub usize);

pub(super) type RowResult<T> = Result<T, BadColumn>;

/// A row of a result.
pub(super) struct Row<'r>(&'r dyn Cells);

/// A row as its engine has it.
pub(super) trait Cells {
    /// None if it is of a type that no column has.
    fn cell(&self, column: usize) -> Option<Cell<'_>>;
}

impl<'r> Row<'r> {
    pub(super) fn new(cells: &'r dyn Cells) -> Self {
        Self(cells)
    }

    pub(super) fn get<T: Column>(&self, column: usize) -> RowResult<T> {
        self.0.cell(column).and_then(T::read).ok_or(BadColumn(column))
    }

    /// The text of a column, which may not be NULL.
    pub(super) fn text(&self, column: usize) -> RowResult<&str> {
        match self.0.cell(column) {
            Some(Cell::Text(text)) => Ok(text),
            _ => Err(BadColumn(column)),
        }
    }
}

pub(super) fn timestamp(row: &Row<'_>, column: usize) -> RowResult<Timestamp> {
    row.get(column).map(Timestamp::from_millis)
}

pub(super) fn maybe_timestamp(row: &Row<'_>, column: usize) -> RowResult<Option<Timestamp>> {
    Ok(row.get::<Option<i64>>(column)?.map(Timestamp::from_millis))
}

pub(super) fn uuid(row: &Row<'_>, column: usize) -> RowResult<Uuid> {
    row.get(column).map(Uuid::from_bytes)
}

/// An enum in a column, by its name.
pub(super) fn variant<V: FromStr>(row: &Row<'_>, column: usize) -> RowResult<V> {
    row.text(column)?.parse().map_err(|_| BadColumn(column))
}

impl Bind for i64 {
    fn value(&self) -> Value<'_> {
        Value::Int(*self)
    }
}

impl Bind for u32 {
    fn value(&self) -> Value<'_> {
        Value::Int(i64::from(*self))
    }
}

impl Bind for u8 {
    fn value(&self) -> Value<'_> {
        Value::Int(i64::from(*self))
    }
}

impl Bind for bool {
    fn value(&self) -> Value<'_> {
        Value::Int(i64::from(*self))
    }
}

impl Bind for str {
    fn value(&self) -> Value<'_> {
        Value::Text(self)
    }
}

impl Bind for String {
    fn value(&self) -> Value<'_> {
        Value::Text(self)
    }
}

impl Bind for Vec<u8> {
    fn value(&self) -> Value<'_> {
        Value::Blob(self)
    }
}

impl<const N: usize> Bind for [u8; N] {
    fn value(&self) -> Value<'_> {
        Value::Blob(self)
    }
}

impl<T: Bind + ?Sized> Bind for &T {
    fn value(&self) -> Value<'_> {
        (**self).value()
    }
}

impl<T: Bind> Bind for Option<T> {
    fn value(&self) -> Value<'_> {
        self.as_ref().map_or(Value::Null, T::value)
    }
}

impl Bind for Param {
    fn value(&self) -> Value<'_> {
        match self {
            Self::Int(number) => Value::Int(*number),
            Self::Text(text) => Value::Text(text),
            Self::Blob(bytes) => Value::Blob(bytes),
        }
    }
}

impl From<i64> for Param {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl<const N: usize> From<[u8; N]> for Param {
    fn from(bytes: [u8; N]) -> Self {
        Self::Blob(bytes.to_vec())
    }
}

impl From<String> for Param {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl Column for i64 {
    fn read(cell: Cell<'_>) -> Option<Self> {
        match cell {
            Cell::Int(number) => Some(number),
            _ => None,
        }
    }
}

impl Column for u32 {
    fn read(cell: Cell<'_>) -> Option<Self> {
        i64::read(cell)?.try_into().ok()
    }
}

impl Column for u8 {
    fn read(cell: Cell<'_>) -> Option<Self> {
        i64::read(cell)?.try_into().ok()
    }
}

impl Column for bool {
    fn read(cell: Cell<'_>) -> Option<Self> {
        i64::read(cell).map(|number| number != 0)
    }
}

impl Column for String {
    fn read(cell: Cell<'_>) -> Option<Self> {
        match cell {
            Cell::Text(text) => Some(text.to_owned()),
            _ => None,
        }
    }
}

impl Column for Vec<u8> {
    fn read(cell: Cell<'_>) -> Option<Self> {
        match cell {
            Cell::Blob(bytes) => Some(bytes.to_vec()),
            _ => None,
        }
    }
}

impl<const N: usize> Column for [u8; N] {
    fn read(cell: Cell<'_>) -> Option<Self> {
        match cell {
            Cell::Blob(bytes) => bytes.try_into().ok(),
            _ => None,
        }
    }
}

impl Column for Param {
    fn read(cell: Cell<'_>) -> Option<Self> {
        match cell {
            Cell::Null => None,
            Cell::Int(number) => Some(Self::Int(number)),
            Cell::Text(text) => Some(Self::Text(text.to_owned())),
            Cell::Blob(bytes) => Some(Self::Blob(bytes.to_vec())),
        }
    }
}

impl<T: Column> Column for Option<T> {
    fn read(cell: Cell<'_>) -> Option<Self> {
        match cell {
            Cell::Null => Some(None),
            cell => T::read(cell).map(Some),
        }
    }
}

impl Params for () {
    fn values(&self) -> Vec<Value<'_>> {
        Vec::new()
    }
}

impl<T: Bind, const N: usize> Params for [T; N] {
    fn values(&self) -> Vec<Value<'_>> {
        self.iter().map(T::value).collect()
    }
}

impl<T: Bind> Params for &[T] {
    fn values(&self) -> Vec<Value<'_>> {
        self.iter().map(T::value).collect()
    }
}

impl<T: Bind> Params for Vec<T> {
    fn values(&self) -> Vec<Value<'_>> {
        self.iter().map(T::value).collect()
    }
}

macro_rules! tuples {
    ($($name:ident)+) => {
        impl<$($name: Bind),+> Params for ($($name,)+) {
            #[expect(non_snake_case, reason = "a variable for each type of the tuple")]
            fn values(&self) -> Vec<Value<'_>> {
                let ($($name,)+) = self;
                vec![$($name.value()),+]
            }
        }
    };
    ($first:ident $($name:ident)+; all) => {
        tuples!($first $($name)+);
        tuples!($($name)+; all);
    };
    ($last:ident; all) => {};
}

tuples!(A B C D E F G H I J K L M N O; all);
