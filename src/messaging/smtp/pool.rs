//! The connections to the mail server: idle ones to use again, and how many more to open.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::server::Connection;

/// A server that answers quickly gets a few connections; only slow recipients need the others.
const MAX_CONNECTIONS: usize = 16;
const MAX_IDLE: usize = 4;
/// For how long no more connections are opened than the server accepted.
const LIMIT_TTL: Duration = Duration::from_mins(1);

#[derive(Default)]
pub struct Pool(Mutex<State>);

#[derive(Default)]
struct State {
    idle: Vec<Connection>,
    /// Connections on which a sender was accepted and a mail is being sent.
    busy: usize,
    /// Whether the server accepted a sender since the pool was last emptied and since the last failure.
    is_reachable: bool,
    /// How many connections the server accepted when it refused one more, and until when that counts.
    limit: Option<(usize, Instant)>,
}

impl Pool {
    /// How many connections there may be. Only one until a sender was accepted: the others would fail, too.
    pub fn capacity(&self) -> usize {
        let state = self.state();
        if state.is_reachable { state.max_connections() } else { 1 }
    }

    /// Whether more than half of the connections are busy.
    pub fn is_crowded(&self) -> bool {
        let state = self.state();
        state.busy * 2 > state.max_connections()
    }

    pub fn take_idle(&self) -> Option<Connection> {
        self.state().idle.pop()
    }

    /// Keeps a connection for another mail. Returns it if there are enough.
    pub fn keep(&self, connection: Connection) -> Option<Connection> {
        let mut state = self.state();
        if state.idle.len() >= MAX_IDLE {
            return Some(connection);
        }
        state.idle.push(connection);
        None
    }

    /// Empties the pool, since there is nothing more to send.
    pub fn drain(&self) -> Vec<Connection> {
        let mut state = self.state();
        state.is_reachable = false;
        std::mem::take(&mut state.idle)
    }

    pub fn record_accepted(&self) {
        self.state().is_reachable = true;
    }

    /// Records that the server refused a connection. Returns whether others are busy, so that only the number was too high.
    pub fn record_refused(&self) -> bool {
        let mut state = self.state();
        if state.busy == 0 {
            state.is_reachable = false;
            return false;
        }
        state.limit = Some((state.busy, Instant::now() + LIMIT_TTL));
        true
    }

    /// Counts a connection as busy until the guard is dropped.
    pub fn begin_work(&self) -> BusyGuard<'_> {
        self.state().busy += 1;
        BusyGuard(self)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn max_connections(&self) -> usize {
        let limit = self.limit.filter(|(_, until)| Instant::now() < *until);
        limit.map_or(MAX_CONNECTIONS, |(accepted, _)| accepted.max(1))
    }
}

pub struct BusyGuard<'a>(&'a Pool);

impl Drop for BusyGuard<'_> {
    fn drop(&mut self) {
        self.0.state().busy -= 1;
    }
}
