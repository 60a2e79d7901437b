//! Threads that run reads and writes, each with a connection of its own, which it makes at first use.

use std::{
    io,
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded, select};
use tokio::sync::{Notify, oneshot};

use super::{
    calls::{Caller, Isolation},
    server::Server,
};
use crate::store::{error::Error, tx::Tx};

/// The most closures that wait in each queue; beyond that they are refused.
pub(super) const QUEUE: usize = 4096;
/// After how many other closures a thread takes background work.
const MAX_SKIPPED: usize = 8;
/// How long a call may take, in the queue, in all rounds and pauses together.
pub(super) const DEADLINE: Duration = Duration::from_secs(10);

#[derive(Clone)]
pub(super) struct Workers {
    next: Sender<Job>,
    background: Sender<Job>,
}

pub(super) type Job = Box<dyn FnOnce(&mut Caller) + Send>;

#[derive(Clone, Copy, Debug)]
pub(super) enum Priority {
    Next,
    /// When nothing else waits, or after `MAX_SKIPPED` other closures.
    Background,
}

impl Workers {
    /// Starts the threads, which end when the last clone is dropped.
    pub(super) fn start(
        threads: usize,
        server: &Arc<Server>,
        enqueued: &Arc<Notify>,
    ) -> io::Result<(Self, Vec<JoinHandle<()>>)> {
        let ((next, jobs), (background, background_jobs)) = (bounded(QUEUE), bounded(QUEUE));
        let queues = Queues { jobs, background: background_jobs };
        let start = |number| {
            let (queues, caller) = (queues.clone(), Caller::new(Arc::clone(server), Arc::clone(enqueued)));
            thread::Builder::new().name(format!("store-{number}")).spawn(move || queues.serve(caller))
        };
        let threads = (0..threads).map(start).collect::<io::Result<_>>()?;
        Ok((Self { next, background }, threads))
    }

    /// Runs `work` in a transaction, again as long as other transactions prevent that it is committed. If the caller stops
    /// waiting before it begins, it is not run; a write that has begun is committed all the same.
    ///
    /// Simplified: a read that has begun is run to its end, which the timeout of statements bounds. With more time its caller
    /// would cancel it.
    pub(super) async fn run<T, E, F>(&self, work: F, isolation: Isolation, priority: Priority) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        F: FnOnce(&Tx<'_>) -> Result<T, E> + Clone + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let deadline = Instant::now() + DEADLINE;
        let job = move |caller: &mut Caller| {
            if !reply.is_closed() {
                let _ = reply.send(caller.run(work, isolation, deadline));
            }
        };
        self.send(Box::new(job), priority)?;
        answer.await.unwrap_or_else(|_| Err(stopped().into()))
    }

    pub(super) fn send(&self, job: Job, priority: Priority) -> Result<(), Error> {
        let queue = match priority {
            Priority::Next => &self.next,
            Priority::Background => &self.background,
        };
        queue.try_send(job).map_err(|refusal| match refusal {
            TrySendError::Full(_) => Error::Unavailable("too many reads and writes wait".to_owned()),
            TrySendError::Disconnected(_) => stopped(),
        })
    }
}

pub(super) fn stopped() -> Error {
    Error::Unavailable("its threads have stopped".to_owned())
}

#[derive(Clone)]
struct Queues {
    jobs: Receiver<Job>,
    background: Receiver<Job>,
}

impl Queues {
    fn serve(&self, mut caller: Caller) {
        let mut skipped = 0;
        while let Some((job, priority)) = self.take(skipped) {
            skipped = match priority {
                Priority::Next => skipped + 1,
                Priority::Background => 0,
            };
            job(&mut caller);
        }
        caller.close();
    }

    /// Waits for the next job; none once every sender is dropped.
    fn take(&self, skipped: usize) -> Option<(Job, Priority)> {
        if skipped >= MAX_SKIPPED
            && let Ok(job) = self.background.try_recv()
        {
            return Some((job, Priority::Background));
        }
        if let Ok(job) = self.jobs.try_recv() {
            return Some((job, Priority::Next));
        }
        select! {
            recv(self.jobs) -> job => job.ok().map(|job| (job, Priority::Next)),
            recv(self.background) -> job => job.ok().map(|job| (job, Priority::Background)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn background_work_waits_for_other_work_but_not_forever() {
        let ((next, jobs), (background, background_jobs)) = (bounded::<Job>(99), bounded::<Job>(99));
        for _ in 0..20 {
            next.send(Box::new(|_| {})).expect("room");
            background.send(Box::new(|_| {})).expect("room");
        }
        let queues = Queues { jobs, background: background_jobs };
        let (mut skipped, mut turns) = (0, String::new());
        for _ in 0..40 {
            let (_, priority) = queues.take(skipped).expect("a job");
            let (turn, next) = match priority {
                Priority::Next => ('n', skipped + 1),
                Priority::Background => ('b', 0),
            };
            turns.push(turn);
            skipped = next;
        }
        assert_eq!(turns, format!("{}{}", "nnnnnnnnbnnnnnnnnbnnnn", "b".repeat(18)));
        drop((next, background));
        assert!(queues.take(0).is_none());
    }
}
