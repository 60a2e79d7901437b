//! A store that no other process uses meanwhile: the source or the target of a move.

use super::{error::Error, open::OpenError, postgres, sqlite, tx::Tx};
use crate::config::{self, Database};

/// An open store whose schema is up to date.
pub struct LockedStore {
    engine: Engine,
    at: String,
}

enum Engine {
    Sqlite(sqlite::Exclusive),
    Postgres(postgres::Exclusive),
}

/// What becomes of the changes of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionEnd {
    Commit,
    RollBack,
}

impl LockedStore {
    /// Opens it, even if it is marked as moved.
    ///
    /// # Errors
    /// A startup error, also if another process uses a file of SQLite.
    pub fn open(database: &Database) -> Result<Self, OpenError> {
        let engine = match database.engine() {
            config::Engine::Sqlite(file) => Engine::Sqlite(sqlite::Exclusive::open(&file)?),
            config::Engine::Postgres(settings) => Engine::Postgres(postgres::Exclusive::open(&settings)?),
        };
        Ok(Self { engine, at: database.to_string() })
    }

    /// Where it is, without user and password.
    #[must_use]
    pub fn at(&self) -> &str {
        &self.at
    }

    pub fn close(self) {
        match self.engine {
            Engine::Sqlite(engine) => drop(engine),
            Engine::Postgres(engine) => engine.close(),
        }
    }

    /// Closes it, and deletes the file of a SQLite store.
    pub fn delete_file(self) {
        match self.engine {
            Engine::Sqlite(engine) => engine.delete(),
            Engine::Postgres(engine) => engine.close(),
        }
    }

    /// Runs `work` in a transaction that has a lock on every table.
    ///
    /// # Errors
    /// The error of `work`, or of the store, also if another process does not cease to use a table.
    pub fn lock<T, E: From<Error>>(
        &self,
        end: TransactionEnd,
        work: impl FnOnce(&Tx<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        self.transaction(end, |tx| {
            tx.lock_tables().map_err(|error| {
                Error::Unavailable(format!("another process may be using {}: {error}", self.at))
            })?;
            work(tx)
        })
    }

    /// Runs `work` in a transaction.
    ///
    /// # Errors
    /// The error of `work`, or of the store.
    pub fn write<T, E: From<Error>>(&self, work: impl FnOnce(&Tx<'_>) -> Result<T, E>) -> Result<T, E> {
        self.transaction(TransactionEnd::Commit, work)
    }

    fn transaction<T, E: From<Error>>(
        &self,
        end: TransactionEnd,
        work: impl FnOnce(&Tx<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let result = work(&self.begin()?);
        if result.is_ok() && end == TransactionEnd::Commit {
            self.commit()?;
        } else {
            self.roll_back();
        }
        result
    }

    fn begin(&self) -> Result<Tx<'_>, Error> {
        match &self.engine {
            Engine::Sqlite(engine) => engine.begin(),
            Engine::Postgres(engine) => Ok(engine.begin()),
        }
    }

    fn commit(&self) -> Result<(), Error> {
        match &self.engine {
            Engine::Sqlite(engine) => engine.commit(),
            Engine::Postgres(engine) => engine.commit(),
        }
    }

    fn roll_back(&self) {
        match &self.engine {
            Engine::Sqlite(engine) => engine.roll_back(),
            Engine::Postgres(engine) => engine.roll_back(),
        }
    }
}
