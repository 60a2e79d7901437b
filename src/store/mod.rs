//! SQL, no rules: what is kept, and how it survives. The only place that knows rusqlite.

mod audit;
mod clean_up;
mod codes;
mod error;
mod issuers;
mod signing_keys;
mod rate_limits;
mod outbox;
mod sent_codes;
mod sessions;
mod sqlite;
mod tx;
mod user_list;
mod user_search;
mod users;

use std::{
    fs::OpenOptions,
    io::ErrorKind,
    num::NonZero,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
    time::Duration,
};

use deadpool_sqlite::Object;
use rusqlite::{Connection, OpenFlags};

use self::sqlite::{
    change_counter::ChangeCounter,
    connection::{BUSY, can_write, connection, only_reads, pool},
    dedicated_connection::DedicatedConnection,
    disk_reserve::DiskReserve,
    integrity_check::IntegrityCheck,
    migrations::{self, Schema},
    readers::Readers,
    writer::{Priority, Writer},
};
pub use self::{
    clean_up::CleanUpRow,
    error::{Error, OpenError, Unique},
    outbox::{Attempt, Due, OutboxCursor, SealedMessage},
    signing_keys::SigningKeyRow,
    sqlite::change_counter::Version,
    tx::{Snapshot, Tx},
    users::DueUserCursor,
};
use crate::{
    config::Database,
    files::{self, folder_of},
};

/// How long to wait for the threads to end.
const CLOSE: Duration = Duration::from_secs(2);

/// The store, open. Cheap to clone; closed when the last clone is gone.
#[derive(Clone)]
pub struct Store {
    writer: Writer,
    readers: Readers,
    /// A reader that no request keeps busy: it answers whether the store does.
    prober: Readers,
    threads: Arc<Mutex<Vec<JoinHandle<()>>>>,
    change_counter: Arc<ChangeCounter>,
    disk_reserve: Arc<DiskReserve>,
    integrity_check: Arc<IntegrityCheck>,
}

/// What to do with a file that is not there, or not up to date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// Make it, or bring it up to date.
    CreateOrMigrate,
    /// Leave everything as it is, and say so.
    RequireCurrent,
}

/// The database engine with its version, as it is logged.
#[must_use]
pub fn engine() -> String {
    format!("SQLite {}", rusqlite::version())
}

impl Store {
    /// Opens the store at `path`; answers the migrations that this took, too.
    ///
    /// # Errors
    /// In words for whoever starts the program.
    pub async fn open(database: &Database, missing: OpenMode) -> Result<(Self, Vec<String>), OpenError> {
        let path = &database.file();
        Self::open_at(path, missing).await.map_err(|error| error.or_denied(path))
    }

    async fn open_at(path: &Path, missing: OpenMode) -> Result<(Self, Vec<String>), OpenError> {
        let failed = |why: String| OpenError::Failed { path: path.display().to_string(), why };
        match missing {
            OpenMode::CreateOrMigrate => create_file(path).map_err(|e| failed(e.to_string()))?,
            OpenMode::RequireCurrent => must_be_there(path)?,
        }
        look_at(path)?;
        let readers = thread::available_parallelism().map_or(2, NonZero::get).clamp(1, 4) * 2;
        let pool = pool(path, readers + 2).map_err(&failed)?;
        let writer = connection(&pool).await.map_err(&failed)?;
        can_write(&writer).await.map_err(&failed)?;
        let migrated = bring_up_to_date(&writer, path, missing).await?;
        let mut connections = Vec::new();
        for _ in 0..=readers {
            let reader = connection(&pool).await.map_err(&failed)?;
            only_reads(&reader).await.map_err(&failed)?;
            connections.push(reader);
        }
        let change_counter = Arc::new(ChangeCounter::of(&writer).map_err(&failed)?);
        let held = |connection| DedicatedConnection::new(connection, &change_counter);
        let (writer, thread) = Writer::start(held(writer)).map_err(|e| failed(e.to_string()))?;
        let mut connections = connections.into_iter().map(held);
        let mut start = |name, count| Readers::start(name, connections.by_ref().take(count));
        let (prober, mut threads) = start("store-prober", 1).map_err(|e| failed(e.to_string()))?;
        let (readers, more) = start("store-reader", readers).map_err(|e| failed(e.to_string()))?;
        threads.extend(more);
        threads.push(thread);
        let threads = Arc::new(Mutex::new(threads));
        let (disk_reserve, integrity_check) =
            (Arc::new(DiskReserve::beside(path)), Arc::new(IntegrityCheck::of(path)));
        let store = Self { writer, readers, prober, threads, change_counter, disk_reserve, integrity_check };
        store.recompute_arrival_disorder().await;
        Ok((store, migrated))
    }

    /// Finds out anew how disorderly users came, if that is much: those who came by a wrong clock may be gone. It is about
    /// how quick searches are, and no reason not to start.
    async fn recompute_arrival_disorder(&self) {
        if !matches!(self.read(|tx| tx.has_arrival_disorder()).await, Ok(true)) {
            return;
        }
        if let Err(error) = self.write(|tx| tx.recompute_arrival_disorder()).await {
            tracing::warn!(%error, "the order of arrival cannot be looked at: searches may be slow");
        }
    }

    /// Closes the store, and returns once it is closed, if this is its last clone. Nothing is lost without: what was
    /// answered is on the disk.
    pub async fn close(self) {
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        drop(self);
        let ended =
            tokio::task::spawn_blocking(|| threads.into_iter().for_each(|thread| drop(thread.join())));
        if tokio::time::timeout(CLOSE, ended).await.is_err() {
            tracing::warn!("the database is still in use; it closes with the process");
        }
    }

    /// Looks at the whole file for damage: now if it is small, meanwhile if it is not. A store that is known to be
    /// damaged answers nothing any more.
    ///
    /// # Errors
    /// If a small file is damaged.
    pub async fn check_integrity(&self) -> Result<(), OpenError> {
        if self.integrity_check.is_quick() {
            return match self.read(|tx| tx.damage()).await {
                Ok(None) => Ok(()),
                Ok(Some(why)) | Err(Error::Damaged(why)) => Err(self.integrity_check.damaged(why)),
                Err(error) => Err(self.integrity_check.failed(&error)),
            };
        }
        match self.integrity_check.start(&self.change_counter) {
            Ok(thread) => self.threads.lock().unwrap_or_else(PoisonError::into_inner).push(thread),
            Err(why) => tracing::error!(why, "the integrity check of the database cannot start"),
        }
        Ok(())
    }

    /// Takes space on the disk that deleting can have when there is none left.
    ///
    /// # Errors
    /// If there is not enough.
    pub fn allocate_disk_reserve(&self) -> std::io::Result<()> {
        self.disk_reserve.allocate()
    }

    /// Gives that space back; answers whether there was any.
    #[must_use]
    pub fn release_disk_reserve(&self) -> bool {
        self.disk_reserve.release()
    }

    /// Whether there is a store yet.
    #[must_use]
    pub fn exists(database: &Database) -> bool {
        database.file().exists()
    }

    /// The migrations that a file still needs; changes nothing, and makes no file.
    ///
    /// # Errors
    /// If it cannot be read, or is not one of ours, or is too new.
    pub fn pending_migrations(database: &Database) -> Result<Vec<String>, OpenError> {
        let path = &database.file();
        let seen = must_be_there(path).and_then(|()| look_at(path));
        match seen.map_err(|error| error.or_denied(path))? {
            Schema::Current => Ok(Vec::new()),
            Schema::Behind(names) => Ok(names),
        }
    }

    /// Whether the store answers. It is asked on a reader of its own, behind no other read.
    ///
    /// # Errors
    /// That the store cannot.
    pub async fn answers(&self) -> Result<(), Error> {
        self.integrity_check.passed_so_far()?;
        self.prober.read(|tx| tx.probe_users()).await
    }

    /// Runs `work` on the store as it is at one instant. If the caller goes away meanwhile, it is not run, or not to its end.
    ///
    /// # Errors
    /// What `work` answers, or that the store cannot.
    pub async fn read<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        F: FnOnce(&Snapshot<'_>) -> Result<T, E> + Send + 'static,
    {
        self.integrity_check.passed_so_far()?;
        self.readers.read(work).await
    }

    /// Runs `work` in a transaction: `Ok` is answered once all of it is on the disk, after `Err` nothing happened. If the
    /// caller goes away before it has begun, it is not run; once begun it is committed whether or not the caller waits. What
    /// must happen even so belongs on a task that outlives its request.
    ///
    /// # Errors
    /// What `work` answers, or that the store cannot.
    pub async fn write<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        F: FnOnce(&Tx<'_>) -> Result<T, E> + Send + 'static,
    {
        self.integrity_check.passed_so_far()?;
        self.writer.write(work, Priority::Next).await
    }

    /// The same for work that has time: whoever waits goes first, for a while.
    ///
    /// # Errors
    /// What `work` answers, or that the store cannot.
    pub async fn write_background<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        F: FnOnce(&Tx<'_>) -> Result<T, E> + Send + 'static,
    {
        self.integrity_check.passed_so_far()?;
        self.writer.write(work, Priority::Background).await
    }
}

/// The file, for its owner alone from its first moment on, in a folder for its owner alone if that had to be made.
fn create_file(path: &Path) -> std::io::Result<()> {
    files::make_folder(&folder_of(path))?;
    match files::create_new(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            OpenOptions::new().append(true).open(path).map(|_| ())
        }
        made => made.map(|_| ()),
    }
}

fn must_be_there(path: &Path) -> Result<(), OpenError> {
    match path.try_exists() {
        Ok(true) => Ok(()),
        Ok(false) => Err(OpenError::Missing(path.display().to_string())),
        Err(error) => Err(OpenError::Failed { path: path.display().to_string(), why: error.to_string() }),
    }
}

/// Looks at a file without changing it: it may be somebody else's.
fn look_at(path: &Path) -> Result<Schema, OpenError> {
    let look = |flags| {
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(BUSY)?;
        Ok(connection)
    };
    let failed = |e: rusqlite::Error| OpenError::of(path, &e);
    let seen = migrations::inspect(&look(OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(failed)?, path);
    match seen {
        // What a program that was killed left half done must be undone before anything can be read.
        Err(OpenError::Failed { .. } | OpenError::Damaged { .. } | OpenError::NoDatabase(_)) => {
            migrations::inspect(&look(OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(failed)?, path)
        }
        seen => seen,
    }
}

async fn bring_up_to_date(
    connection: &Object,
    path: &Path,
    missing: OpenMode,
) -> Result<Vec<String>, OpenError> {
    let owned = path.to_owned();
    let done =
        connection.interact(move |connection| match (migrations::inspect(connection, &owned)?, missing) {
            (Schema::Current, _) => Ok(Vec::new()),
            (Schema::Behind(_), OpenMode::CreateOrMigrate) => migrations::migrate(connection, &owned),
            (Schema::Behind(_), OpenMode::RequireCurrent) => {
                Err(OpenError::Older(owned.display().to_string()))
            }
        });
    done.await
        .unwrap_or_else(|e| Err(OpenError::Failed { path: path.display().to_string(), why: e.to_string() }))
}
