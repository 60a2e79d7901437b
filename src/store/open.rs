//! How a store is opened, and why it cannot be.

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

/// A startup error, shown to the operator.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is no store yet, and this command does not create one.
    #[error("there is no database at {0}")]
    Missing(String),
    #[error(
        "the database at {path} has schema {found}, made by a newer coffeeshop; this one knows schemas up to {known}"
    )]
    Newer { path: String, found: i32, known: i32 },
    /// The schema is older than this program's, and this command does not migrate it.
    #[error("the database at {0} was made by an older coffeeshop")]
    Older(String),
    #[error("{0} is a database of another program")]
    Foreign(String),
    #[error("{0} is not a database")]
    NoDatabase(String),
    #[error("the database at {path} is damaged: {why}")]
    Damaged { path: String, why: String },
    /// The user of this process may not access the file; `obstacle` is a sentence about its owner and mode.
    #[error("cannot open the database at {path}: {obstacle}")]
    Denied { path: String, obstacle: String },
    #[error("cannot open the database at {path}: {why}")]
    Failed { path: String, why: String },
}

impl OpenError {
    /// What the operator can do about it.
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
            Self::Denied { .. } => Some(OWNER_HINT),
            Self::Failed { why, .. } if why.contains("locked") => {
                Some("another program is writing to it: try again, or find out which one holds it")
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
