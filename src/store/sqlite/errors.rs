//! SQLite's result codes as errors of the store (<https://www.sqlite.org/rescode.html>).

use std::{
    fmt::Display,
    path::{Path, PathBuf},
};

use rusqlite::{Connection, ErrorCode, ffi};
use rustix::fs::Access;

use crate::{
    files::{folder_of, obstacle},
    store::{
        error::{Error, Unique},
        open::OpenError,
    },
};

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        let text = error.to_string();
        let Some(code) = error.sqlite_error() else { return Self::Defect(text) };
        match code.code {
            ErrorCode::ConstraintViolation => {
                violated(code.extended_code, &text).map_or(Self::Defect(text), Self::Taken)
            }
            ErrorCode::DiskFull => Self::Full(text),
            ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked
            | ErrorCode::SystemIoFailure
            | ErrorCode::CannotOpen
            | ErrorCode::ReadOnly
            | ErrorCode::OutOfMemory
            | ErrorCode::PermissionDenied
            | ErrorCode::FileLockingProtocolFailed => Self::Unavailable(text),
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => Self::Damaged(text),
            _ if is_damaged_search(&text) => Self::Damaged(text),
            _ => Self::Defect(text),
        }
    }
}

/// The constraint in `UNIQUE constraint failed: users.email_key`: SQLite names the column.
fn violated(extended_code: i32, text: &str) -> Option<Unique> {
    let is_email = extended_code == ffi::SQLITE_CONSTRAINT_UNIQUE && text.ends_with(": users.email_key");
    is_email.then_some(Unique::Email)
}

/// Whether the tables of the search are not as FTS5 left them: SQLite has no code of its own for that.
fn is_damaged_search(text: &str) -> bool {
    ["vtable constructor failed", "invalid fts5 file format"].iter().any(|start| text.starts_with(start))
}

impl Error {
    /// Why a statement cannot be prepared, run or read.
    pub(in crate::store) fn of_statement(error: rusqlite::Error, connection: &Connection, sql: &str) -> Self {
        use rusqlite::Error as E;
        match error {
            E::InvalidColumnType(column, ..) => Self::unexpected_value(connection, sql, column),
            error if is_generic(&error) => match connection.prepare(sql) {
                Err(error) if is_generic(&error) => Self::Damaged(error.to_string()),
                _ => error.into(),
            },
            error => error.into(),
        }
    }

    /// A value that this program cannot have written. The error omits the value, which may be personal data.
    pub(super) fn unexpected_value(connection: &Connection, sql: &str, column: usize) -> Self {
        let statement = connection.prepare(sql);
        let column = statement.as_ref().ok().and_then(|statement| statement.column_name(column).ok());
        Self::Damaged(format!("an unexpected value in column {} of {sql}", column.unwrap_or("?")))
    }
}

/// Whether SQLite has no code for it. That a statement cannot be prepared is such an error. The tests prepare every statement
/// on the schema that the migrations leave: if it cannot be prepared, the schema in the file is another one.
fn is_generic(error: &rusqlite::Error) -> bool {
    matches!(error, rusqlite::Error::SqlInputError { .. })
        || error.sqlite_error_code() == Some(ErrorCode::Unknown)
}

impl OpenError {
    /// SQLite's error about a file.
    pub(super) fn of(path: &Path, error: &rusqlite::Error) -> Self {
        let (at, why) = (path.display().to_string(), error.to_string());
        let why = why.trim_end_matches(&format!(": {at}")).to_owned();
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt) => Self::Damaged { at, why },
            Some(ErrorCode::NotADatabase) => Self::NoDatabase(at),
            _ => Self::Failed { at, why },
        }
    }

    /// The same error, or the file or folder that the user of this process may not access, which neither the operating system
    /// nor SQLite names.
    pub(super) fn or_denied(self, path: &Path) -> Self {
        if !matches!(self, Self::Failed { .. }) {
            return self;
        }
        let all = Access::READ_OK | Access::WRITE_OK;
        let mut obstacles =
            ["", "-wal", "-shm"].iter().filter_map(|end| obstacle(&with_suffix(path, end), all));
        match obstacles.next().or_else(|| obstacle(&nearest_folder(path), Access::WRITE_OK)) {
            Some(obstacle) => Self::Denied { at: path.display().to_string(), obstacle },
            None => self,
        }
    }
}

/// The path of a file that SQLite keeps beside the database.
pub(super) fn with_suffix(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}

pub(super) fn failed(path: &Path, why: &dyn Display) -> OpenError {
    OpenError::Failed { at: path.display().to_string(), why: why.to_string() }
}

/// The folder of a file, or the nearest one above it that exists.
fn nearest_folder(path: &Path) -> PathBuf {
    let folder = folder_of(path);
    let existing = folder.ancestors().find(|folder| folder.is_dir());
    existing.filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_address_is_told_from_every_other_duplicate() {
        let connection = Connection::open_in_memory().expect("memory");
        let schema = "CREATE TABLE users (email_key TEXT UNIQUE, id BLOB UNIQUE, seq INTEGER PRIMARY KEY); \
                      INSERT INTO users VALUES ('a', 1, 1)";
        connection.execute_batch(schema).expect("a table");
        let error = |values: &str| {
            let insert = format!("INSERT INTO users VALUES ({values})");
            Error::from(connection.execute(&insert, []).expect_err("a duplicate"))
        };
        assert!(matches!(error("'a', 2, 2"), Error::Taken(Unique::Email)));
        assert!(matches!(error("'b', 1, 2"), Error::Defect(_)));
        assert!(matches!(error("'b', 2, 1"), Error::Defect(_)));
    }
}
