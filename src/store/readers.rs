//! A few threads that read, each with a connection of its own: a hop to one costs a seventh of a pool's checkout.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    thread::{self, JoinHandle},
};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use rusqlite::Connection;
use tokio::{runtime::Handle, sync::oneshot};

use super::{Error, Snapshot, owned::Owned, tx::execute};

/// How many closures may wait; past it the caller is told to come back.
const QUEUE: usize = 4096;

type Job = Box<dyn FnOnce(Result<Snapshot<'_>, Error>) + Send>;

#[derive(Clone)]
pub(super) struct Readers(Sender<Job>);

impl Readers {
    /// Starts a thread for each connection, which owns it until the last `Readers` is gone.
    pub(super) fn start(
        connections: impl Iterator<Item = Owned>,
    ) -> std::io::Result<(Self, Vec<JoinHandle<()>>)> {
        let (queue, jobs) = bounded(QUEUE);
        let mut threads = Vec::new();
        for (number, connection) in connections.enumerate() {
            let (runtime, jobs) = (Handle::current(), jobs.clone());
            let thread = thread::Builder::new().name(format!("store-reader-{number}")).spawn(move || {
                let _runtime = runtime.enter();
                let connection = connection; // given back before the runtime is left: the pool needs it for that
                run(&connection, &jobs);
            })?;
            threads.push(thread);
        }
        Ok((Self(queue), threads))
    }

    pub(super) async fn read<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        F: FnOnce(&Snapshot<'_>) -> Result<T, E> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let job: Job = Box::new(move |snapshot| {
            let _ = reply.send(snapshot.map_err(E::from).and_then(|snapshot| work(&snapshot)));
        });
        self.0.try_send(job).map_err(|refusal| {
            Error::Unavailable(match refusal {
                TrySendError::Full(_) => "too many reads wait".to_owned(),
                TrySendError::Disconnected(_) => "the readers have stopped".to_owned(),
            })
        })?;
        answer.await.unwrap_or_else(|_| Err(Error::Defect("a read panicked".to_owned()).into()))
    }
}

fn run(connection: &Owned, jobs: &Receiver<Job>) {
    while let Ok(job) = jobs.recv() {
        let Some(connection) = connection.lock() else { return };
        read(&connection, job);
    }
}

/// Runs a job in a transaction, so that all its statements see one state of the store.
fn read(connection: &Connection, job: Job) {
    let begun = execute(connection, "BEGIN");
    // A job that panics answers by not answering; the connection is as good as before.
    let _ = catch_unwind(AssertUnwindSafe(|| job(begun.map(|()| Snapshot::new(connection)))));
    if !connection.is_autocommit() {
        let _ = execute(connection, "ROLLBACK");
    }
}
