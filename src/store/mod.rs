//! The store: what is kept, as SQL without rules. The only layer that knows the database.

mod audit;
mod clean_up;
mod codes;
mod copy;
mod error;
mod issuers;
mod locked_store;
mod open;
mod outbox;
mod postgres;
mod rate_limits;
mod sent_codes;
mod server_fault;
mod sessions;
mod signing_keys;
mod sql;
mod sqlite;
mod store_info;
mod tables;
mod tx;
mod user_conditions;
mod user_list;
mod user_search;
mod users;

use std::io;

pub use self::{
    clean_up::CleanUpRow,
    copy::{TableContent, UnfitRows},
    error::{Error, Unique},
    locked_store::{LockedStore, TransactionEnd},
    open::{OpenError, OpenMode},
    outbox::{Attempt, Due, OutboxCursor, SealedMessage},
    rate_limits::UsedTokens,
    server_fault::{ServerFault, Unmet},
    signing_keys::SigningKeyRow,
    sqlite::Version,
    store_info::MoveMark,
    tx::{RateLimitTx, Snapshot, Tx},
    users::DueUserCursor,
};
use crate::{
    config::{self, Database},
    domain::{Session, SessionId, User},
};

/// An open store. Cheap to clone; closed when the last clone is dropped.
#[derive(Clone)]
pub struct Store {
    engine: Engine,
}

#[derive(Clone)]
enum Engine {
    Sqlite(sqlite::Engine),
    Postgres(postgres::Engine),
}

/// The database engine of these settings, for the log; with its version if that is known without a connection.
#[must_use]
pub fn engine(database: &Database) -> String {
    match database.engine() {
        config::Engine::Sqlite(_) => format!("SQLite {}", sqlite::version()),
        config::Engine::Postgres(_) => "PostgreSQL".to_owned(),
    }
}

impl Store {
    /// Opens a store; returns the migrations that were applied, too.
    ///
    /// # Errors
    /// A startup error, shown to the operator.
    pub async fn open(database: &Database, mode: OpenMode) -> Result<(Self, Vec<String>), OpenError> {
        let (engine, migrated) = match database.engine() {
            config::Engine::Sqlite(file) => {
                let (engine, migrated) = sqlite::Engine::open(&file, mode).await?;
                (Engine::Sqlite(engine), migrated)
            }
            config::Engine::Postgres(settings) => {
                let (engine, migrated) = postgres::Engine::open(&settings, mode).await?;
                (Engine::Postgres(engine), migrated)
            }
        };
        Ok((Self { engine }, migrated))
    }

    /// Whether there is a database; only the operator creates one of PostgreSQL.
    #[must_use]
    pub fn exists(database: &Database) -> bool {
        match database.engine() {
            config::Engine::Sqlite(file) => sqlite::exists(&file),
            config::Engine::Postgres(_) => true,
        }
    }

    /// The migrations that a store still needs; changes nothing, and creates no store.
    ///
    /// # Errors
    /// A startup error, shown to the operator.
    pub fn pending_migrations(database: &Database) -> Result<Vec<String>, OpenError> {
        match database.engine() {
            config::Engine::Sqlite(file) => sqlite::pending_migrations(&file),
            config::Engine::Postgres(settings) => postgres::pending_migrations(&settings),
        }
    }

    /// Waits until the store is closed, if this is its last clone. Without it nothing is lost: what was acknowledged is on the
    /// disk.
    pub async fn close(self) {
        match self.engine {
            Engine::Sqlite(engine) => engine.close().await,
            Engine::Postgres(engine) => engine.close().await,
        }
    }

    /// Checks the integrity of a small store at once, and of a large one in the background. Once damage is found, every read and
    /// write is refused.
    ///
    /// # Errors
    /// If a small store is damaged.
    pub async fn check_integrity(&self) -> Result<(), OpenError> {
        match &self.engine {
            Engine::Sqlite(engine) => engine.check_integrity().await,
            Engine::Postgres(_) => Ok(()),
        }
    }

    /// Reserves disk space for a purge on a full disk.
    ///
    /// # Errors
    /// If there is not enough space.
    pub fn allocate_disk_reserve(&self) -> io::Result<()> {
        match &self.engine {
            Engine::Sqlite(engine) => engine.allocate_disk_reserve(),
            Engine::Postgres(_) => Ok(()),
        }
    }

    /// Releases that space; returns whether it was reserved.
    #[must_use]
    pub fn release_disk_reserve(&self) -> bool {
        match &self.engine {
            Engine::Sqlite(engine) => engine.release_disk_reserve(),
            Engine::Postgres(_) => false,
        }
    }

    /// The present version: while it is the same, nothing was committed by any process. None if the engine cannot tell, or that
    /// was not proven.
    #[must_use]
    pub fn version(&self) -> Option<Version> {
        match &self.engine {
            Engine::Sqlite(engine) => engine.version(),
            Engine::Postgres(_) => None,
        }
    }

    /// Commits, and returns whether that has changed the version, as every commit must; only then is there a version. None if
    /// the engine has no versions.
    ///
    /// # Errors
    /// If the commit fails.
    pub async fn prove_version(&self) -> Result<Option<bool>, Error> {
        match &self.engine {
            Engine::Sqlite(engine) => engine.prove_version().await.map(Some),
            Engine::Postgres(_) => Ok(None),
        }
    }

    /// Returns when this process has committed a message, or messages that are due again, since the last call.
    pub async fn enqueued(&self) {
        match &self.engine {
            Engine::Sqlite(engine) => engine.enqueued().await,
            Engine::Postgres(engine) => engine.enqueued().await,
        }
    }

    /// Whether the store can be read, independently of other reads that wait.
    ///
    /// # Errors
    /// If it cannot.
    pub async fn answers(&self) -> Result<(), Error> {
        match &self.engine {
            Engine::Sqlite(engine) => engine.probe().await,
            Engine::Postgres(engine) => engine.probe().await,
        }
    }

    /// A session with its user: how each request is authenticated.
    ///
    /// # Errors
    /// If the store cannot answer.
    pub async fn session_with_user(&self, id: SessionId) -> Result<Option<(Session, User)>, Error> {
        match &self.engine {
            Engine::Sqlite(engine) => engine.read(move |tx| tx.session(id)).await,
            Engine::Postgres(engine) => engine.session_with_user(id).await,
        }
    }

    /// Runs `work` on one snapshot. If the caller stops waiting, it is not run, or not to its end.
    ///
    /// # Errors
    /// The error of `work`, or of the store.
    pub async fn read<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        F: FnOnce(&Snapshot<'_>) -> Result<T, E> + Clone + Send + 'static,
    {
        match &self.engine {
            Engine::Sqlite(engine) => engine.read(work).await,
            Engine::Postgres(engine) => engine.read(work).await,
        }
    }

    /// Runs `work` in a transaction. `Ok` is returned once everything is on the disk; after `Err` nothing was changed. If the
    /// caller stops waiting before `work` begins, it is not run; once begun it is committed all the same. Work that must happen
    /// in any case belongs on a task that outlives its request.
    ///
    /// `work` can be run more than once, so it has no effect outside of its transaction.
    ///
    /// # Errors
    /// The error of `work`, or of the store.
    pub async fn write<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        F: FnOnce(&Tx<'_>) -> Result<T, E> + Clone + Send + 'static,
    {
        match &self.engine {
            Engine::Sqlite(engine) => engine.write(work).await,
            Engine::Postgres(engine) => engine.write(work).await,
        }
    }

    /// Runs `work` in a transaction on rate limits alone, which is never in conflict with other writes.
    ///
    /// # Errors
    /// The error of `work`, or of the store.
    pub async fn write_rate_limits<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        F: FnOnce(&RateLimitTx<'_>) -> Result<T, E> + Clone + Send + 'static,
    {
        match &self.engine {
            Engine::Sqlite(engine) => engine.write(move |tx| work(&RateLimitTx(tx))).await,
            Engine::Postgres(engine) => engine.write_rate_limits(work).await,
        }
    }

    /// Runs `charge` on rate limits, `work` in a transaction of its own, and what `settle` makes of its result on rate limits
    /// again. For a refusal that is to undo the charge.
    ///
    /// SQLite has one transaction for all of it, with one fsync, and rolls it back after a refusal. An engine that has a
    /// transaction for each may stop in between: then the charge is not settled.
    ///
    /// # Errors
    /// The error of `charge` or `work`, or of the store.
    pub async fn write_charged<T, E, C, F, R, S>(&self, charge: Option<C>, work: F, settle: R) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        C: FnOnce(&RateLimitTx<'_>) -> Result<(), E> + Clone + Send + 'static,
        F: FnOnce(&Tx<'_>) -> Result<T, E> + Clone + Send + 'static,
        R: FnOnce(&Result<T, E>) -> Option<S> + Clone + Send + 'static,
        S: FnOnce(&RateLimitTx<'_>) -> Result<(), E> + Clone + Send + 'static,
    {
        match &self.engine {
            Engine::Sqlite(engine) => engine.write_charged(charge, work, settle).await,
            Engine::Postgres(engine) => engine.write_charged(charge, work, settle).await,
        }
    }

    /// The same as [`Self::write`] with a lower priority: other writes go first, within limits.
    ///
    /// # Errors
    /// The error of `work`, or of the store.
    pub async fn write_background<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        F: FnOnce(&Tx<'_>) -> Result<T, E> + Clone + Send + 'static,
    {
        match &self.engine {
            Engine::Sqlite(engine) => engine.write_background(work).await,
            Engine::Postgres(engine) => engine.write_background(work).await,
        }
    }
}
