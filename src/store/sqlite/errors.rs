//! SQLite's result codes as errors of the store (<https://www.sqlite.org/rescode.html>).

use std::{
    fmt::Display,
    path::{Path, PathBuf},
};

use rusqlite::{ErrorCode, Statement, ffi};
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
            _ if is_damage(&text) => Self::Damaged(text),
            _ => Self::Defect(text),
        }
    }
}

/// The constraint in `UNIQUE constraint failed: users.email_key`: SQLite names the column.
fn violated(extended_code: i32, text: &str) -> Option<Unique> {
    let is_email = extended_code == ffi::SQLITE_CONSTRAINT_UNIQUE && text.ends_with(": users.email_key");
    is_email.then_some(Unique::Email)
}

/// Whether the schema's text is not as the migrations left it, or the tables of the search are not as FTS5 left them: SQLite
/// has no code of its own for that.
fn is_damage(text: &str) -> bool {
    ["no such table", "no such column", "vtable constructor failed", "invalid fts5 file format"]
        .iter()
        .any(|start| text.starts_with(start))
}

impl Error {
    /// Why the rows of a statement cannot be read.
    pub(in crate::store) fn reading(error: rusqlite::Error, statement: &Statement<'_>, sql: &str) -> Self {
        use rusqlite::Error as E;
        // A value that this program cannot have written. The error omits the value, which may be personal data.
        let (E::FromSqlConversionFailure(column, ..)
        | E::IntegralValueOutOfRange(column, _)
        | E::Utf8Error(column, _)
        | E::InvalidColumnType(column, ..)) = error
        else {
            return error.into();
        };
        let column = statement.column_name(column).unwrap_or("?");
        Self::Damaged(format!("an unexpected value in column {column} of {sql}"))
    }
}

impl OpenError {
    /// SQLite's error about a file.
    pub(super) fn of(path: &Path, error: &rusqlite::Error) -> Self {
        let (path, why) = (path.display().to_string(), error.to_string());
        let why = why.trim_end_matches(&format!(": {path}")).to_owned();
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt) => Self::Damaged { path, why },
            Some(ErrorCode::NotADatabase) => Self::NoDatabase(path),
            _ => Self::Failed { path, why },
        }
    }

    /// The same error, or the file or folder that the user of this process may not access, which neither the operating system
    /// nor SQLite names.
    pub(super) fn or_denied(self, path: &Path) -> Self {
        if !matches!(self, Self::Failed { .. }) {
            return self;
        }
        let beside = |end: &str| {
            let mut name = path.as_os_str().to_owned();
            name.push(end);
            PathBuf::from(name)
        };
        let all = Access::READ_OK | Access::WRITE_OK;
        let mut obstacles = ["", "-wal", "-shm"].iter().filter_map(|end| obstacle(&beside(end), all));
        match obstacles.next().or_else(|| obstacle(&nearest_folder(path), Access::WRITE_OK)) {
            Some(obstacle) => Self::Denied { path: path.display().to_string(), obstacle },
            None => self,
        }
    }
}

pub(super) fn failed(path: &Path, why: &dyn Display) -> OpenError {
    OpenError::Failed { path: path.display().to_string(), why: why.to_string() }
}

/// The folder of a file, or the nearest one above it that exists.
fn nearest_folder(path: &Path) -> PathBuf {
    let folder = folder_of(path);
    let existing = folder.ancestors().find(|folder| folder.is_dir());
    existing.filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned()
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

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
