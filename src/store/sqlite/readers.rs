//! A few threads that read, each with a connection of its own.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread::{self, JoinHandle},
};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use rusqlite::Connection;
use tokio::{runtime::Handle, sync::oneshot};

use super::{connection::execute, dedicated_connection::DedicatedConnection};
use crate::store::{error::Error, tx::Snapshot};

/// The most closures that wait; beyond that reads are refused.
const QUEUE: usize = 4096;

/// After how many steps of SQLite's virtual machine, a millisecond or less, a read checks whether its caller still waits.
const STEPS: i32 = 10_000;

type Job = Box<dyn FnOnce(&Connection) + Send>;

#[derive(Clone)]
pub(super) struct Readers(Sender<Job>);

impl Readers {
    /// Starts a thread, called `name` and a number, for each connection; it ends when the last clone is dropped.
    pub(super) fn start(
        name: &str,
        connections: Vec<DedicatedConnection>,
    ) -> std::io::Result<(Self, Vec<JoinHandle<()>>)> {
        let (queue, jobs) = bounded(QUEUE);
        let mut threads = Vec::new();
        for (number, connection) in connections.into_iter().enumerate() {
            let (runtime, jobs) = (Handle::current(), jobs.clone());
            let thread = thread::Builder::new().name(format!("{name}-{number}")).spawn(move || {
                let _runtime = runtime.enter();
                let connection = connection; // dropped before `_runtime`, which the pool needs for that
                run(&connection, &jobs);
            })?;
            threads.push(thread);
        }
        Ok((Self(queue), threads))
    }

    /// Runs `work` in a transaction, so that all its statements see one snapshot. If the caller stops waiting, it is not run,
    /// or stops in the next statement that takes long.
    pub(super) async fn read<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        F: FnOnce(&Snapshot<'_>) -> Result<T, E> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        self.0.try_send(job(work, reply)).map_err(|refusal| {
            Error::Unavailable(match refusal {
                TrySendError::Full(_) => "too many reads wait".to_owned(),
                TrySendError::Disconnected(_) => "the readers have stopped".to_owned(),
            })
        })?;
        answer.await.unwrap_or_else(|_| Err(Error::Defect("a read panicked".to_owned()).into()))
    }
}

/// Erases the types of a closure and its result.
fn job<T, E, F>(work: F, reply: oneshot::Sender<Result<T, E>>) -> Job
where
    T: Send + 'static,
    E: From<Error> + Send + 'static,
    F: FnOnce(&Snapshot<'_>) -> Result<T, E> + Send + 'static,
{
    Box::new(move |connection| {
        if reply.is_closed() {
            return;
        }
        let reply = Arc::new(reply);
        let caller = Arc::downgrade(&reply);
        let is_abandoned = move || caller.upgrade().is_none_or(|caller| caller.is_closed());
        let watched = connection.progress_handler(STEPS, Some(is_abandoned));
        let begun = watched.map_err(Error::from).and_then(|()| execute(connection, "BEGIN"));
        let result = begun.map_err(E::from).and_then(|()| work(&Snapshot::new(connection)));
        if let Some(reply) = Arc::into_inner(reply) {
            let _ = reply.send(result);
        }
    })
}

fn run(connection: &DedicatedConnection, jobs: &Receiver<Job>) {
    while let Ok(job) = jobs.recv() {
        let Some(connection) = connection.lock() else { return };
        read(&connection, job);
    }
}

fn read(connection: &Connection, job: Job) {
    // A job that panics drops its sender, which its caller notices; the connection is unharmed.
    let _ = catch_unwind(AssertUnwindSafe(|| job(connection)));
    let _ = connection.progress_handler(0, None::<fn() -> bool>);
    if !connection.is_autocommit() {
        let _ = execute(connection, "ROLLBACK");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_read_ends_when_its_caller_stops_waiting() {
        const WITHOUT_END: &str =
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n";
        let connection = Connection::open_in_memory().expect("memory");
        let (reply, answer) = oneshot::channel();
        let (tell, told) = std::sync::mpsc::channel();
        let work = move |snapshot: &Snapshot<'_>| {
            drop(answer);
            let counted = snapshot.number(WITHOUT_END, ());
            let _ = tell.send(counted.is_err());
            counted
        };
        read(&connection, job(work, reply));
        assert!(told.recv().expect("an end"));
        assert!(connection.is_autocommit());
        // The next one is not stopped by it.
        connection
            .execute_batch(&WITHOUT_END.replace("FROM n)", "FROM n WHERE i < 100000)"))
            .expect("an end");
    }
}
