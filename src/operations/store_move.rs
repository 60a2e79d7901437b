//! Moves a store to a database of the other engine: at each moment at most one of the two can be used, and the same call again
//! completes what was interrupted.

use tokio::{runtime::Handle, task::spawn_blocking};
use uuid::Uuid;

use crate::{
    config::Database,
    core::outbox,
    crypto::{InstallationSecret, KeyError, key_ring::KeyRing},
    domain::{MessageId, Timestamp},
    store::{
        self, LockedStore, MoveMark, OpenError, OpenMode, Snapshot, Store, TableContent, TransactionEnd, Tx,
        UnfitRows,
    },
};

/// A move that was asked for.
pub struct StoreMove {
    pub from: Database,
    pub to: Database,
    pub secret: InstallationSecret,
    pub mode: MoveMode,
    pub now: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MoveMode {
    Move,
    /// Copy and verify, and roll that back.
    DryRun,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Moved {
    /// With what was copied.
    Copied(Vec<TableContent>),
    /// Everything had been copied before.
    Completed,
}

/// How far a move is: each row is read, copied and verified.
#[derive(Clone, Copy, Debug, Default)]
pub struct MoveProgress {
    pub done: u64,
    pub total: u64,
}

/// Why a store was not moved, for the operator.
#[derive(Debug, thiserror::Error)]
pub enum MoveError {
    #[error(transparent)]
    Source(OpenError),
    #[error(transparent)]
    Target(OpenError),
    #[error("the database at {0} is not empty")]
    NotEmpty(String),
    #[error("the database at {at} is the target of another move, from {from}")]
    OtherMove { at: String, from: String },
    #[error("the signing keys in the database were made with another installation secret")]
    OtherSecret,
    #[error("the database has no signing key, so it was never used")]
    Unused,
    #[error("the message {} cannot be decrypted with the installation secret", .0.0)]
    UnreadableMessage(MessageId),
    #[error("{} rows cannot be stored in {at}: {}", .rows.count, .rows.named.join("; "))]
    Unfit { at: String, rows: UnfitRows },
    #[error("the copy of the table {0} differs from what was read")]
    Different(&'static str),
    #[error(transparent)]
    Store(#[from] store::Error),
    /// A defect.
    #[error("the move panicked")]
    Panicked,
}

impl MoveError {
    /// What the operator can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::Target(OpenError::Moved { .. }) | Self::NotEmpty(_) | Self::OtherMove { .. } => {
                "move to an empty database, or to a file that does not exist"
            }
            Self::Source(error) | Self::Target(error) => return error.hint(),
            Self::OtherSecret | Self::UnreadableMessage(_) => {
                "put back the secret that belongs to this database: it is part of every backup"
            }
            Self::Unused => "start with the new database",
            Self::Unfit { .. } => {
                "correct them with coffeeshop users or in the database, then run this again"
            }
            Self::Store(_) | Self::Different(_) => "the database in use is still the old one; run this again",
            Self::Panicked => return None,
        })
    }
}

type Progress<'a> = &'a mut (dyn FnMut(MoveProgress) + Send);

impl StoreMove {
    /// Moves the store.
    ///
    /// # Errors
    /// If nothing was moved: either store or both may be marked, so that only the source can be used, or neither.
    pub async fn run(
        self,
        mut progress: impl FnMut(MoveProgress) + Send + 'static,
    ) -> Result<Moved, MoveError> {
        let runtime = Handle::current();
        // The stores are used from one thread, which waits for them.
        let moved = spawn_blocking(move || self.run_on_thread(&runtime, &mut progress));
        moved.await.unwrap_or(Err(MoveError::Panicked))
    }

    fn run_on_thread(&self, runtime: &Handle, progress: Progress<'_>) -> Result<Moved, MoveError> {
        let source = LockedStore::open(&self.from).map_err(MoveError::Source)?;
        let mark = source.write(|tx| tx.move_mark())?;
        if mark.moved_to.is_some() {
            return self.complete(&source, mark);
        }
        mark.check(source.at()).map_err(MoveError::Source)?;
        let total = source.lock(TransactionEnd::RollBack, |tx| self.check_source(tx, progress))?;
        let is_new = !Store::exists(&self.to);
        self.make_target(runtime)?;
        let target = LockedStore::open(&self.to).map_err(MoveError::Target)?;
        let copied = self.move_between(&source, &target, total, progress)?;
        if self.mode == MoveMode::DryRun && is_new {
            target.delete_file();
        } else {
            target.close();
        }
        source.close();
        Ok(Moved::Copied(copied))
    }

    /// Completes a move whose source is marked already.
    fn complete(&self, source: &LockedStore, mark: MoveMark) -> Result<Moved, MoveError> {
        if self.mode == MoveMode::Move && mark.moved_to.as_deref() == Some(&self.to.to_string()) {
            let target = LockedStore::open(&self.to).map_err(MoveError::Target)?;
            if target.write(|tx| tx.move_mark())?.move_id == mark.move_id {
                target.write(|tx| tx.end_move())?;
                return Ok(Moved::Completed);
            }
        }
        mark.check(source.at()).map_err(MoveError::Source).map(|()| Moved::Completed)
    }

    /// Checks what can be refused before anything is written; returns how many rows there are.
    fn check_source(&self, source: &Tx<'_>, progress: Progress<'_>) -> Result<u64, MoveError> {
        self.check_secret(source)?;
        let mut counter =
            Counter { so_far: MoveProgress { done: 0, total: 3 * source.count_rows()? }, progress };
        let rows = source.unfit_rows(&self.to, &mut |rows| counter.add(rows))?;
        if rows.count > 0 {
            return Err(MoveError::Unfit { at: self.to.to_string(), rows });
        }
        Ok(counter.so_far.done)
    }

    fn move_between(
        &self,
        source: &LockedStore,
        target: &LockedStore,
        rows: u64,
        progress: Progress<'_>,
    ) -> Result<Vec<TableContent>, MoveError> {
        let mut counter = Counter { so_far: MoveProgress { done: rows, total: 3 * rows }, progress };
        let id = self.begin(source, target)?;
        let end = match self.mode {
            MoveMode::Move => TransactionEnd::Commit,
            MoveMode::DryRun => TransactionEnd::RollBack,
        };
        let copied = source.lock(end, |source_tx| {
            let copied = target.lock(end, |target_tx| self.copy(source_tx, target_tx, &mut counter))?;
            // The copy is committed now, and marked. Once this is committed as well, the source is not used any more.
            source_tx.mark_moved(target.at(), id, self.now)?;
            source_tx.rename_moved_tables()?;
            Ok::<_, MoveError>(copied)
        })?;
        if self.mode == MoveMode::Move {
            target.write(|tx| tx.end_move())?;
        }
        Ok(copied)
    }

    /// Brings the target to the schema of this program.
    fn make_target(&self, runtime: &Handle) -> Result<(), MoveError> {
        match runtime.block_on(Store::open(&self.to, OpenMode::CreateOrMigrate)) {
            Ok((store, _)) => {
                runtime.block_on(store.close());
                Ok(())
            }
            Err(OpenError::Incoming { .. }) => Ok(()),
            Err(error) => Err(MoveError::Target(error)),
        }
    }

    /// Marks the target as incoming; returns the id of the move. A target that was left by an interrupted move of this source
    /// has its id.
    fn begin(&self, source: &LockedStore, target: &LockedStore) -> Result<Uuid, MoveError> {
        let known = source.write(|tx| tx.move_mark())?.move_id;
        let mark = target.write(|tx| tx.move_mark())?;
        match (mark.moved_from, mark.move_id) {
            (Some(_), Some(id)) if known == Some(id) => return Ok(id),
            (Some(from), _) => return Err(MoveError::OtherMove { at: target.at().to_owned(), from }),
            (None, _) => {}
        }
        let id = Uuid::now_v7();
        if self.mode == MoveMode::Move {
            source.write(|tx| tx.set_move_id(id))?;
        }
        target.write(|tx| {
            if !tx.is_empty()? {
                return Err(MoveError::NotEmpty(target.at().to_owned()));
            }
            if self.mode == MoveMode::Move {
                tx.mark_incoming(source.at(), id, self.now)?;
            }
            Ok(id)
        })
    }

    /// Copies and verifies every table.
    fn copy(
        &self,
        source: &Tx<'_>,
        target: &Tx<'_>,
        counter: &mut Counter<'_>,
    ) -> Result<Vec<TableContent>, MoveError> {
        target.delete_all_rows()?;
        let copied = target.copy_from(source, &mut |rows| counter.add(rows))?;
        let found = target.content(&mut |rows| counter.add(rows))?;
        if let Some((copied, _)) = copied.iter().zip(&found).find(|(copied, found)| copied != found) {
            return Err(MoveError::Different(copied.table));
        }
        self.check_secret(target)?;
        Ok(copied)
    }

    /// Checks that the secret decrypts the signing keys, and the oldest and the newest message.
    fn check_secret(&self, snapshot: &Snapshot<'_>) -> Result<(), MoveError> {
        match KeyRing::unseal(&snapshot.signing_keys()?, Vec::new(), &self.secret) {
            Ok(_) => {}
            Err(KeyError::Missing) => return Err(MoveError::Unused),
            Err(_) => return Err(MoveError::OtherSecret),
        }
        for message in snapshot.oldest_and_newest_message()? {
            if !outbox::can_unseal(&self.secret, &message) {
                return Err(MoveError::UnreadableMessage(message.id));
            }
        }
        Ok(())
    }
}

/// Counts rows, and tells the caller.
struct Counter<'a> {
    so_far: MoveProgress,
    progress: Progress<'a>,
}

impl Counter<'_> {
    fn add(&mut self, rows: usize) {
        self.so_far.done += u64::try_from(rows).unwrap_or(0);
        (self.progress)(self.so_far);
    }
}
