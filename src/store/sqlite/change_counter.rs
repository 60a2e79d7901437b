//! Tells whether anything was committed, by this process or another, at the cost of one system call.

use std::{
    fs::File,
    os::unix::fs::FileExt,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

use deadpool_sqlite::Object;

use super::errors::with_suffix;
use crate::store::{error::Error, tx::Tx};

/// The header of SQLite's index of the write-ahead log (<https://www.sqlite.org/walformat.html>, section 2.1). Every
/// commit, by any process, has changed it before it returns: it counts commits, names the last frame of the log and holds the
/// checksum of all frames.
const HEADER_BYTES: usize = 48;

/// The state of the store between two commits: equal versions have equal content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version([u8; HEADER_BYTES]);

/// Reads the version, and knows whether a commit was seen to change it.
///
/// It must be closed after the last connection: closing the file releases the locks that SQLite holds on it for this process
/// (POSIX). So each thread with a connection owns a reference to this, and drops it last.
#[derive(Debug)]
pub(super) struct ChangeCounter {
    /// None where it cannot be opened.
    index: Option<File>,
    proven: AtomicBool,
}

impl ChangeCounter {
    /// That of the store to which a connection is open.
    pub(super) fn of(connection: &Object) -> Result<Self, String> {
        let connection = connection.lock().map_err(|e| e.to_string())?;
        // The path as SQLite has resolved it: the log of a symbolic link is beside its target.
        Ok(Self::open(Path::new(connection.path().unwrap_or_default())))
    }

    /// That of the store at `database`, to which there must be a connection.
    pub(super) fn open(database: &Path) -> Self {
        Self { index: File::open(with_suffix(database, "-shm")).ok(), proven: AtomicBool::new(false) }
    }

    /// Changes with every commit by any process. None if the file cannot be read.
    ///
    /// SQLite writes through a memory map and this reads the file: on Linux both access the same pages. Elsewhere, as in a
    /// sandbox with a kernel of its own, they may not, so callers use `proven_version`.
    pub(super) fn read(&self) -> Option<Version> {
        let mut header = [0; HEADER_BYTES];
        self.index.as_ref()?.read_exact_at(&mut header, 0).ok().map(|()| Version(header))
    }

    /// The same, if a commit was seen to change it.
    pub(super) fn proven_version(&self) -> Option<Version> {
        self.read().filter(|_| self.proven.load(Ordering::Relaxed))
    }

    /// Returns whether the version has changed, after a commit, from what it was `before`, and remembers the answer.
    pub(super) fn prove(&self, before: Option<Version>) -> bool {
        let is_proven = before.is_some() && self.read().is_some_and(|after| Some(after) != before);
        self.proven.store(is_proven, Ordering::Relaxed);
        is_proven
    }
}

impl Tx<'_> {
    /// Writes a page without changing any content: nothing uses this number in the file.
    pub(super) fn write_unused_page(&self) -> Result<(), Error> {
        self.execute("PRAGMA user_version = 0", ()).map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;

    #[test]
    fn every_commit_is_another_version_and_nothing_else_is() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("store.db");
        let one = Connection::open(&path).expect("a file");
        one.pragma_update(None, "journal_mode", "wal").expect("a log");
        one.execute_batch("CREATE TABLE t (x); INSERT INTO t VALUES (0)").expect("a table");
        let other = Connection::open(&path).expect("a file");
        let change_counter = ChangeCounter::open(&path);
        let mut seen = vec![change_counter.read().expect("a version")];
        for round in 0..50 {
            for writer in [&one, &other] {
                writer.execute("UPDATE t SET x = x + 1", []).expect("a commit");
                let version = change_counter.read().expect("a version");
                assert!(!seen.contains(&version), "round {round}");
                let _: i64 = other.query_row("SELECT x FROM t", [], |row| row.get(0)).expect("a read");
                one.execute_batch("BEGIN IMMEDIATE; UPDATE t SET x = 9; ROLLBACK").expect("undone");
                assert_eq!(change_counter.read(), Some(version), "round {round}");
                seen.push(version);
            }
            // The log starts anew, with the same content.
            one.execute_batch("PRAGMA wal_checkpoint(RESTART)").expect("written back");
        }
    }
}
