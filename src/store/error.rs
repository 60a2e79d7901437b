//! How the store can fail; nothing of the driver gets past here.

use rusqlite::{ErrorCode, ffi};

/// Why a read or a write did not happen. The texts are for the log alone.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// A value that must be unique is there already; names its `table.column`.
    #[error("{0} is taken")]
    Taken(String),
    /// No space is left on the disk; nothing was changed.
    #[error("the disk is full: {0}")]
    Full(String),
    /// The store cannot answer now; nothing was changed.
    #[error("the store cannot answer: {0}")]
    Unavailable(String),
    /// A mistake in this program, or a value in the file that it cannot have written.
    #[error("{0}")]
    Defect(String),
}

/// SQLite's result codes: <https://www.sqlite.org/rescode.html>.
impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        let text = error.to_string();
        let Some(code) = error.sqlite_error() else { return Self::Defect(text) };
        match code.code {
            ErrorCode::ConstraintViolation if is_unique(code.extended_code) => Self::Taken(column_of(&text)),
            ErrorCode::DiskFull => Self::Full(text),
            ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked
            | ErrorCode::SystemIoFailure
            | ErrorCode::CannotOpen
            | ErrorCode::ReadOnly
            | ErrorCode::OutOfMemory
            | ErrorCode::PermissionDenied
            | ErrorCode::FileLockingProtocolFailed
            | ErrorCode::DatabaseCorrupt
            | ErrorCode::NotADatabase => Self::Unavailable(text),
            _ => Self::Defect(text),
        }
    }
}

fn is_unique(extended_code: i32) -> bool {
    matches!(extended_code, ffi::SQLITE_CONSTRAINT_UNIQUE | ffi::SQLITE_CONSTRAINT_PRIMARYKEY)
}

/// The column in `UNIQUE constraint failed: users.email_key`.
fn column_of(text: &str) -> String {
    text.rsplit(": ").next().unwrap_or_default().to_owned()
}

/// Why the store could not be opened, in words for whoever starts the program.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is no store yet, and this command does not make one.
    #[error("there is no store at {0}")]
    Missing(String),
    /// The file was made by a newer version of this program.
    #[error(
        "the store at {path} has schema {found}, made by a newer coffeeshop; this one knows schemas up to {known}"
    )]
    Newer {
        /// Which file.
        path: String,
        /// Its schema.
        found: i32,
        /// The newest schema that this program knows.
        known: i32,
    },
    /// The file was made by an older version, and this command does not change that.
    #[error("the store at {0} was made by an older coffeeshop")]
    Older(String),
    /// The file belongs to some other program.
    #[error("{0} is a database of another program")]
    Foreign(String),
    /// The operating system or SQLite says no.
    #[error("cannot open the store at {path}: {why}")]
    Failed {
        /// Which file.
        path: String,
        /// Why.
        why: String,
    },
}

impl OpenError {
    /// What to do about it.
    #[must_use]
    pub const fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Missing(_) => {
                Some("start the server once, or make the first admin with coffeeshop create-admin")
            }
            Self::Newer { .. } => {
                Some("use the newer coffeeshop, or restore the backup made before the upgrade")
            }
            Self::Older(_) => Some("bring it up to date with coffeeshop migrate, or by starting the server"),
            Self::Foreign(_) => Some("point database.path at a file of its own"),
            Self::Failed { .. } => Some(
                "the folder must exist or be creatable, and be writable for the user that runs coffeeshop",
            ),
        }
    }
}
