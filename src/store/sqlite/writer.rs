//! The one thread that writes: it commits waiting closures together (group commit), then answers their callers.
//!
//! A commit costs one fsync, however many closures it contains. A caller is answered after the fsync: acknowledged means
//! durable.

use std::{
    iter,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, LazyLock},
    thread::{self, JoinHandle},
};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded, select};
use rusqlite::Connection;
use tokio::{
    runtime::Handle,
    sync::{Notify, oneshot},
};

use super::{connection::execute, dedicated_connection::DedicatedConnection};
use crate::store::{error::Error, tx::Tx};

/// The most closures that wait in each queue; beyond that writes are refused.
const QUEUE: usize = 4096;
/// The most closures in one commit, which bounds how long the first of them waits.
const BATCH: usize = 256;
/// After how many other commits background work has its turn.
const MAX_SKIPPED: usize = 8;
/// Whether every closure is run twice, the first time for nothing: a test that each can be run again, as an engine does whose
/// transactions can be in conflict. In debug builds alone.
#[expect(clippy::disallowed_methods, reason = "it is for tests, and no setting")]
static RUNS_TWICE: LazyLock<bool> =
    LazyLock::new(|| cfg!(debug_assertions) && std::env::var_os("COFFEESHOP_TEST_WRITES_TWICE").is_some());

#[derive(Clone)]
pub(super) struct Writer {
    next: Sender<Box<dyn Job>>,
    background: Sender<Box<dyn Job>>,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Priority {
    /// In the next commit, with all others that wait.
    Next,
    /// In a commit of its own, when no other closure waits or after `MAX_SKIPPED` other commits.
    Background,
}

impl Writer {
    /// Starts the thread, which ends when the last clone is dropped.
    pub(super) fn start(
        connection: DedicatedConnection,
        enqueued: Arc<Notify>,
    ) -> std::io::Result<(Self, JoinHandle<()>)> {
        let ((next, jobs), (background, background_jobs)) = (bounded(QUEUE), bounded(QUEUE));
        let runtime = Handle::current();
        let thread = thread::Builder::new().name("store-writer".to_owned()).spawn(move || {
            let _runtime = runtime.enter();
            let connection = connection; // dropped before `_runtime`, which the pool needs for that
            run(&connection, &jobs, &background_jobs, &enqueued);
        })?;
        Ok((Self { next, background }, thread))
    }

    pub(super) async fn write<T, E, F>(&self, work: F, priority: Priority) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        F: FnOnce(&Tx<'_>) -> Result<T, E> + Clone + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let queue = match priority {
            Priority::Next => &self.next,
            Priority::Background => &self.background,
        };
        queue.try_send(Box::new(Write { work: Some(work), result: None, reply })).map_err(|refusal| {
            Error::Unavailable(match refusal {
                TrySendError::Full(_) => "too many writes wait".to_owned(),
                TrySendError::Disconnected(_) => "the writer has stopped".to_owned(),
            })
        })?;
        answer.await.unwrap_or_else(|_| Err(Error::Unavailable("the writer has stopped".to_owned()).into()))
    }
}

type Jobs = Receiver<Box<dyn Job>>;

/// A closure with its result, their types erased.
trait Job: Send {
    /// Whether its caller has stopped waiting.
    fn is_abandoned(&self) -> bool;
    /// Runs a clone of the closure, whose changes are to be rolled back.
    fn rehearse(&self, tx: &Tx<'_>);
    /// Runs the closure; returns whether its changes are to be kept.
    fn run(&mut self, tx: &Tx<'_>) -> bool;
    /// Sends the result to the caller, after the commit has succeeded or failed.
    fn answer(self: Box<Self>, committed: &Result<(), Error>);
}

struct Write<F, T, E> {
    work: Option<F>,
    result: Option<Result<T, E>>,
    reply: oneshot::Sender<Result<T, E>>,
}

impl<F, T, E> Job for Write<F, T, E>
where
    T: Send,
    E: From<Error> + Send,
    F: FnOnce(&Tx<'_>) -> Result<T, E> + Clone + Send,
{
    fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    fn rehearse(&self, tx: &Tx<'_>) {
        let work = self.work.clone();
        let _ = catch_unwind(AssertUnwindSafe(|| work.map(|work| work(tx))));
    }

    fn run(&mut self, tx: &Tx<'_>) -> bool {
        let Some(work) = self.work.take() else { return false };
        let result = catch_unwind(AssertUnwindSafe(|| work(tx)))
            .unwrap_or_else(|_| Err(Error::Defect("a write panicked".to_owned()).into()));
        let keep = result.is_ok();
        self.result = Some(result);
        keep
    }

    fn answer(self: Box<Self>, committed: &Result<(), Error>) {
        // A refusal may be due to another closure of the batch, which is now rolled back: after a failed commit every
        // caller gets its error.
        let result = match (committed, self.result) {
            (Ok(()), Some(result)) => result,
            (Ok(()), None) => Err(Error::Defect("a write did not run".to_owned()).into()),
            (Err(error), _) => Err(error.clone().into()),
        };
        // Fails if the caller has stopped waiting; the commit stands.
        let _ = self.reply.send(result);
    }
}

fn run(connection: &DedicatedConnection, jobs: &Jobs, background: &Jobs, enqueued: &Notify) {
    let mut skipped = 0;
    while let Some((job, priority)) = take(jobs, background, skipped) {
        let Some(connection) = connection.lock() else { return };
        match priority {
            Priority::Next => {
                skipped += 1;
                let jobs = iter::once(job).chain(jobs.try_iter()).take(BATCH);
                commit_together(&connection, jobs, enqueued);
            }
            Priority::Background => {
                skipped = 0;
                commit_together(&connection, iter::once(job), enqueued);
            }
        }
    }
    // A copy of the file that is made after the end is complete.
    if let Some(connection) = connection.lock() {
        let _ = connection.pragma_update(None, "wal_checkpoint", "truncate");
    }
}

/// Waits for the next job; none once every sender is dropped.
fn take(jobs: &Jobs, background: &Jobs, skipped: usize) -> Option<(Box<dyn Job>, Priority)> {
    if skipped >= MAX_SKIPPED
        && let Ok(job) = background.try_recv()
    {
        return Some((job, Priority::Background));
    }
    if let Ok(job) = jobs.try_recv() {
        return Some((job, Priority::Next));
    }
    select! {
        recv(jobs) -> job => job.ok().map(|job| (job, Priority::Next)),
        recv(background) -> job => job.ok().map(|job| (job, Priority::Background)),
    }
}

/// Commits jobs together. One whose caller has stopped waiting before it begins is not run; once begun it is committed like
/// any other.
fn commit_together(connection: &Connection, jobs: impl Iterator<Item = Box<dyn Job>>, enqueued: &Notify) {
    let mut jobs = jobs.filter(|job| !job.is_abandoned()).peekable();
    if jobs.peek().is_none() {
        return;
    }
    let mut state = execute(connection, "BEGIN IMMEDIATE");
    let (mut done, mut wakes_outbox) = (Vec::new(), false);
    for mut job in jobs {
        if state.is_ok() {
            state = run_in_savepoint(connection, job.as_mut(), &mut wakes_outbox);
        }
        done.push(job);
    }
    let committed = state.and_then(|()| execute(connection, "COMMIT"));
    if !connection.is_autocommit() {
        let _ = execute(connection, "ROLLBACK");
    }
    if committed.is_ok() && wakes_outbox {
        enqueued.notify_one();
    }
    for job in done {
        job.answer(&committed);
    }
}

/// Runs a job in a savepoint, so that it can be rolled back alone. An error concerns the whole transaction: after some of them
/// (a full disk, an I/O error) SQLite has rolled it back by itself.
fn run_in_savepoint(
    connection: &Connection,
    job: &mut dyn Job,
    wakes_outbox: &mut bool,
) -> Result<(), Error> {
    execute(connection, "SAVEPOINT job")?;
    if *RUNS_TWICE {
        let tx = Tx::new(connection);
        job.rehearse(&tx);
        check_open(connection, &tx)?;
        execute(connection, "ROLLBACK TO job")?;
    }
    let tx = Tx::new(connection);
    let keep = job.run(&tx);
    check_open(connection, &tx)?;
    if keep {
        *wakes_outbox |= tx.wakes_outbox();
    } else {
        execute(connection, "ROLLBACK TO job")?;
    }
    execute(connection, "RELEASE job")
}

/// The error after which SQLite has rolled the transaction back by itself.
fn check_open(connection: &Connection, tx: &Tx<'_>) -> Result<(), Error> {
    if !connection.is_autocommit() {
        return Ok(());
    }
    let rolled_back = || Error::Unavailable("SQLite has rolled the transaction back".to_owned());
    Err(tx.failure().unwrap_or_else(rolled_back))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nothing(&'static str);

    impl Job for Nothing {
        fn is_abandoned(&self) -> bool {
            false
        }

        fn rehearse(&self, _tx: &Tx<'_>) {}

        fn run(&mut self, _tx: &Tx<'_>) -> bool {
            !self.0.is_empty()
        }

        fn answer(self: Box<Self>, _committed: &Result<(), Error>) {}
    }

    #[test]
    fn background_work_waits_for_other_writes_but_not_forever() {
        let ((next, jobs), (background, background_jobs)) =
            (bounded::<Box<dyn Job>>(99), bounded::<Box<dyn Job>>(99));
        for _ in 0..20 {
            next.send(Box::new(Nothing("next"))).expect("room");
            background.send(Box::new(Nothing("background"))).expect("room");
        }
        let mut skipped = 0;
        let mut turns = String::new();
        for _ in 0..40 {
            turns.push(match take(&jobs, &background_jobs, skipped).expect("a job").1 {
                Priority::Next => {
                    skipped += 1;
                    'n'
                }
                Priority::Background => {
                    skipped = 0;
                    'b'
                }
            });
        }
        assert_eq!(turns, format!("{}{}", "nnnnnnnnbnnnnnnnnbnnnn", "b".repeat(18)));
        drop((next, background));
        assert!(take(&jobs, &background_jobs, 0).is_none());
    }
}
