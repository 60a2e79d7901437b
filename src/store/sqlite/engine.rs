//! An open SQLite store: its threads, each with a connection of its own, and what belongs to its file.

use std::{
    io,
    num::NonZero,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
    time::Duration,
};

use tokio::sync::Notify;

use super::{
    change_counter::{ChangeCounter, Version},
    connection::{connect, make_read_only, pool, verify_writable},
    dedicated_connection::DedicatedConnection,
    disk_reserve::DiskReserve,
    errors::failed,
    file,
    integrity_check::IntegrityCheck,
    readers::Readers,
    writer::{Priority, Writer},
};
use crate::store::{
    error::Error,
    open::{OpenError, OpenMode},
    tx::{RateLimitTx, Snapshot, Tx},
};

/// How long `close` waits for the threads to end.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Cheap to clone; closed when the last clone is dropped.
#[derive(Clone)]
pub(in crate::store) struct Engine {
    writer: Writer,
    /// Notified when a commit wakes the outbox worker.
    enqueued: Arc<Notify>,
    readers: Readers,
    /// A reader of its own for the readiness probe, which must not wait behind other reads.
    prober: Readers,
    threads: Arc<Mutex<Vec<JoinHandle<()>>>>,
    change_counter: Arc<ChangeCounter>,
    disk_reserve: Arc<DiskReserve>,
    integrity_check: Arc<IntegrityCheck>,
}

/// The version of SQLite.
pub(in crate::store) fn version() -> &'static str {
    rusqlite::version()
}

impl Engine {
    /// Opens the file at `path`; returns the migrations that were applied, too.
    pub(in crate::store) async fn open(
        path: &Path,
        mode: OpenMode,
    ) -> Result<(Self, Vec<String>), OpenError> {
        Self::open_file(path, mode).await.map_err(|error| error.or_denied(path))
    }

    async fn open_file(path: &Path, mode: OpenMode) -> Result<(Self, Vec<String>), OpenError> {
        file::prepare(path, mode)?;
        let failed = |why: String| failed(path, &why);
        let readers = thread::available_parallelism().map_or(2, NonZero::get).clamp(1, 4) * 2;
        let pool = pool(path, readers + 2).map_err(failed)?;
        let connection = connect(&pool).await.map_err(failed)?;
        verify_writable(&connection).await.map_err(failed)?;
        let migrated = file::migrate(&connection, path, mode).await?;
        let change_counter = Arc::new(ChangeCounter::of(&connection).map_err(failed)?);
        let writing = DedicatedConnection::new(connection, &change_counter);
        let mut reading = Vec::new();
        for _ in 0..=readers {
            let connection = connect(&pool).await.map_err(failed)?;
            make_read_only(&connection).await.map_err(failed)?;
            reading.push(DedicatedConnection::new(connection, &change_counter));
        }
        let probing = reading.split_off(readers);
        let enqueued = Arc::new(Notify::new());
        let (writer, writer_thread) =
            Writer::start(writing, Arc::clone(&enqueued)).map_err(|e| failed(e.to_string()))?;
        let (readers, mut threads) =
            Readers::start("store-reader", reading).map_err(|e| failed(e.to_string()))?;
        let (prober, prober_threads) =
            Readers::start("store-prober", probing).map_err(|e| failed(e.to_string()))?;
        threads.extend(prober_threads);
        threads.push(writer_thread);
        let engine = Self {
            writer,
            enqueued,
            readers,
            prober,
            threads: Arc::new(Mutex::new(threads)),
            change_counter,
            disk_reserve: Arc::new(DiskReserve::beside(path)),
            integrity_check: Arc::new(IntegrityCheck::of(path)),
        };
        engine.recompute_arrival_disorder().await;
        Ok((engine, migrated))
    }

    /// Recomputes how far `created_at` may lag insertion order, if that is far: the users who signed up under a wrong clock
    /// may be deleted by now. It only makes searches faster, so a failure does not prevent the start.
    async fn recompute_arrival_disorder(&self) {
        if !matches!(self.read(|tx| tx.has_arrival_disorder()).await, Ok(true)) {
            return;
        }
        if let Err(error) = self.write(|tx| tx.recompute_arrival_disorder()).await {
            tracing::warn!(%error, "the arrival disorder cannot be recomputed: searches may be slow");
        }
    }

    /// Waits until the threads have ended, which they do once the last clone is dropped.
    pub(in crate::store) async fn close(self) {
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        drop(self);
        let ended =
            tokio::task::spawn_blocking(|| threads.into_iter().for_each(|thread| drop(thread.join())));
        if tokio::time::timeout(CLOSE_TIMEOUT, ended).await.is_err() {
            tracing::warn!("the database is still in use; it closes with the process");
        }
    }

    /// Checks the integrity of a small file at once, and of a large one in the background.
    pub(in crate::store) async fn check_integrity(&self) -> Result<(), OpenError> {
        if self.integrity_check.is_small() {
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

    pub(in crate::store) fn allocate_disk_reserve(&self) -> io::Result<()> {
        self.disk_reserve.allocate()
    }

    pub(in crate::store) fn release_disk_reserve(&self) -> bool {
        self.disk_reserve.release()
    }

    /// The version of the store; none if it cannot be read or was not proven, or the file is known to be damaged.
    pub(in crate::store) fn version(&self) -> Option<Version> {
        self.integrity_check.passed_so_far().ok()?;
        self.change_counter.proven_version()
    }

    /// Commits, and returns whether that has changed the version, as every commit must; only then is there a version.
    pub(in crate::store) async fn prove_version(&self) -> Result<bool, Error> {
        let change_counter = self.change_counter.clone();
        let commit = move |tx: &Tx<'_>| {
            tx.write_unused_page()?;
            // No other commit can come between this and the commit of this write.
            Ok::<_, Error>(change_counter.read())
        };
        let before = self.write(commit).await?;
        Ok(self.change_counter.prove(before))
    }

    /// Returns when a commit of this process has woken the outbox worker since the last call.
    pub(in crate::store) async fn enqueued(&self) {
        self.enqueued.notified().await;
    }

    /// Reads on the reader of the readiness probe.
    pub(in crate::store) async fn probe(&self) -> Result<(), Error> {
        self.integrity_check.passed_so_far()?;
        self.prober.read(|tx| tx.probe_users()).await
    }

    pub(in crate::store) async fn read<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        F: FnOnce(&Snapshot<'_>) -> Result<T, E> + Send + 'static,
    {
        self.integrity_check.passed_so_far()?;
        self.readers.read(work).await
    }

    pub(in crate::store) async fn write<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        F: FnOnce(&Tx<'_>) -> Result<T, E> + Clone + Send + 'static,
    {
        self.integrity_check.passed_so_far()?;
        self.writer.write(work, Priority::Next).await
    }

    pub(in crate::store) async fn write_charged<T, E, C, F, R, S>(
        &self,
        charge: Option<C>,
        work: F,
        settle: R,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        C: FnOnce(&RateLimitTx<'_>) -> Result<(), E> + Clone + Send + 'static,
        F: FnOnce(&Tx<'_>) -> Result<T, E> + Clone + Send + 'static,
        R: FnOnce(&Result<T, E>) -> Option<S> + Clone + Send + 'static,
        S: FnOnce(&RateLimitTx<'_>) -> Result<(), E> + Clone + Send + 'static,
    {
        let all = move |tx: &Tx<'_>| {
            let limits = RateLimitTx(tx);
            if let Some(charge) = charge {
                charge(&limits)?;
            }
            let done = Ok(work(tx)?); // a refusal rolls the charge back, too
            if let Some(settle) = settle(&done) {
                settle(&limits)?;
            }
            done
        };
        self.write(all).await
    }

    pub(in crate::store) async fn write_background<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        F: FnOnce(&Tx<'_>) -> Result<T, E> + Clone + Send + 'static,
    {
        self.integrity_check.passed_so_far()?;
        self.writer.write(work, Priority::Background).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::{CountKey, Timestamp},
        store::UsedTokens,
    };

    const KEY: CountKey = CountKey([7; 32]);

    async fn engine(folder: &Path) -> Engine {
        Engine::open(&folder.join("store.db"), OpenMode::CreateOrMigrate).await.expect("a store").0
    }

    fn level(used: u32) -> (UsedTokens, Timestamp) {
        let now = Timestamp::from_seconds(1_795_339_800);
        (UsedTokens { used, since: now }, now)
    }

    /// Changes what `KEY` holds from `before` to `after`.
    fn change(
        before: u32,
        after: u32,
    ) -> impl FnOnce(&RateLimitTx<'_>) -> Result<(), Error> + Clone + Send + 'static {
        let some = |used| (used > 0).then(|| level(used));
        move |limits| limits.store(KEY, some(before).map(|(used, _)| used), some(after))
    }

    async fn used(engine: &Engine) -> u32 {
        let used = engine.read(|tx| tx.used(KEY)).await.expect("a read");
        used.map_or(0, |used| used.used)
    }

    #[tokio::test]
    async fn a_rate_limit_that_was_changed_since_it_was_read_is_not_overwritten() {
        let folder = tempfile::tempdir().expect("a folder");
        let engine = engine(folder.path()).await;
        for (before, after) in [(0, 1), (1, 2), (2, 3)] {
            engine.write(move |tx| change(before, after)(&RateLimitTx(tx))).await.expect("a commit");
            for (read, stored) in [(0, 9), (before + 9, 9), (before + 9, 0)] {
                let refused = engine.write(move |tx| change(read, stored)(&RateLimitTx(tx))).await;
                assert!(matches!(refused, Err(Error::Retry(_))), "{refused:?}");
            }
            assert_eq!(used(&engine).await, after);
        }
        engine.write(move |tx| change(3, 0)(&RateLimitTx(tx))).await.expect("a commit");
        assert_eq!(used(&engine).await, 0);
    }

    #[tokio::test]
    async fn a_charge_is_settled_in_the_commit_of_its_write_and_undone_with_it() {
        type Settle = fn(&RateLimitTx<'_>) -> Result<(), Error>;
        let folder = tempfile::tempdir().expect("a folder");
        let engine = engine(folder.path()).await;
        let answer = engine.write_charged(Some(change(0, 2)), |_| Ok(7), |_| Some(change(2, 1))).await;
        assert_eq!((answer.expect("a commit"), used(&engine).await), (7, 1));
        let refused = |tx: &Tx<'_>| {
            tx.wake_outbox();
            Err::<(), _>(Error::Unavailable("as the test wants it".to_owned()))
        };
        let answer = engine.write_charged(Some(change(1, 2)), refused, |_| None::<Settle>).await;
        assert!(matches!(answer, Err(Error::Unavailable(_))), "{answer:?}");
        let answer = engine.write_charged(Some(change(8, 9)), |_| Ok(()), |_| None::<Settle>).await;
        assert!(matches!(answer, Err(Error::Retry(_))), "{answer:?}");
        assert_eq!(used(&engine).await, 1);
        let woken = tokio::time::timeout(Duration::ZERO, engine.enqueued());
        assert!(woken.await.is_err(), "what was refused has enqueued nothing");
    }

    #[tokio::test]
    async fn there_is_a_version_once_a_commit_has_changed_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let engine = engine(folder.path()).await;
        assert_eq!(engine.version(), None);
        assert!(engine.prove_version().await.expect("a commit"));
        let version = engine.version();
        assert!(version.is_some());
        engine.write(|tx| tx.write_unused_page()).await.expect("a commit");
        assert_ne!(engine.version(), version);
    }

    #[tokio::test]
    async fn a_file_that_no_commit_changes_is_not_trusted() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut engine = engine(folder.path()).await;
        let other = folder.path().join("other.db");
        std::fs::copy(folder.path().join("store.db-shm"), folder.path().join("other.db-shm"))
            .expect("copied");
        engine.change_counter = ChangeCounter::open(&other).into();
        assert!(!engine.prove_version().await.expect("a commit"));
        assert_eq!(engine.version(), None);
        engine.change_counter = ChangeCounter::open(&folder.path().join("none.db")).into();
        assert!(!engine.prove_version().await.expect("a commit"), "there is no file");
    }
}
