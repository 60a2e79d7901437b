//! How many connections there are, in all and of one client: at a limit, the slowest is closed to admit a new one.
//!
//! By hand, because a semaphore's permit cannot be taken back from its holder, and a new connection waits for two limits.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, sleep, timeout},
};

use super::connection::ConnectionState;
use crate::config;

/// How long a connection that was asked to close is waited for until another one is asked, too.
const RECHECK: Duration = Duration::from_millis(50);
/// How many are closed at a time when the system has no file descriptor left.
const EVICTIONS: usize = 8;

pub struct ConnectionLimiter {
    settings: config::Server,
    open: Mutex<Connections>,
    freed: Notify,
}

/// By number. Few enough to be counted when one more comes.
type Connections = BTreeMap<u64, Connection>;

struct Connection {
    client: Option<IpAddr>,
    state: ConnectionState,
}

/// Counts a connection until it is dropped.
pub struct Permit {
    number: u64,
    limiter: Arc<ConnectionLimiter>,
}

enum Admission {
    Admitted(u64),
    Wait,
    Refused,
}

impl ConnectionLimiter {
    pub fn new(settings: &config::Server) -> Arc<Self> {
        Arc::new(Self { settings: settings.clone(), open: Mutex::default(), freed: Notify::new() })
    }

    /// Waits until there is room. None if the client is at its limit and none of its connections stalls. A trusted proxy
    /// is no client.
    pub async fn admit(self: &Arc<Self>, client: Option<IpAddr>, state: &ConnectionState) -> Option<Permit> {
        let mut force = false;
        loop {
            let freed = self.freed.notified();
            match self.try_admit(client, state, force) {
                Admission::Admitted(number) => return Some(Permit { number, limiter: Arc::clone(self) }),
                Admission::Refused => return None,
                // One that was asked to close may have made progress instead.
                Admission::Wait => force = timeout(RECHECK, freed).await.is_err(),
            }
        }
    }

    /// Closes the slowest few; false if none stalls.
    pub fn evict_some(&self) -> bool {
        let open = self.open();
        (0..EVICTIONS).take_while(|_| evict_slowest(&open, |_| true)).count() > 0
    }

    /// Closes connections that are past a deadline, as long as this future is polled.
    pub async fn close_overdue(self: Arc<Self>) {
        let shortest = self.settings.head_timeout.get().min(self.settings.idle_timeout.get());
        let pause = (shortest / 8).clamp(Duration::from_millis(10), Duration::from_secs(1));
        loop {
            sleep(pause).await;
            let (now, open) = (Instant::now(), self.open());
            let overdue = open.values().filter(|open| open.state.is_overdue(&self.settings, now));
            overdue.for_each(|open| open.state.request_close());
        }
    }

    fn try_admit(&self, client: Option<IpAddr>, state: &ConnectionState, force: bool) -> Admission {
        let mut open = self.open();
        let is_full = open.len() >= self.settings.connections;
        let own = |other: &Connection| client.is_some() && other.client == client;
        if open.values().filter(|other| own(other)).count() >= self.settings.connections_per_client {
            let waits = make_room(&open, own, force) || (is_full && !make_room(&open, |_| true, force));
            return if waits { Admission::Wait } else { Admission::Refused };
        }
        if is_full {
            make_room(&open, |_| true, force);
            return Admission::Wait;
        }
        let number = open.last_key_value().map_or(0, |(last, _)| last + 1);
        open.insert(number, Connection { client, state: state.clone() });
        Admission::Admitted(number)
    }

    fn open(&self) -> MutexGuard<'_, Connections> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.limiter.open().remove(&self.number);
        self.limiter.freed.notify_one();
    }
}

/// Closes one of these connections, unless one is closing already and that is enough; false if there is none to close.
fn make_room(open: &Connections, which: impl Fn(&Connection) -> bool, force: bool) -> bool {
    let is_closing = open.values().any(|connection| which(connection) && connection.state.is_closing());
    let has_evicted = (force || !is_closing) && evict_slowest(open, which);
    is_closing || has_evicted
}

/// Closes the one that has stalled for longest, of the client with most connections; false if none stalls.
fn evict_slowest(open: &Connections, which: impl Fn(&Connection) -> bool) -> bool {
    let (now, mut counts) = (Instant::now(), HashMap::new());
    for client in open.values().filter_map(|connection| connection.client) {
        *counts.entry(Some(client)).or_insert(0) += 1;
    }
    let meant = open.values().filter(|connection| which(connection));
    let stalled = meant.filter_map(|connection| Some((connection.state.stalled_for(now)?, connection)));
    let slowest = stalled.max_by_key(|(time, connection)| (counts.get(&connection.client), *time));
    slowest.inspect(|(_, connection)| connection.state.request_close()).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::connection::{GRACE, Step, TimeoutStream};

    /// A connection that has just begun.
    async fn connection() -> ConnectionState {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let stream = tokio::net::TcpStream::connect(listener.local_addr().expect("bound")).await;
        TimeoutStream::new(stream.expect("connected")).1
    }

    #[tokio::test]
    async fn the_slowest_is_closed_and_none_that_is_answered_or_has_just_begun() {
        let settings =
            config::Server { connections: 3, connections_per_client: 3, ..config::Server::default() };
        let limiter = ConnectionLimiter::new(&settings);
        let (mut held, mut connections) = (Vec::new(), Vec::new());
        for _ in 0..3 {
            let connection = connection().await;
            held.push(limiter.admit(None, &connection).await.expect("free"));
            connections.push(connection);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let new = connection().await;
        let closing = || {
            assert!(matches!(limiter.try_admit(None, &new, false), Admission::Wait));
            connections.iter().map(ConnectionState::is_closing).collect::<Vec<_>>()
        };
        assert_eq!(closing(), [false, false, false], "all have just begun");
        tokio::time::sleep(GRACE).await;
        connections[0].enter(Step::Request);
        assert_eq!(
            closing(),
            [false, true, false],
            "the second waits for its client, the first for the endpoint"
        );
        assert_eq!(closing(), [false, true, false], "one closes for a new one");
        connections[1].enter(Step::Request);
        assert_eq!(closing(), [false, false, true], "its request came after all");
        connections[0].enter(Step::Body);
        connections[2].enter(Step::Request);
        tokio::time::sleep(GRACE).await;
        assert_eq!(closing(), [true, false, false], "a body that does not come");
        connections[1].enter(Step::Idle);
        tokio::time::sleep(GRACE).await;
        assert!(limiter.evict_some());
        assert_eq!(closing(), [true, true, false], "an idle one");
        drop(held.remove(0));
        assert!(limiter.admit(None, &new).await.is_some());
    }

    #[tokio::test]
    async fn the_client_with_most_connections_loses_one_however_recently_used() {
        let settings =
            config::Server { connections: 3, connections_per_client: 3, ..config::Server::default() };
        let limiter = ConnectionLimiter::new(&settings);
        let (ann, bob) = (Some(IpAddr::from([192, 0, 2, 1])), Some(IpAddr::from([192, 0, 2, 2])));
        let (mut held, mut connections) = (Vec::new(), Vec::new());
        for client in [ann, bob, bob] {
            let connection = connection().await;
            connection.enter(Step::Request);
            connection.enter(Step::Idle);
            held.push(limiter.admit(client, &connection).await.expect("free"));
            connections.push(connection);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let new = connection().await;
        assert!(matches!(limiter.try_admit(None, &new, false), Admission::Wait));
        assert_eq!(
            connections.iter().map(ConnectionState::is_closing).collect::<Vec<_>>(),
            [false, true, false]
        );
    }

    #[tokio::test]
    async fn a_client_has_a_limit_and_may_replace_what_it_closes() {
        let settings =
            config::Server { connections: 9, connections_per_client: 2, ..config::Server::default() };
        let limiter = ConnectionLimiter::new(&settings);
        let (ann, bob) = (Some(IpAddr::from([192, 0, 2, 1])), Some(IpAddr::from([192, 0, 2, 2])));
        let connection = connection().await;
        let first = limiter.admit(ann, &connection).await.expect("free");
        let second = limiter.admit(ann, &connection).await.expect("free");
        assert!(limiter.admit(ann, &connection).await.is_none());
        let other = limiter.admit(bob, &connection).await.expect("another client's");
        drop(first);
        let third = limiter.admit(ann, &connection).await.expect("free again");
        drop((second, third, other));
        assert!(limiter.open().is_empty());
    }
}
