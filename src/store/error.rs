//! How a read or a write of the store can fail.

/// A read or a write did not happen, unless the error says otherwise. The texts are for the log.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// A value that must be unique exists already.
    #[error("{0:?} is taken")]
    Taken(Unique),
    /// The disk is full; nothing was changed.
    #[error("the disk is full: {0}")]
    Full(String),
    /// The store cannot answer now; nothing was changed.
    #[error("the database cannot answer: {0}")]
    Unavailable(String),
    /// The connection broke while the write was committed: it may have been made, and must not be run again.
    #[error("the database did not confirm a change: {0}")]
    OutcomeUnknown(String),
    /// Another transaction has changed meanwhile what this one has read: the engine runs it again. It does not leave the store.
    #[error("the transaction must be run again: {0}")]
    Retry(String),
    /// The content of the store cannot be trusted.
    #[error("the database is damaged: {0}")]
    Damaged(String),
    /// A mistake in this program.
    #[error("{0}")]
    Defect(String),
}

/// A unique constraint that a request can violate; violating any other one is a defect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unique {
    /// One account per address.
    Email,
}
