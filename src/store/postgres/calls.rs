//! Runs the closures of callers on one connection: connects, runs each in rounds until it is committed, and tells an unknown
//! outcome from none.

use std::{
    hash::{BuildHasher, RandomState},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use tokio::sync::Notify;

use super::{connection::Connection, server::Server};
use crate::store::{ServerFault, error::Error, tx::Tx};

/// The most rounds of a transaction that others prevent from being committed.
const ROUNDS: u32 = 30;
/// How often a server is asked whether it still is what coffeeshop relies on.
const CHECK_INTERVAL: Duration = Duration::from_mins(1);
/// The longest pause between two rounds, in milliseconds.
const LONGEST_PAUSE: u64 = 64;

/// How strictly a transaction is isolated from others that run at the same time
/// (<https://www.postgresql.org/docs/current/transaction-iso.html>).
#[derive(Clone, Copy, Debug)]
pub(super) enum Isolation {
    /// As if all transactions ran one after the other: a closure need not know of others.
    Serializable,
    /// For statements that compare what they change with what was read.
    ReadCommitted,
    /// All statements see one snapshot, and none may write.
    Snapshot,
    /// One statement, which may not write and sees one snapshot anyway.
    OneStatement,
}

impl Isolation {
    /// The statement that begins a transaction; none if there is none.
    const fn begin(self) -> Option<&'static str> {
        match self {
            Self::Serializable => Some("BEGIN ISOLATION LEVEL SERIALIZABLE"),
            Self::ReadCommitted => Some("BEGIN ISOLATION LEVEL READ COMMITTED"),
            Self::Snapshot => Some("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"),
            Self::OneStatement => None,
        }
    }

    const fn is_read_only(self) -> bool {
        matches!(self, Self::Snapshot | Self::OneStatement)
    }
}

/// Calls the server over one connection, which it makes at first use.
pub(super) struct Caller {
    server: Arc<Server>,
    /// Notified when a commit wakes the outbox worker.
    enqueued: Arc<Notify>,
    connection: Option<Connection>,
    /// When the server was last asked whether it is what coffeeshop relies on.
    checked_at: Instant,
}

/// How a round ends.
enum Round<T> {
    Done {
        result: T,
        wakes_outbox: bool,
    },
    /// What it has read was changed meanwhile.
    Conflict(String),
    /// The connection broke before the commit.
    Lost(Error),
}

impl<T> Round<T> {
    /// One that has committed no change.
    fn unchanged(result: T) -> Self {
        Self::Done { result, wakes_outbox: false }
    }
}

impl Caller {
    pub(super) fn new(server: Arc<Server>, enqueued: Arc<Notify>) -> Self {
        Self { server, enqueued, connection: None, checked_at: Instant::now() }
    }

    pub(super) fn close(self) {
        if let Some(connection) = self.connection {
            connection.close();
        }
    }

    /// Runs `work` until it is committed, it refuses, or it is `deadline`.
    pub(super) fn run<T, E>(
        &mut self,
        work: impl FnOnce(&Tx<'_>) -> Result<T, E> + Clone,
        isolation: Isolation,
        deadline: Instant,
    ) -> Result<T, E>
    where
        E: From<Error>,
    {
        let mut was_lost = false;
        let mut conflicts = 0;
        if Instant::now() >= deadline {
            // A statement would be given up at once, and with it the connection.
            return Err(Error::Unavailable("too much waits before it".to_owned()).into());
        }
        loop {
            let connection = self.connection(deadline)?;
            match round(connection, work.clone(), isolation) {
                Round::Done { result, wakes_outbox } => {
                    if let Some(to) = connection.moved_to() {
                        return Err(Error::Unavailable(format!("it was moved to {to}")).into());
                    }
                    if wakes_outbox {
                        self.enqueued.notify_one();
                    }
                    return result;
                }
                Round::Conflict(why) => {
                    conflicts += 1;
                    let pause = pause(conflicts);
                    if conflicts >= ROUNDS || Instant::now() + pause >= deadline {
                        tracing::warn!(why, conflicts, "a transaction cannot be committed beside others");
                        return Err(Error::Unavailable(why).into());
                    }
                    thread::sleep(pause);
                }
                Round::Lost(error) if was_lost || Instant::now() >= deadline => return Err(error.into()),
                Round::Lost(error) => {
                    tracing::info!(%error, "the connection to the database is lost, another one is made");
                    was_lost = true;
                }
            }
        }
    }

    /// The connection, made anew if it was lost.
    fn connection(&mut self, deadline: Instant) -> Result<&Connection, Error> {
        let usable = self.connection.take().filter(|connection| connection.resume(deadline));
        let connection = match usable {
            Some(connection) => connection,
            None => {
                self.checked_at = Instant::now();
                Connection::connect(&self.server, deadline).map_err(|fault| unavailable(&fault))?
            }
        };
        if self.checked_at.elapsed() > CHECK_INTERVAL {
            connection.check(&self.server).map_err(|fault| unavailable(&fault))?;
            self.checked_at = Instant::now();
        }
        Ok(self.connection.insert(connection))
    }
}

fn unavailable(fault: &ServerFault) -> Error {
    Error::Unavailable(fault.to_string())
}

fn round<T, E: From<Error>>(
    connection: &Connection,
    work: impl FnOnce(&Tx<'_>) -> Result<T, E>,
    isolation: Isolation,
) -> Round<Result<T, E>> {
    connection.begin(isolation.begin());
    let tx = Tx::on_postgres(connection);
    // The connection is unharmed: what was begun is rolled back.
    let result = catch_unwind(AssertUnwindSafe(|| work(&tx)))
        .unwrap_or_else(|_| Err(Error::Defect("a read or a write panicked".to_owned()).into()));
    // What a file of the store found to have changed, by the number of rows, is no failure of a statement.
    let failure = connection.failure();
    let conflict = [&failure, &tx.failure()].into_iter().flatten().find_map(|error| match error {
        Error::Retry(why) => Some(why.clone()),
        _ => None,
    });
    // Whatever the closure made of it.
    if let Some(why) = conflict {
        connection.roll_back();
        return Round::Conflict(why);
    }
    // A COMMIT that is not waited for would leave the outcome unknown.
    if connection.is_lost() || connection.is_overdue() {
        let error = failure.unwrap_or_else(|| Error::Unavailable("it did not answer in time".to_owned()));
        return Round::Lost(error);
    }
    match (result, failure) {
        (result, None) if isolation.is_read_only() => {
            connection.end_read();
            Round::unchanged(result)
        }
        (Ok(value), None) => match connection.commit() {
            Ok(()) => Round::Done { result: Ok(value), wakes_outbox: tx.wakes_outbox() },
            Err(Error::Retry(why)) => Round::Conflict(why),
            Err(error) => Round::unchanged(Err(error.into())),
        },
        // After a failed statement COMMIT is a silent ROLLBACK.
        (Ok(_), Some(error)) => {
            connection.roll_back();
            let why = format!("a transaction went on after a failed statement: {error}");
            Round::unchanged(Err(Error::Defect(why).into()))
        }
        (Err(refusal), _) => {
            connection.roll_back();
            Round::unchanged(Err(refusal))
        }
    }
}

/// A random time of up to 1, 2, 4 … 64 ms, so that two transactions do not meet again.
fn pause(conflicts: u32) -> Duration {
    let longest = LONGEST_PAUSE.min(1 << conflicts.saturating_sub(1).min(6));
    // A new state has new random keys.
    Duration::from_micros(RandomState::new().hash_one(0) % (longest * 1000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_a_limit() {
        for (conflicts, longest) in [(1, 1), (2, 2), (3, 4), (7, 64), (8, 64), (30, 64)] {
            for _ in 0..100 {
                assert!(pause(conflicts) < Duration::from_millis(longest), "{conflicts}");
            }
        }
    }
}
