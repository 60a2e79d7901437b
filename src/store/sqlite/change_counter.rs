//! Whether anything at all was committed in between, by this process or another, for the price of one system call.

use std::{
    fs::File,
    os::unix::fs::FileExt,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

use deadpool_sqlite::Object;

use crate::store::{Error, Store, Tx};

/// The header of SQLite's index of the write-ahead log (<https://www.sqlite.org/walformat.html>, section 2.1). Every
/// commit, whichever process makes it, has changed it before it returns: it counts commits, names the last frame of the
/// log and holds the checksum of all of them.
const HEADER_BYTES: usize = 48;

/// The store between two commits: where versions are equal, so is everything in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version([u8; HEADER_BYTES]);

/// The file that tells the version, and whether a commit was seen to change it.
///
/// It must be closed after the last connection: closing it takes away the locks that SQLite holds on the same file for
/// this process (POSIX), so each thread with a connection holds this, too, and lets go of it last.
#[derive(Debug)]
pub(in crate::store) struct ChangeCounter {
    /// None where it cannot be read.
    index: Option<File>,
    proven: AtomicBool,
}

impl ChangeCounter {
    /// Those of the store that a connection is on.
    pub(in crate::store) fn of(connection: &Object) -> Result<Self, String> {
        let connection = connection.lock().map_err(|e| e.to_string())?;
        // In SQLite's words: where it is a link, the log lies beside what it points at.
        Ok(Self::open(Path::new(connection.path().unwrap_or_default())))
    }

    /// Those of the store at `database`, as SQLite names it, on which there is a connection.
    fn open(database: &Path) -> Self {
        let mut index = database.as_os_str().to_owned();
        index.push("-shm");
        Self { index: File::open(index).ok(), proven: AtomicBool::new(false) }
    }

    /// The present version; none if the file does not say.
    ///
    /// SQLite writes through a memory map and this reads the file: in Linux both are the same pages. Elsewhere, as in a
    /// sandbox with a kernel of its own, they may not be: `Store::version` trusts it once it is proven.
    pub(in crate::store) fn now(&self) -> Option<Version> {
        let mut header = [0; HEADER_BYTES];
        self.index.as_ref()?.read_exact_at(&mut header, 0).ok().map(|()| Version(header))
    }
}

impl Store {
    /// Which version of the store this is: as long as it is the same, nothing was committed by any process. None if that
    /// cannot be told or was not proven, or the file is known to be damaged.
    #[must_use]
    pub fn version(&self) -> Option<Version> {
        self.integrity_check.passed_so_far().ok()?;
        self.change_counter.now().filter(|_| self.change_counter.proven.load(Ordering::Relaxed))
    }

    /// Makes a commit, and answers whether it has changed the version, as each must; only then is there one.
    ///
    /// # Errors
    /// If nothing can be committed.
    pub async fn prove_version(&self) -> Result<bool, Error> {
        let change_counter = self.change_counter.clone();
        let commit = move |tx: &Tx<'_>| {
            tx.commit_something()?;
            // No other commit can come before this one.
            Ok::<_, Error>(change_counter.now())
        };
        let before = self.write(commit).await?;
        let is_proven =
            before.is_some() && self.change_counter.now().is_some_and(|after| Some(after) != before);
        self.change_counter.proven.store(is_proven, Ordering::Relaxed);
        Ok(is_proven)
    }
}

impl Tx<'_> {
    /// Writes a page, and nothing new: a number in the file that nothing here uses.
    fn commit_something(&self) -> Result<(), Error> {
        self.execute("PRAGMA user_version = 0", []).map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;
    use crate::config::Database;
    use crate::store::{OpenMode, Store};

    async fn store(folder: &Path) -> Store {
        Store::open(&Database::at(folder.join("store.db")), OpenMode::CreateOrMigrate)
            .await
            .expect("a store")
            .0
    }

    #[tokio::test]
    async fn there_is_a_version_once_a_commit_has_changed_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = store(folder.path()).await;
        assert_eq!(store.version(), None);
        assert!(store.prove_version().await.expect("a commit"));
        let version = store.version();
        assert!(version.is_some());
        store.write(|tx| tx.commit_something()).await.expect("a commit");
        assert_ne!(store.version(), version);
    }

    #[tokio::test]
    async fn a_file_that_no_commit_changes_is_not_trusted() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut store = store(folder.path()).await;
        let other = folder.path().join("other.db");
        std::fs::copy(folder.path().join("store.db-shm"), folder.path().join("other.db-shm"))
            .expect("copied");
        store.change_counter = ChangeCounter::open(&other).into();
        assert!(!store.prove_version().await.expect("a commit"));
        assert_eq!(store.version(), None);
        store.change_counter = ChangeCounter::open(&folder.path().join("none.db")).into();
        assert!(!store.prove_version().await.expect("a commit"), "there is no file");
    }

    #[test]
    fn every_commit_is_another_version_and_nothing_else_is() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("store.db");
        let one = Connection::open(&path).expect("a file");
        one.pragma_update(None, "journal_mode", "wal").expect("a log");
        one.execute_batch("CREATE TABLE t (x); INSERT INTO t VALUES (0)").expect("a table");
        let other = Connection::open(&path).expect("a file");
        let change_counter = ChangeCounter::open(&path);
        let mut seen = vec![change_counter.now().expect("a version")];
        for round in 0..50 {
            for writer in [&one, &other] {
                writer.execute("UPDATE t SET x = x + 1", []).expect("a commit");
                let version = change_counter.now().expect("a version");
                assert!(!seen.contains(&version), "round {round}");
                let _: i64 = other.query_row("SELECT x FROM t", [], |row| row.get(0)).expect("a read");
                one.execute_batch("BEGIN IMMEDIATE; UPDATE t SET x = 9; ROLLBACK").expect("undone");
                assert_eq!(change_counter.now(), Some(version), "round {round}");
                seen.push(version);
            }
            // The log starts anew, with the same content.
            one.execute_batch("PRAGMA wal_checkpoint(RESTART)").expect("written back");
        }
    }
}
