//! The table `store_info`: whether the store was moved.

use uuid::Uuid;

use super::{
    error::Error,
    open::OpenError,
    tx::{Snapshot, Tx},
};
use crate::domain::Timestamp;

/// Whether a store was moved, or is the target of a move that has not ended. It may not be used in either case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MoveMark {
    /// The database that it was moved to.
    pub moved_to: Option<String>,
    /// The database that is being moved here.
    pub moved_from: Option<String>,
    /// Of the latest move that was begun; the same in both databases.
    pub move_id: Option<Uuid>,
}

impl MoveMark {
    /// # Errors
    /// If the store at `at` may not be used.
    pub fn check(self, at: &str) -> Result<(), OpenError> {
        let at = at.to_owned();
        match self {
            Self { moved_to: Some(to), .. } => Err(OpenError::Moved { at, to }),
            Self { moved_from: Some(from), .. } => Err(OpenError::Incoming { at, from }),
            Self { .. } => Ok(()),
        }
    }
}

impl Snapshot<'_> {
    pub(crate) fn move_mark(&self) -> Result<MoveMark, Error> {
        let mark = self.first("SELECT moved_to, moved_from, move_id FROM store_info", (), |row| {
            Ok(MoveMark {
                moved_to: row.get(0)?,
                moved_from: row.get(1)?,
                move_id: row.get::<Option<[u8; 16]>>(2)?.map(Uuid::from_bytes),
            })
        })?;
        Ok(mark.unwrap_or_default())
    }
}

impl Tx<'_> {
    pub(crate) fn set_move_id(&self, id: Uuid) -> Result<(), Error> {
        self.execute_one("UPDATE store_info SET move_id = ?1", [id.into_bytes()])
    }

    pub(crate) fn mark_incoming(&self, from: &str, id: Uuid, now: Timestamp) -> Result<(), Error> {
        self.execute_one(
            "UPDATE store_info SET moved_from = ?1, move_id = ?2, moved_at = ?3",
            (from, id.into_bytes(), now.millis()),
        )
    }

    pub(crate) fn mark_moved(&self, to: &str, id: Uuid, now: Timestamp) -> Result<(), Error> {
        self.execute_one(
            "UPDATE store_info SET moved_to = ?1, move_id = ?2, moved_at = ?3",
            (to, id.into_bytes(), now.millis()),
        )
    }

    /// Ends the move to this store, which may be used from then on.
    pub(crate) fn end_move(&self) -> Result<(), Error> {
        self.execute_one("UPDATE store_info SET moved_from = NULL", ())
    }
}
