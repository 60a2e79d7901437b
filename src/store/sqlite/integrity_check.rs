//! Checks the integrity of the file, for damage that no query notices: an index that lacks a row hides a user from a list.
//!
//! Simplified: a changed byte in a name, or in another text that is in no index, is not noticed. With more time each page
//! would carry a checksum.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, OnceLock, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use rusqlite::{Connection, InterruptHandle};

use super::{
    change_counter::ChangeCounter,
    connection::configure,
    errors::{self, with_suffix},
};
use crate::store::{
    error::Error,
    open::{OpenError, RESTORE},
    tx::Snapshot,
};

/// Up to this size, in bytes, the file is checked before it is served, which takes 10 ms. A larger file is checked in the
/// background, which takes half a second for 100,000 users.
const SMALL: u64 = 2 * 1024 * 1024;

/// The priority of the scan is below that of requests, and equal to that of hashing, which would starve it otherwise.
const NICE: i32 = 10;

/// The size of the log, in bytes, at which the scan of a table is interrupted, since a reader prevents its checkpoint. The
/// table is scanned again once the store is idle.
const LONGEST_LOG: u64 = 8 * 1024 * 1024;
/// After how many steps of SQLite's virtual machine the size of the log is read.
const STEPS: i32 = 500;
/// The store is idle when nothing was committed for this long. The scan waits for that so many times at most, and as long as
/// the log is too long, because another reader prevents its checkpoint.
const IDLE: Duration = Duration::from_secs(1);
const MAX_IDLE_WAITS: usize = 60;
/// How many times the scan of a table is tried that fails for another reason than damage, as while the file is locked.
const TRIES: usize = 10;

/// The integrity check of the whole file, and its result.
pub(super) struct IntegrityCheck {
    path: PathBuf,
    damage: OnceLock<String>,
    running: Mutex<Option<InterruptHandle>>,
}

impl IntegrityCheck {
    pub(super) fn of(path: &Path) -> Self {
        Self { path: path.to_owned(), damage: OnceLock::new(), running: Mutex::default() }
    }

    pub(super) fn is_small(&self) -> bool {
        bytes(&self.path) + bytes(&with_suffix(&self.path, "-wal")) <= SMALL
    }

    /// An error once damage was found: rows may be another user's, or be missing.
    pub(super) fn passed_so_far(&self) -> Result<(), Error> {
        self.damage.get().map_or(Ok(()), |damage| Err(Error::Damaged(damage.clone())))
    }

    pub(super) fn damaged(&self, why: String) -> OpenError {
        OpenError::Damaged { at: self.path.display().to_string(), why }
    }

    /// The startup error of a check that did not finish.
    pub(super) fn failed(&self, error: &Error) -> OpenError {
        errors::failed(&self.path, error)
    }

    /// Starts a scan on a thread of its own, which ends with the store.
    pub(super) fn start(
        self: &Arc<Self>,
        change_counter: &Arc<ChangeCounter>,
    ) -> Result<JoinHandle<()>, String> {
        let scan = Scan { integrity_check: Arc::downgrade(self), change_counter: Arc::clone(change_counter) };
        let run = move || {
            let _ = rustix::process::setpriority_process(None, NICE);
            scan.run();
        };
        thread::Builder::new().name("store-integrity".to_owned()).spawn(run).map_err(|e| e.to_string())
    }

    /// A connection for one check, which is interrupted, and sets `interrupted`, once the log is too long.
    ///
    /// For one only: FTS5 caches the structure of its index. A search notices that another connection has changed it; an
    /// integrity check does not, and the second one on a connection reports damage where there is none (SQLite 3.53.2).
    fn connect(&self, interrupted: &Arc<AtomicBool>) -> Result<Connection, Error> {
        let connection = self.open()?;
        let handle = connection.get_interrupt_handle();
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = Some(handle);
        let (interrupted, log) = (Arc::clone(interrupted), with_suffix(&self.path, "-wal"));
        let blocks_checkpoint = move || {
            let is_long = bytes(&log) > LONGEST_LOG;
            interrupted.fetch_or(is_long, Ordering::Relaxed);
            is_long
        };
        connection.progress_handler(STEPS, Some(blocks_checkpoint))?;
        Ok(connection)
    }

    fn open(&self) -> Result<Connection, Error> {
        let connection = Connection::open(&self.path)?;
        configure(&connection).map_err(Error::Unavailable)?;
        Ok(connection)
    }
}

impl Drop for IntegrityCheck {
    fn drop(&mut self) {
        let running = self.running.get_mut().unwrap_or_else(PoisonError::into_inner);
        running.iter().for_each(InterruptHandle::interrupt);
    }
}

fn bytes(path: &Path) -> u64 {
    path.metadata().map_or(0, |file| file.len())
}

/// A scan of a large file, one table after the other, so that no snapshot lasts long. It keeps the check alive only while it is
/// connected.
struct Scan {
    integrity_check: Weak<IntegrityCheck>,
    change_counter: Arc<ChangeCounter>,
}

impl Scan {
    fn run(&self) {
        self.wait_until_idle(); // a start begins with a purge
        let scanned = self.all_tables();
        let Some(integrity_check) = self.integrity_check.upgrade() else { return };
        if let Err(damage) = scanned {
            tracing::error!(
                damage,
                hint = RESTORE,
                "the database is damaged: every read and write is refused from now on"
            );
            let _ = integrity_check.damage.set(damage);
        }
    }

    fn is_cancelled(&self) -> bool {
        self.integrity_check.strong_count() == 0
    }

    fn wait_until_idle(&self) {
        for _ in 0..MAX_IDLE_WAITS {
            let before = self.change_counter.read();
            for _ in 0..50 {
                if self.is_cancelled() {
                    return;
                }
                thread::sleep(IDLE / 50);
            }
            if self.change_counter.read() == before {
                return;
            }
        }
    }

    /// The error is the first damage found.
    fn all_tables(&self) -> Result<(), String> {
        for table in self.with_retries("the database", || self.tables())?.unwrap_or_default() {
            if let Some(damage) = self.with_retries(&table, || self.damage_of(&table))?.flatten() {
                return Err(damage);
            }
        }
        Ok(())
    }

    /// Runs `scan`, which may fail while the file is locked, several times; none if it fails every time. The error is damage.
    fn with_retries<T>(&self, what: &str, scan: impl Fn() -> Result<T, Error>) -> Result<Option<T>, String> {
        for _ in 0..TRIES {
            match scan() {
                Ok(result) => return Ok(Some(result)),
                Err(Error::Damaged(why)) => return Err(why),
                Err(_) if self.is_cancelled() => return Ok(None),
                Err(error) => tracing::warn!(what, %error, "the integrity check failed and is tried again"),
            }
            self.wait_until_idle();
        }
        tracing::error!(what, "the integrity check failed and is not tried again before the next start");
        Ok(None)
    }

    fn tables(&self) -> Result<Vec<String>, Error> {
        let Some(connection) =
            self.integrity_check.upgrade().map(|integrity_check| integrity_check.open()).transpose()?
        else {
            return Ok(Vec::new());
        };
        Snapshot::new(&connection).tables()
    }

    /// The damage of a table, which is scanned again each time the scan was interrupted.
    fn damage_of(&self, table: &str) -> Result<Option<String>, Error> {
        loop {
            let interrupted = Arc::default();
            let connection = self
                .integrity_check
                .upgrade()
                .map(|integrity_check| integrity_check.connect(&interrupted))
                .transpose()?;
            let Some(connection) = connection else { return Ok(None) };
            let scanned = Snapshot::new(&connection).damage_of(table);
            if scanned.is_ok() || self.is_cancelled() || !interrupted.load(Ordering::Relaxed) {
                return scanned;
            }
            drop(connection);
            self.wait_until_idle();
        }
    }
}

impl Snapshot<'_> {
    /// The first damage of the file. The text names tables, indexes and pages, never a value.
    pub(super) fn damage(&self) -> Result<Option<String>, Error> {
        let sql = "SELECT integrity_check FROM pragma_integrity_check LIMIT 1";
        Ok(self.first(sql, (), |row| row.get(0))?.filter(|result| result != "ok"))
    }

    fn tables(&self) -> Result<Vec<String>, Error> {
        let sql = "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type IN ('table', 'virtual')";
        self.all(sql, (), |row| row.get(0))
    }

    /// The first damage of a table and its indexes.
    fn damage_of(&self, table: &str) -> Result<Option<String>, Error> {
        let sql = "SELECT integrity_check FROM pragma_integrity_check(?1) LIMIT 1";
        Ok(self.first(sql, [table], |row| row.get(0))?.filter(|result| result != "ok"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_check_finds_no_damage_in_changes_by_others() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("store.db");
        let writer = Connection::open(&path).expect("a file");
        configure(&writer).expect("configured");
        let search = "CREATE VIRTUAL TABLE users_search USING fts5 (x, content = '', contentless_delete = 1)";
        writer.execute_batch(search).expect("a search");
        let integrity_check = IntegrityCheck::of(&path);
        for round in 0..3 {
            for row in 0..100 {
                let words = (round * 100 + row, format!("word{row} mocha{row}"));
                writer
                    .execute("INSERT INTO users_search (rowid, x) VALUES (?1, ?2)", words)
                    .expect("written");
            }
            let connection = integrity_check.connect(&Arc::default()).expect("a connection");
            let found = Snapshot::new(&connection).damage_of("users_search").expect("checked");
            assert_eq!(found, None, "round {round}");
        }
    }
}
