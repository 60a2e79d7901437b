//! Look-ups of sessions that wait together become one query. Each request is authenticated by one, and the server's work is the
//! same for a few of them as for one.

use std::{collections::HashMap, time::Instant};

use crossbeam_channel::{Receiver, Sender, bounded};
use tokio::sync::oneshot;

use super::{
    calls::{Caller, Isolation},
    workers::{self, DEADLINE, Priority, Workers},
};
use crate::{
    domain::{Session, SessionId, User},
    store::{error::Error, tx::Tx},
};

/// The most look-ups in one query.
const MOST: usize = 64;

type Found = Option<(Session, User)>;

#[derive(Clone)]
pub(super) struct Batch {
    workers: Workers,
    enter: Sender<LookUp>,
    waiting: Receiver<LookUp>,
}

struct LookUp {
    id: SessionId,
    deadline: Instant,
    reply: oneshot::Sender<Result<Found, Error>>,
}

impl Batch {
    pub(super) fn on(workers: Workers) -> Self {
        let (enter, waiting) = bounded(workers::QUEUE);
        Self { workers, enter, waiting }
    }

    pub(super) async fn session_with_user(&self, id: SessionId) -> Result<Found, Error> {
        let (reply, answer) = oneshot::channel();
        let look_up = LookUp { id, deadline: Instant::now() + DEADLINE, reply };
        self.enter.try_send(look_up).map_err(|_| Error::Unavailable("too many look-ups wait".to_owned()))?;
        // The thread that comes first takes all that wait; for the others there may be nothing left.
        let waiting = self.waiting.clone();
        self.workers.send(Box::new(move |caller| look_up_together(&waiting, caller)), Priority::Next)?;
        answer.await.unwrap_or_else(|_| Err(workers::stopped()))
    }
}

fn look_up_together(waiting: &Receiver<LookUp>, caller: &mut Caller) {
    let batch: Vec<_> = waiting.try_iter().filter(|look_up| !look_up.reply.is_closed()).take(MOST).collect();
    let Some(deadline) = batch.iter().map(|look_up| look_up.deadline).min() else { return };
    let ids: Vec<_> = batch.iter().map(|look_up| look_up.id).collect();
    let work = |tx: &Tx<'_>| tx.sessions_with_users(&ids);
    let found = caller.run::<_, Error>(work, Isolation::OneStatement, deadline);
    let found = found.map(|found| {
        let by_id = |found: (Session, User)| (found.0.id, found);
        found.into_iter().map(by_id).collect::<HashMap<_, _>>()
    });
    for look_up in batch {
        let answer = found.as_ref().map(|found| found.get(&look_up.id).cloned()).map_err(Clone::clone);
        let _ = look_up.reply.send(answer);
    }
}
