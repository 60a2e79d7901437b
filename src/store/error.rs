//! How the store can fail; nothing of the driver gets past here.

use std::path::{Path, PathBuf};

use rusqlite::{ErrorCode, Statement, ffi};
use rustix::fs::Access;

use crate::files::{GIVE_AWAY, folder_of, obstacle};

/// What to do about damage.
pub(super) const RESTORE: &str = "stop every server on it and restore the newest backup; without one, sqlite3's .recover saves what can be read";

/// Why a read or a write did not happen. The texts are for the log alone.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// A value that must be unique exists already.
    #[error("{0:?} is taken")]
    Taken(Unique),
    /// No space is left on the disk; nothing was changed.
    #[error("the disk is full: {0}")]
    Full(String),
    /// The store cannot answer now; nothing was changed.
    #[error("the database cannot answer: {0}")]
    Unavailable(String),
    /// What the file holds cannot be relied upon.
    #[error("the database is damaged: {0}")]
    Damaged(String),
    /// A mistake in this program.
    #[error("{0}")]
    Defect(String),
}

/// A unique constraint that a caller can violate without a defect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unique {
    /// One account per address.
    Email,
}

/// SQLite's result codes: <https://www.sqlite.org/rescode.html>.
impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        let text = error.to_string();
        let Some(code) = error.sqlite_error() else { return Self::Defect(text) };
        match code.code {
            // SQLite names the column and no constraint: "UNIQUE constraint failed: users.email_key".
            ErrorCode::ConstraintViolation
                if is_unique(code.extended_code) && text.ends_with(": users.email_key") =>
            {
                Self::Taken(Unique::Email)
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
            _ if is_of_damage(&text) => Self::Damaged(text),
            _ => Self::Defect(text),
        }
    }
}

/// What SQLite says without a code of its own when the schema's text is not as the migrations left it, or the tables of
/// the search are not as FTS5 did.
fn is_of_damage(text: &str) -> bool {
    ["no such table", "no such column", "vtable constructor failed", "invalid fts5 file format"]
        .iter()
        .any(|words| text.starts_with(words))
}

impl Error {
    /// Why the rows of a statement cannot be read.
    pub(super) fn reading(error: rusqlite::Error, statement: &Statement<'_>, sql: &str) -> Self {
        use rusqlite::Error as E;
        // A value that this program cannot have written. It is not told, since it may be anybody's.
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

fn is_unique(extended_code: i32) -> bool {
    matches!(extended_code, ffi::SQLITE_CONSTRAINT_UNIQUE | ffi::SQLITE_CONSTRAINT_PRIMARYKEY)
}

/// Why the store could not be opened, in words for whoever starts the program.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is no store yet, and this command does not make one.
    #[error("there is no database at {0}")]
    Missing(String),
    /// The file was made by a newer version of this program.
    #[error(
        "the database at {path} has schema {found}, made by a newer coffeeshop; this one knows schemas up to {known}"
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
    #[error("the database at {0} was made by an older coffeeshop")]
    Older(String),
    /// The file belongs to some other program.
    #[error("{0} is a database of another program")]
    Foreign(String),
    /// The file holds something else.
    #[error("{0} is not a database")]
    NoDatabase(String),
    /// The file is not as this program, or anybody, left it.
    #[error("the database at {path} is damaged: {why}")]
    Damaged {
        /// Which file.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// It belongs to another user.
    #[error("cannot open the database at {path}: {obstacle}")]
    Denied {
        /// Which file.
        path: String,
        /// What belongs to whom.
        obstacle: String,
    },
    /// The operating system or SQLite says no.
    #[error("cannot open the database at {path}: {why}")]
    Failed {
        /// Which file.
        path: String,
        /// Why.
        why: String,
    },
}

impl OpenError {
    /// What SQLite says about the file.
    pub(super) fn of(path: &Path, error: &rusqlite::Error) -> Self {
        let (path, why) = (path.display().to_string(), error.to_string());
        let why = why.trim_end_matches(&format!(": {path}")).to_owned();
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt) => Self::Damaged { path, why },
            Some(ErrorCode::NotADatabase) => Self::NoDatabase(path),
            _ => Self::Failed { path, why },
        }
    }

    /// The same, or what keeps the user that runs this from the file, if that is why: the system and SQLite do not name it.
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

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Missing(_) => {
                Some("start the server once, or make the first admin with coffeeshop create-admin")
            }
            Self::Newer { .. } => {
                Some("use the newer coffeeshop, or restore the backup made before the upgrade")
            }
            Self::Older(_) => {
                Some("apply pending migrations with coffeeshop migrate, or by starting the server")
            }
            Self::Damaged { .. } => Some(RESTORE),
            Self::Denied { .. } => Some(GIVE_AWAY),
            Self::Failed { why, .. } if why.contains("locked") => {
                Some("another program is writing to it: try again, or look which one holds it")
            }
            Self::Foreign(_) | Self::NoDatabase(_) => {
                Some("set database.folder to a folder of its own, or database.path to a file of its own")
            }
            Self::Failed { .. } => Some(
                "the folder must exist or be creatable, and be writable for the user that runs coffeeshop",
            ),
        }
    }
}

/// The folder of a file, or the one above it in which that would be made.
fn nearest_folder(path: &Path) -> PathBuf {
    let folder = folder_of(path);
    let there = folder.ancestors().find(|folder| folder.is_dir());
    there.filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned()
}
