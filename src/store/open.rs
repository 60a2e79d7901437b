//! How a store is opened, and why it cannot be.

use super::ServerFault;
use crate::files::OWNER_HINT;

/// What the operator can do about damage.
pub(super) const RESTORE: &str = "stop every server on it and restore the newest backup; without one, sqlite3's .recover saves what can be read";

/// What to do if there is no store, or its schema is not up to date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    CreateOrMigrate,
    /// Fail without changing anything.
    RequireCurrent,
}

/// A startup error, shown to the operator. `at` is the path of the SQLite file, or host, port and name of the PostgreSQL database.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is no store yet, and this command does not create one.
    #[error("there is no database at {0}")]
    Missing(String),
    #[error(
        "the database at {at} has schema {found}, made by a newer coffeeshop; this one knows schemas up to {known}"
    )]
    Newer { at: String, found: i32, known: i32 },
    /// The schema is older than this program's, and this command does not migrate it.
    #[error("the database at {0} was made by an older coffeeshop")]
    Older(String),
    #[error("the database at {at} was moved to {to}")]
    Moved { at: String, to: String },
    /// It is the target of a move that has not ended.
    #[error("the move from {from} to the database at {at} was interrupted")]
    Incoming { at: String, from: String },
    /// Another process uses it, where none may.
    #[error("the database at {0} is in use")]
    InUse(String),
    /// The file of another program.
    #[error("{0} is a database of another program")]
    Foreign(String),
    #[error("{0} is not a database")]
    NoDatabase(String),
    #[error("the database at {at} is damaged: {why}")]
    Damaged { at: String, why: String },
    /// The user of this process may not access the file; `obstacle` is a sentence about its owner and mode.
    #[error("cannot open the database at {at}: {obstacle}")]
    Denied { at: String, obstacle: String },
    #[error("cannot open the database at {at}: {why}")]
    Failed { at: String, why: String },
    /// Why a database on a PostgreSQL server cannot be used.
    #[error("cannot use the database at {at}: {fault}")]
    Server { at: String, fault: ServerFault },
}

impl OpenError {
    /// What the operator can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::Missing(_) => "start the server once, or make the first admin with coffeeshop create-admin",
            Self::Newer { .. } => "use the newer coffeeshop, or restore the backup made before the upgrade",
            Self::Older(_) => "apply pending migrations with coffeeshop migrate, or by starting the server",
            Self::Moved { .. } => "set database.url, or database.path, to that one",
            Self::Incoming { .. } => "run the same coffeeshop move again",
            Self::InUse(_) => "stop every server and every command on it, then run this again",
            Self::Damaged { .. } => RESTORE,
            Self::Denied { .. } => OWNER_HINT,
            Self::Failed { why, .. } if why.contains("locked") => {
                "another program is writing to it: try again, or find out which one holds it"
            }
            Self::Foreign(_) | Self::NoDatabase(_) => {
                "set database.folder to a folder of its own, or database.path to a file of its own"
            }
            Self::Failed { .. } => {
                "the folder must exist or be creatable, and be writable for the user that runs coffeeshop"
            }
            Self::Server { fault, .. } => return fault.hint(),
        })
    }
}
