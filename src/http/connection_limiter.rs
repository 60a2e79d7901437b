//! The places that there are for connections. Whoever keeps the server waiting gives theirs up to somebody who comes, so
//! that slow clients, however many they are and from wherever, keep nobody else out.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::Notify;

use super::connection::ConnectionState;
use crate::config;

/// How soon it is looked again whether somebody has kept the server waiting for longer.
const RECHECK: Duration = Duration::from_millis(50);
/// How many give their places up when the system has no descriptor left.
const EVICTIONS: usize = 8;

/// So many places, and so many for one client.
pub struct ConnectionLimiter {
    max_total: usize,
    max_per_client: usize,
    taken: Mutex<Taken>,
    freed: Notify,
}

#[derive(Default)]
struct Taken {
    next: u64,
    connections: HashMap<u64, Connection>,
    clients: HashMap<IpAddr, usize>,
}

struct Connection {
    client: Option<IpAddr>,
    connection: ConnectionState,
}

/// A connection's place, until it ends.
pub struct Permit {
    number: u64,
    limiter: Arc<ConnectionLimiter>,
}

/// What there is for somebody who comes.
enum Admission {
    Permit(u64),
    /// A place, once somebody leaves.
    Later,
    /// Nothing: the client has enough places.
    Nothing,
}

impl ConnectionLimiter {
    /// As many as the settings say.
    pub fn new(settings: &config::Server) -> Arc<Self> {
        Arc::new(Self {
            max_total: settings.connections,
            max_per_client: settings.connections_per_client,
            taken: Mutex::default(),
            freed: Notify::new(),
        })
    }

    /// A place, as soon as there is one; none if the client has enough. A proxy speaks for many and is no client.
    pub async fn take(
        self: &Arc<Self>,
        client: Option<IpAddr>,
        connection: &ConnectionState,
    ) -> Option<Permit> {
        let mut force = false;
        loop {
            let freed = self.freed.notified();
            match self.taken().offer(client, connection, (self.max_total, self.max_per_client), force) {
                Admission::Permit(number) => return Some(Permit { number, limiter: Arc::clone(self) }),
                Admission::Nothing => return None,
                Admission::Later => {}
            }
            // Whoever was asked to leave has perhaps something to say after all: somebody else is asked.
            force = tokio::time::timeout(RECHECK, freed).await.is_err();
        }
    }

    /// Has a few who keep the server waiting give up their places; answers whether there was anybody.
    pub fn evict_some(&self) -> bool {
        let taken = self.taken();
        (0..EVICTIONS).take_while(|_| taken.evict_slowest(|_| true)).count() > 0
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    fn offer(
        &mut self,
        client: Option<IpAddr>,
        connection: &ConnectionState,
        (max_total, max_per_client): (usize, usize),
        force: bool,
    ) -> Admission {
        let has = client.and_then(|client| self.clients.get(&client)).copied().unwrap_or(0);
        let is_full = self.connections.len() >= max_total;
        if has >= max_per_client {
            let someone_closes = self.someone_closes(|other| other.client == client, force);
            return if someone_closes || (is_full && !self.someone_closes(|_| true, force)) {
                Admission::Later
            } else {
                Admission::Nothing
            };
        }
        if is_full {
            self.someone_closes(|_| true, force);
            return Admission::Later;
        }
        let number = self.next;
        self.next += 1;
        self.connections.insert(number, Connection { client, connection: connection.clone() });
        if let Some(client) = client {
            *self.clients.entry(client).or_default() += 1;
        }
        Admission::Permit(number)
    }

    /// Whether somebody leaves, of those that are meant: whoever was asked to, or, if that is not enough, is asked now.
    fn someone_closes(&self, is_meant: impl Fn(&Connection) -> bool + Copy, force: bool) -> bool {
        let mut meant = self.connections.values().filter(|connection| is_meant(connection));
        let is_closing = meant.any(|connection| connection.connection.is_closing());
        if is_closing && !force {
            return true;
        }
        self.evict_slowest(is_meant) || is_closing
    }

    /// Asks one connection, of those that are meant, to leave; answers whether there is one that keeps the server waiting.
    /// It is one of the client who has most of them, and of these the one that has done so for longest.
    fn evict_slowest(&self, is_meant: impl Fn(&Connection) -> bool) -> bool {
        let meant = self.connections.values().filter(|connection| is_meant(connection));
        let waiting = meant.filter_map(|connection| {
            let has = connection.client.and_then(|client| self.clients.get(&client)).copied();
            Some(((has.unwrap_or(0), connection.connection.stalled_for()?), &connection.connection))
        });
        let slowest = waiting.max_by_key(|(rank, _)| *rank);
        slowest.inspect(|(_, connection)| connection.request_close()).is_some()
    }

    fn free(&mut self, number: u64) {
        let client = self.connections.remove(&number).and_then(|connection| connection.client);
        if let Some(client) = client
            && let Some(has) = self.clients.get_mut(&client)
        {
            *has -= 1;
            if *has == 0 {
                self.clients.remove(&client);
            }
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.limiter.taken().free(self.number);
        self.limiter.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::connection::{Deadlines, PATIENCE, TimeoutStream};

    /// A conversation that has just begun.
    async fn connection() -> ConnectionState {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let stream = tokio::net::TcpStream::connect(listener.local_addr().expect("bound")).await;
        let second = Duration::from_secs(1);
        TimeoutStream::new(
            stream.expect("connected"),
            Deadlines { head: second, idle: second, write: second },
        )
        .1
    }

    #[tokio::test]
    async fn the_slowest_leaves_and_never_one_who_is_being_answered_or_has_just_come() {
        let settings =
            config::Server { connections: 3, connections_per_client: 3, ..config::Server::default() };
        let limiter = ConnectionLimiter::new(&settings);
        let (mut held, mut connections) = (Vec::new(), Vec::new());
        for _ in 0..3 {
            let connection = connection().await;
            held.push(limiter.take(None, &connection).await.expect("free"));
            connections.push(connection);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let newcomer = connection().await;
        let leaving = || {
            assert!(matches!(limiter.taken().offer(None, &newcomer, (3, 3), false), Admission::Later));
            connections.iter().map(ConnectionState::is_closing).collect::<Vec<_>>()
        };
        assert_eq!(leaving(), [false, false, false], "all have just come");
        tokio::time::sleep(PATIENCE).await;
        connections[0].begin_request();
        assert_eq!(leaving(), [false, true, false], "the second waits for its client, the first for us");
        assert_eq!(leaving(), [false, true, false], "one leaves for one who comes");
        connections[1].begin_request();
        assert_eq!(leaving(), [false, false, true], "it had something to read after all");
        connections[0].begin_body();
        connections[2].begin_request();
        tokio::time::sleep(PATIENCE).await;
        assert_eq!(leaving(), [true, false, false], "a body that does not come");
        connections[1].end_request();
        tokio::time::sleep(PATIENCE).await;
        assert!(limiter.evict_some());
        assert_eq!(leaving(), [true, true, false], "an idle one");
        drop(held.remove(0));
        assert!(limiter.take(None, &newcomer).await.is_some());
    }

    #[tokio::test]
    async fn one_of_the_client_with_the_most_leaves_however_lately_it_was_answered() {
        let settings =
            config::Server { connections: 3, connections_per_client: 3, ..config::Server::default() };
        let limiter = ConnectionLimiter::new(&settings);
        let (ann, bob) = (Some(IpAddr::from([192, 0, 2, 1])), Some(IpAddr::from([192, 0, 2, 2])));
        let (mut held, mut connections) = (Vec::new(), Vec::new());
        for client in [ann, bob, bob] {
            let connection = connection().await;
            connection.begin_request();
            connection.end_request();
            held.push(limiter.take(client, &connection).await.expect("free"));
            connections.push(connection);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let newcomer = connection().await;
        assert!(matches!(limiter.taken().offer(None, &newcomer, (3, 3), false), Admission::Later));
        assert_eq!(
            connections.iter().map(ConnectionState::is_closing).collect::<Vec<_>>(),
            [false, true, false]
        );
    }

    #[tokio::test]
    async fn a_client_has_so_many_places_and_gets_those_back_that_it_leaves() {
        let settings =
            config::Server { connections: 9, connections_per_client: 2, ..config::Server::default() };
        let limiter = ConnectionLimiter::new(&settings);
        let (ann, bob) = (Some(IpAddr::from([192, 0, 2, 1])), Some(IpAddr::from([192, 0, 2, 2])));
        let connection = connection().await;
        let first = limiter.take(ann, &connection).await.expect("free");
        let second = limiter.take(ann, &connection).await.expect("free");
        assert!(limiter.take(ann, &connection).await.is_none());
        let other = limiter.take(bob, &connection).await.expect("another client's");
        drop(first);
        let third = limiter.take(ann, &connection).await.expect("free again");
        drop((second, third, other));
        let taken = limiter.taken();
        assert!(taken.connections.is_empty() && taken.clients.is_empty());
    }
}
