//! Whether anything at all was committed in between, by this process or another, for the price of one system call.

use std::{fs::File, io, os::unix::fs::FileExt, path::Path};

/// The header of SQLite's index of the write-ahead log (<https://www.sqlite.org/walformat.html>, section 2.1). Every
/// commit, whichever process makes it, has changed it before it returns: it counts commits, names the last frame of the
/// log and holds the checksum of all of them.
const HEADER_BYTES: usize = 48;

/// The store between two commits: where versions are equal, so is everything in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version([u8; HEADER_BYTES]);

/// The file that tells the version.
///
/// It must be closed after the last connection: closing it takes away the locks that SQLite holds on the same file for
/// this process (POSIX), so each thread with a connection holds this, too, and lets go of it last.
#[derive(Debug)]
pub(super) struct Versions(File);

impl Versions {
    /// Those of the store at `database`, as SQLite names it, on which there is a connection.
    pub(super) fn open(database: &Path) -> io::Result<Self> {
        let mut index = database.as_os_str().to_owned();
        index.push("-shm");
        File::open(index).map(Self)
    }

    /// The present version; none if the file does not say.
    ///
    /// SQLite writes through a memory map and this reads the file: in Linux both are the same pages.
    pub(super) fn now(&self) -> Option<Version> {
        let mut header = [0; HEADER_BYTES];
        self.0.read_exact_at(&mut header, 0).ok().map(|()| Version(header))
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
        let versions = Versions::open(&path).expect("an index");
        let mut seen = vec![versions.now().expect("a version")];
        for round in 0..50 {
            for writer in [&one, &other] {
                writer.execute("UPDATE t SET x = x + 1", []).expect("a commit");
                let version = versions.now().expect("a version");
                assert!(!seen.contains(&version), "round {round}");
                let _: i64 = other.query_row("SELECT x FROM t", [], |row| row.get(0)).expect("a read");
                one.execute_batch("BEGIN IMMEDIATE; UPDATE t SET x = 9; ROLLBACK").expect("undone");
                assert_eq!(versions.now(), Some(version), "round {round}");
                seen.push(version);
            }
            // The log starts anew, with the same content.
            one.execute_batch("PRAGMA wal_checkpoint(RESTART)").expect("written back");
        }
    }
}
