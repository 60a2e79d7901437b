//! The one thread that writes: it commits the closures that wait together, then answers them all.
//!
//! A commit costs one fsync, however many closures it holds, so callers who wait at the same time share it. An
//! answer goes out after the fsync: acknowledged means durable.

use std::{
    iter,
    panic::{AssertUnwindSafe, catch_unwind},
    thread::{self, JoinHandle},
};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use rusqlite::Connection;
use tokio::{runtime::Handle, sync::oneshot};

use super::{Error, Tx, owned::Owned, tx::execute};

/// How many closures may wait; past it the caller is told to come back.
const QUEUE: usize = 4096;
/// How many closures share a commit at most, so that the first of them does not wait for ever.
const BATCH: usize = 256;

#[derive(Clone)]
pub(super) struct Writer(Sender<Box<dyn Job>>);

impl Writer {
    /// Starts the thread, which owns `connection` until the last `Writer` is gone.
    pub(super) fn start(connection: Owned) -> std::io::Result<(Self, JoinHandle<()>)> {
        let (queue, jobs) = bounded(QUEUE);
        let runtime = Handle::current();
        let thread = thread::Builder::new().name("store-writer".to_owned()).spawn(move || {
            let _runtime = runtime.enter();
            let connection = connection; // given back before the runtime is left: the pool needs it for that
            run(&connection, &jobs);
        })?;
        Ok((Self(queue), thread))
    }

    pub(super) async fn write<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        F: FnOnce(&Tx<'_>) -> Result<T, E> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        self.0.try_send(Box::new(Write { work: Some(work), result: None, reply })).map_err(|refusal| {
            Error::Unavailable(match refusal {
                TrySendError::Full(_) => "too many writes wait".to_owned(),
                TrySendError::Disconnected(_) => "the writer has stopped".to_owned(),
            })
        })?;
        answer.await.unwrap_or_else(|_| Err(Error::Unavailable("the writer has stopped".to_owned()).into()))
    }
}

/// A closure with its answer, whatever their types are.
trait Job: Send {
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

fn run(connection: &Owned, jobs: &Receiver<Box<dyn Job>>) {
    while let Ok(first) = jobs.recv() {
        let Some(connection) = connection.lock() else { return };
        commit_together(&connection, iter::once(first).chain(jobs.try_iter()).take(BATCH));
    }
    // Whoever copies the file after the end finds everything in it.
    if let Some(connection) = connection.lock() {
        let _ = connection.pragma_update(None, "wal_checkpoint", "truncate");
    }
}

fn commit_together(connection: &Connection, jobs: impl Iterator<Item = Box<dyn Job>>) {
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
