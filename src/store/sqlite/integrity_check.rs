//! Looks for damage that no query would notice: an index that lacks a row hides a user from a list without a word.
//!
//! Simplified: a byte that changed within a name, or another text that is in no index, is not seen. With more time each
//! page would carry a checksum.

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

use super::{change_counter::ChangeCounter, connection::configure};
use crate::store::{Error, OpenError, Snapshot, error::RESTORE};

/// Up to so many bytes are looked at before anything is served from them, which takes 10 ms. More are looked at
/// meanwhile, which takes half a second for 100,000 users.
const SMALL: u64 = 2 * 1024 * 1024;

/// Looking stands back behind requests, as far as hashing does: it is not to starve beside that.
const NICE: i32 = 10;

/// How long the log may get while a table is looked at: as long as somebody reads, it is not written back. Then looking
/// gives way, and begins that table anew when it is calm.
const LONGEST_LOG: u64 = 8 * 1024 * 1024;
/// How many steps of SQLite's lie between two looks at the log.
const STEPS: i32 = 500;
/// It is calm when nobody has written for so long; whoever is never calm is looked at all the same after so many times,
/// unless the log stays long, because somebody reads the file for as long.
const CALM: Duration = Duration::from_secs(1);
const MAX_IDLE_WAITS: usize = 60;
/// How often a table that cannot be looked at, as while the file is locked, is tried.
const TRIES: usize = 10;

/// The look at the whole file, and what it found.
pub(in crate::store) struct IntegrityCheck {
    path: PathBuf,
    found: OnceLock<String>,
    running: Mutex<Option<InterruptHandle>>,
}

impl IntegrityCheck {
    pub(in crate::store) fn of(path: &Path) -> Self {
        Self { path: path.to_owned(), found: OnceLock::new(), running: Mutex::default() }
    }

    /// Whether the file is so small that it can be looked at at once.
    pub(in crate::store) fn is_quick(&self) -> bool {
        bytes(&self.path) + bytes(&self.log()) <= SMALL
    }

    fn log(&self) -> PathBuf {
        let mut log = self.path.clone().into_os_string();
        log.push("-wal");
        log.into()
    }

    /// Refuses once the file is known to be damaged: what it says may be somebody else's, or lack somebody.
    pub(in crate::store) fn passed_so_far(&self) -> Result<(), Error> {
        self.found.get().map_or(Ok(()), |found| Err(Error::Damaged(found.clone())))
    }

    /// Why a store with damage is not opened.
    pub(in crate::store) fn damaged(&self, why: String) -> OpenError {
        OpenError::Damaged { path: self.path.display().to_string(), why }
    }

    /// Why a store that could not be looked at is not opened.
    pub(in crate::store) fn failed(&self, error: &Error) -> OpenError {
        OpenError::Failed { path: self.path.display().to_string(), why: error.to_string() }
    }

    /// Looks in a thread, one table after the other, so that none of its snapshots gets old. It ends with the store.
    pub(in crate::store) fn start(
        self: &Arc<Self>,
        change_counter: &Arc<ChangeCounter>,
    ) -> Result<JoinHandle<()>, String> {
        let look = Look { integrity_check: Arc::downgrade(self), change_counter: Arc::clone(change_counter) };
        let run = move || {
            let _ = rustix::process::setpriority_process(None, NICE);
            look.run();
        };
        thread::Builder::new().name("store-checkup".to_owned()).spawn(run).map_err(|e| e.to_string())
    }

    /// A connection for one look, which gives way, and says so, once the log is long.
    ///
    /// For one: FTS5 remembers how its index is laid out. A search notices that others have changed that since; a look
    /// for damage does not, and the second one on a connection finds some where there is none (SQLite 3.53.2).
    fn connect(&self, gave_way: &Arc<AtomicBool>) -> Result<Connection, Error> {
        let connection = self.open()?;
        let handle = connection.get_interrupt_handle();
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = Some(handle);
        let (told, log) = (Arc::clone(gave_way), self.log());
        let is_in_the_way = move || {
            let is_long = bytes(&log) > LONGEST_LOG;
            told.fetch_or(is_long, Ordering::Relaxed);
            is_long
        };
        connection.progress_handler(STEPS, Some(is_in_the_way))?;
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

/// A look at the whole of a large file, one table after the other. It holds on to the store only while it is connected.
struct Look {
    integrity_check: Weak<IntegrityCheck>,
    change_counter: Arc<ChangeCounter>,
}

impl Look {
    fn run(&self) {
        self.wait_until_idle(); // a start begins with a clean-up
        let found = self.all_tables();
        let Some(integrity_check) = self.integrity_check.upgrade() else { return };
        if let Err(found) = found {
            tracing::error!(found, hint = RESTORE, "the database is damaged: it answers nothing any more");
            let _ = integrity_check.found.set(found);
        }
    }

    fn is_over(&self) -> bool {
        self.integrity_check.strong_count() == 0
    }

    fn wait_until_idle(&self) {
        for _ in 0..MAX_IDLE_WAITS {
            let before = self.change_counter.now();
            for _ in 0..50 {
                if self.is_over() {
                    return;
                }
                thread::sleep(CALM / 50);
            }
            if self.change_counter.now() == before {
                return;
            }
        }
    }

    /// What is wrong with any of them.
    fn all_tables(&self) -> Result<(), String> {
        for table in self.with_retries("the database", || self.tables())?.unwrap_or_default() {
            if let Some(found) = self.with_retries(&table, || self.damage_of(&table))?.flatten() {
                return Err(found);
            }
        }
        Ok(())
    }

    /// What a look gives, which is tried again if it cannot be had, as while the file is locked; nothing if it cannot for long.
    /// If it cannot because of damage, that is what is wrong.
    fn with_retries<T>(&self, what: &str, look: impl Fn() -> Result<T, Error>) -> Result<Option<T>, String> {
        for _ in 0..TRIES {
            match look() {
                Ok(seen) => return Ok(Some(seen)),
                Err(Error::Damaged(why)) => return Err(why),
                Err(_) if self.is_over() => return Ok(None),
                Err(error) => tracing::warn!(what, %error, "cannot be looked at for damage now"),
            }
            self.wait_until_idle();
        }
        tracing::error!(what, "could not be looked at for damage, and will not be before the next start");
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

    /// What is wrong with a table, if anything is; begun anew as often as it has to give way.
    fn damage_of(&self, table: &str) -> Result<Option<String>, Error> {
        loop {
            let gave_way = Arc::default();
            let connection = self
                .integrity_check
                .upgrade()
                .map(|integrity_check| integrity_check.connect(&gave_way))
                .transpose()?;
            let Some(connection) = connection else { return Ok(None) };
            let found = Snapshot::new(&connection).damage_of(table);
            if found.is_ok() || self.is_over() || !gave_way.load(Ordering::Relaxed) {
                return found;
            }
            drop(connection);
            self.wait_until_idle();
        }
    }
}

impl Snapshot<'_> {
    /// What is wrong with the file, if anything is. The words name tables, indexes and pages, never a value.
    pub(in crate::store) fn damage(&self) -> Result<Option<String>, Error> {
        let sql = "SELECT integrity_check FROM pragma_integrity_check LIMIT 1";
        Ok(self.first(sql, [], |row| row.get(0))?.filter(|found| found != "ok"))
    }

    fn tables(&self) -> Result<Vec<String>, Error> {
        let sql = "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type IN ('table', 'virtual')";
        self.all(sql, [], |row| row.get(0))
    }

    /// The same of a table with its indexes.
    fn damage_of(&self, table: &str) -> Result<Option<String>, Error> {
        let sql = "SELECT integrity_check FROM pragma_integrity_check(?1) LIMIT 1";
        Ok(self.first(sql, [table], |row| row.get(0))?.filter(|found| found != "ok"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_look_finds_no_damage_in_what_others_have_changed() {
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
            let found = Snapshot::new(&connection).damage_of("users_search").expect("looked at");
            assert_eq!(found, None, "round {round}");
        }
    }
}
