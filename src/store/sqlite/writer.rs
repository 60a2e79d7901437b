//! The one thread that writes: it commits the closures that wait together, then answers them all.
//!
//! A commit costs one fsync, however many closures it holds, so callers who wait at the same time share it. An
//! answer goes out after the fsync: acknowledged means durable.

use std::{
    iter,
    panic::{AssertUnwindSafe, catch_unwind},
    thread::{self, JoinHandle},
};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded, select};
use rusqlite::Connection;
use tokio::{runtime::Handle, sync::oneshot};

use super::dedicated_connection::DedicatedConnection;
use crate::store::{Error, Tx, tx::execute};

/// How many closures may wait; past it the caller is told to come back.
const QUEUE: usize = 4096;
/// How many closures share a commit at most, so that the first of them does not wait for ever.
const BATCH: usize = 256;

/// How many commits go before work that has time, if so many wait.
const PATIENCE: usize = 8;

#[derive(Clone)]
pub(in crate::store) struct Writer {
    next: Sender<Box<dyn Job>>,
    background: Sender<Box<dyn Job>>,
}

/// When a closure is run.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) enum Priority {
    /// In the next commit, with all that wait.
    Next,
    /// In a commit of its own when nobody waits, or when those who wait have had their share.
    Background,
}

impl Writer {
    /// Starts the thread, which owns `connection` until the last `Writer` is gone.
    pub(in crate::store) fn start(
        connection: DedicatedConnection,
    ) -> std::io::Result<(Self, JoinHandle<()>)> {
        let ((next, jobs), (background, others)) = (bounded(QUEUE), bounded(QUEUE));
        let runtime = Handle::current();
        let thread = thread::Builder::new().name("store-writer".to_owned()).spawn(move || {
            let _runtime = runtime.enter();
            let connection = connection; // given back before the runtime is left: the pool needs it for that
            run(&connection, &jobs, &others);
        })?;
        Ok((Self { next, background }, thread))
    }

    pub(in crate::store) async fn write<T, E, F>(&self, work: F, turn: Priority) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        F: FnOnce(&Tx<'_>) -> Result<T, E> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let queue = match turn {
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

/// A closure with its answer, whatever their types are.
trait Job: Send {
    /// Whether its caller has gone away.
    fn is_abandoned(&self) -> bool;
    /// Runs the closure; answers whether what it did is to be kept.
    fn run(&mut self, tx: &Tx<'_>) -> bool;
    /// Hands the answer over, after the commit went well or not.
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
    F: FnOnce(&Tx<'_>) -> Result<T, E> + Send,
{
    fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
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
        // Whoever was refused may have been refused because of another closure of the batch, one that is now
        // undone: a failed commit is everybody's answer.
        let result = match (committed, self.result) {
            (Ok(()), Some(result)) => result,
            (Ok(()), None) => Err(Error::Defect("a write did not run".to_owned()).into()),
            (Err(error), _) => Err(error.clone().into()),
        };
        // Nobody listens where the client has gone away; what was committed stays.
        let _ = self.reply.send(result);
    }
}

fn run(connection: &DedicatedConnection, jobs: &Jobs, others: &Jobs) {
    let mut skipped = 0;
    while let Some((job, turn)) = take(jobs, others, skipped) {
        let Some(connection) = connection.lock() else { return };
        match turn {
            Priority::Next => {
                skipped += 1;
                commit_together(&connection, iter::once(job).chain(jobs.try_iter()).take(BATCH));
            }
            Priority::Background => {
                skipped = 0;
                commit_together(&connection, iter::once(job));
            }
        }
    }
    // Whoever copies the file after the end finds everything in it.
    if let Some(connection) = connection.lock() {
        let _ = connection.pragma_update(None, "wal_checkpoint", "truncate");
    }
}

/// What is run next, once there is something; none when nobody can ask any more.
fn take(jobs: &Jobs, others: &Jobs, skipped: usize) -> Option<(Box<dyn Job>, Priority)> {
    if skipped >= PATIENCE
        && let Ok(job) = others.try_recv()
    {
        return Some((job, Priority::Background));
    }
    if let Ok(job) = jobs.try_recv() {
        return Some((job, Priority::Next));
    }
    select! {
        recv(jobs) -> job => job.ok().map(|job| (job, Priority::Next)),
        recv(others) -> job => job.ok().map(|job| (job, Priority::Background)),
    }
}

/// Commits jobs together. One whose caller went away before it began is not run: no client was told that it happened. Once
/// begun it is committed like any other.
fn commit_together(connection: &Connection, jobs: impl Iterator<Item = Box<dyn Job>>) {
    let mut jobs = jobs.filter(|job| !job.is_abandoned()).peekable();
    if jobs.peek().is_none() {
        return;
    }
    let mut state = execute(connection, "BEGIN IMMEDIATE");
    let mut done = Vec::new();
    for mut job in jobs {
        if state.is_ok() {
            state = run_in_savepoint(connection, job.as_mut());
        }
        done.push(job);
    }
    let committed = state.and_then(|()| execute(connection, "COMMIT"));
    if !connection.is_autocommit() {
        let _ = execute(connection, "ROLLBACK");
    }
    for job in done {
        job.answer(&committed);
    }
}

/// Runs a job so that it can be undone alone. An error is the whole transaction's: after some of them (a full disk, an
/// I/O error) SQLite has rolled all of it back by itself.
fn run_in_savepoint(connection: &Connection, job: &mut dyn Job) -> Result<(), Error> {
    execute(connection, "SAVEPOINT job")?;
    let tx = Tx::new(connection);
    let keep = job.run(&tx);
    if connection.is_autocommit() {
        return Err(tx
            .failure()
            .unwrap_or_else(|| Error::Unavailable("SQLite gave the transaction up".to_owned())));
    }
    if !keep {
        execute(connection, "ROLLBACK TO job")?;
    }
    execute(connection, "RELEASE job")
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nothing(&'static str);

    impl Job for Nothing {
        fn is_abandoned(&self) -> bool {
            false
        }

        fn run(&mut self, _tx: &Tx<'_>) -> bool {
            !self.0.is_empty()
        }

        fn answer(self: Box<Self>, _committed: &Result<(), Error>) {}
    }

    #[test]
    fn work_that_has_time_waits_for_those_who_wait_but_not_for_ever() {
        let ((next, jobs), (background, others)) = (bounded::<Box<dyn Job>>(99), bounded::<Box<dyn Job>>(99));
        for _ in 0..20 {
            next.send(Box::new(Nothing("next"))).expect("room");
            background.send(Box::new(Nothing("in passing"))).expect("room");
        }
        let mut skipped = 0;
        let mut turns = String::new();
        for _ in 0..40 {
            turns.push(match take(&jobs, &others, skipped).expect("a job").1 {
                Priority::Next => {
                    skipped += 1;
                    'n'
                }
                Priority::Background => {
                    skipped = 0;
                    'p'
                }
            });
        }
        assert_eq!(turns, format!("{}{}", "nnnnnnnnpnnnnnnnnpnnnn", "p".repeat(18)));
        drop((next, background));
        assert!(take(&jobs, &others, 0).is_none());
    }
}
