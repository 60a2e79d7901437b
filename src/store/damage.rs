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

use super::{Error, OpenError, Snapshot, configure, error::RESTORE, version::Versions};

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
const MOST_CALMS: usize = 60;

/// The look at the whole file, and what it found.
pub(super) struct Checkup {
    path: PathBuf,
    found: OnceLock<String>,
    running: Mutex<Option<InterruptHandle>>,
}

impl Checkup {
    pub(super) fn of(path: &Path) -> Self {
        Self { path: path.to_owned(), found: OnceLock::new(), running: Mutex::default() }
    }

    /// Whether the file is so small that it can be looked at at once.
    pub(super) fn is_quick(&self) -> bool {
        bytes(&self.path) + bytes(&self.log()) <= SMALL
    }

    fn log(&self) -> PathBuf {
        let mut log = self.path.clone().into_os_string();
        log.push("-wal");
        log.into()
    }

    /// Refuses once the file is known to be damaged: what it says may be somebody else's, or lack somebody.
    pub(super) fn passed_so_far(&self) -> Result<(), Error> {
        self.found.get().map_or(Ok(()), |found| Err(Error::damaged(found)))
    }

    /// Why the store cannot be opened.
    pub(super) fn refusal(&self, why: String) -> OpenError {
        OpenError::Damaged { path: self.path.display().to_string(), why }
    }

    /// Looks in a thread, one table after the other, so that none of its snapshots gets old. It ends with the store.
    pub(super) fn start(self: &Arc<Self>, versions: &Arc<Versions>) -> Result<JoinHandle<()>, String> {
        let (checkup, versions) = (Arc::downgrade(self), Arc::clone(versions));
        let look = move || {
            let _ = rustix::process::setpriority_process(None, NICE);
            look_at_tables(&checkup, &versions); // let go of after every connection
        };
        thread::Builder::new().name("store-checkup".to_owned()).spawn(look).map_err(|e| e.to_string())
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

impl Drop for Checkup {
    fn drop(&mut self) {
        let running = self.running.get_mut().unwrap_or_else(PoisonError::into_inner);
        running.iter().for_each(InterruptHandle::interrupt);
    }
}

fn bytes(path: &Path) -> u64 {
    path.metadata().map_or(0, |file| file.len())
}

fn look_at_tables(checkup: &Weak<Checkup>, versions: &Versions) {
    let is_over = || checkup.strong_count() == 0;
    let wait_for_calm = || {
        for _ in 0..MOST_CALMS {
            let before = versions.now();
            for _ in 0..50 {
                if is_over() {
                    return;
                }
                thread::sleep(CALM / 50);
            }
            if versions.now() == before {
                return;
            }
        }
    };
    // Nothing, once the store is closed.
    let connect =
        |gave_way: &Arc<AtomicBool>| checkup.upgrade().map(|checkup| checkup.connect(gave_way)).transpose();
    let look_at = |table: &String| loop {
        let gave_way = Arc::default();
        let Some(connection) = connect(&gave_way)? else { return Ok(None) };
        let found = Snapshot::new(&connection).damage_of(table);
        if found.is_ok() || is_over() || !gave_way.load(Ordering::Relaxed) {
            return found;
        }
        drop(connection);
        wait_for_calm();
    };
    let look_at_all = || {
        let Some(connection) = checkup.upgrade().map(|checkup| checkup.open()).transpose()? else {
            return Ok(None);
        };
        let tables = Snapshot::new(&connection).tables()?;
        drop(connection);
        let mut left = tables.iter().take_while(|_| !is_over());
        left.find_map(|table| look_at(table).transpose()).transpose()
    };
    wait_for_calm(); // a start begins with a clean-up
    let found = look_at_all();
    let Some(checkup) = checkup.upgrade() else { return };
    match found {
        Ok(None) => tracing::debug!("the store was looked at and is whole"),
        Ok(Some(found)) => {
            tracing::error!(
                found,
                hint = RESTORE,
                "the store is damaged: nothing is answered from it any more"
            );
            let _ = checkup.found.set(found);
        }
        Err(error) => tracing::error!(%error, "the store could not be looked at for damage"),
    }
}

impl Snapshot<'_> {
    /// What is wrong with the file, if anything is. The words name tables, indexes and pages, never a value.
    pub(super) fn damage(&self) -> Result<Option<String>, Error> {
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
        let checkup = Checkup::of(&path);
        for round in 0..3 {
            for row in 0..100 {
                let words = (round * 100 + row, format!("word{row} mocha{row}"));
                writer
                    .execute("INSERT INTO users_search (rowid, x) VALUES (?1, ?2)", words)
                    .expect("written");
            }
            let connection = checkup.connect(&Arc::default()).expect("a connection");
            let found = Snapshot::new(&connection).damage_of("users_search").expect("looked at");
            assert_eq!(found, None, "round {round}");
        }
    }
}
