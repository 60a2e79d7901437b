//! The places that there are for connections. Whoever keeps the server waiting gives theirs up to somebody who comes, so
//! that slow clients, however many they are and from wherever, keep nobody else out.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::Notify;

use super::pace::Talk;
use crate::config;

/// How soon it is looked again whether somebody has kept the server waiting for longer.
const LOOK: Duration = Duration::from_millis(50);
/// How many give their places up when the system has no descriptor left.
const SEVERAL: usize = 8;

/// So many places, and so many for one client.
pub struct Places {
    most: usize,
    each: usize,
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
    talk: Talk,
}

/// A connection's place, until it ends.
pub struct Place {
    number: u64,
    places: Arc<Places>,
}

/// What there is for somebody who comes.
enum Offer {
    Place(u64),
    /// A place, once somebody leaves.
    Later,
    /// Nothing: the client has enough places.
    Nothing,
}

impl Places {
    /// As many as the settings say.
    pub fn new(settings: &config::Server) -> Arc<Self> {
        Arc::new(Self {
            most: settings.connections,
            each: settings.connections_per_client,
            taken: Mutex::default(),
            freed: Notify::new(),
        })
    }

    /// A place, as soon as there is one; none if the client has enough. A proxy speaks for many and is no client.
    pub async fn take(self: &Arc<Self>, client: Option<IpAddr>, talk: &Talk) -> Option<Place> {
        let mut insists = false;
        loop {
            let freed = self.freed.notified();
            match self.taken().offer(client, talk, (self.most, self.each), insists) {
                Offer::Place(number) => return Some(Place { number, places: Arc::clone(self) }),
                Offer::Nothing => return None,
                Offer::Later => {}
            }
            // Whoever was asked to leave has perhaps something to say after all: somebody else is asked.
            insists = tokio::time::timeout(LOOK, freed).await.is_err();
        }
    }

    /// Has a few who keep the server waiting give up their places; answers whether there was anybody.
    pub fn make_room(&self) -> bool {
        let taken = self.taken();
        (0..SEVERAL).take_while(|_| taken.ask_slowest(|_| true)).count() > 0
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    fn offer(
        &mut self,
        client: Option<IpAddr>,
        talk: &Talk,
        (most, each): (usize, usize),
        insists: bool,
    ) -> Offer {
        let has = client.and_then(|client| self.clients.get(&client)).copied().unwrap_or(0);
        let is_full = self.connections.len() >= most;
        if has >= each {
            let somebody_leaves = self.somebody_leaves(|other| other.client == client, insists);
            return if somebody_leaves || (is_full && !self.somebody_leaves(|_| true, insists)) {
                Offer::Later
            } else {
                Offer::Nothing
            };
        }
        if is_full {
            self.somebody_leaves(|_| true, insists);
            return Offer::Later;
        }
        let number = self.next;
        self.next += 1;
        self.connections.insert(number, Connection { client, talk: talk.clone() });
        if let Some(client) = client {
            *self.clients.entry(client).or_default() += 1;
        }
        Offer::Place(number)
    }

    /// Whether somebody leaves, of those that are meant: whoever was asked to, or, if that is not enough, is asked now.
    fn somebody_leaves(&self, is_meant: impl Fn(&Connection) -> bool + Copy, insists: bool) -> bool {
        let mut meant = self.connections.values().filter(|connection| is_meant(connection));
        let is_leaving = meant.any(|connection| connection.talk.is_leaving());
        if is_leaving && !insists {
            return true;
        }
        self.ask_slowest(is_meant) || is_leaving
    }

    /// Asks one connection, of those that are meant, to leave; answers whether there is one that keeps the server waiting.
    /// It is one of the client who has most of them, and of these the one that has done so for longest.
    fn ask_slowest(&self, is_meant: impl Fn(&Connection) -> bool) -> bool {
        let meant = self.connections.values().filter(|connection| is_meant(connection));
        let waiting = meant.filter_map(|connection| {
            let has = connection.client.and_then(|client| self.clients.get(&client)).copied();
            Some(((has.unwrap_or(0), connection.talk.keeps_waiting()?), &connection.talk))
        });
        let slowest = waiting.max_by_key(|(rank, _)| *rank);
        slowest.inspect(|(_, talk)| talk.leave()).is_some()
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

impl Drop for Place {
    fn drop(&mut self) {
        self.places.taken().free(self.number);
        self.places.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::pace::{Deadlines, PATIENCE, Paced};

    /// A conversation that has just begun.
    async fn talk() -> Talk {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let stream = tokio::net::TcpStream::connect(listener.local_addr().expect("bound")).await;
        let second = Duration::from_secs(1);
        Paced::new(stream.expect("connected"), Deadlines { head: second, idle: second, write: second }).1
    }

    #[tokio::test]
    async fn the_slowest_leaves_and_never_one_who_is_being_answered_or_has_just_come() {
        let settings =
            config::Server { connections: 3, connections_per_client: 3, ..config::Server::default() };
        let places = Places::new(&settings);
        let (mut held, mut talks) = (Vec::new(), Vec::new());
        for _ in 0..3 {
            let talk = talk().await;
            held.push(places.take(None, &talk).await.expect("free"));
            talks.push(talk);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let newcomer = talk().await;
        let leaving = || {
            assert!(matches!(places.taken().offer(None, &newcomer, (3, 3), false), Offer::Later));
            talks.iter().map(Talk::is_leaving).collect::<Vec<_>>()
        };
        assert_eq!(leaving(), [false, false, false], "all have just come");
        tokio::time::sleep(PATIENCE).await;
        talks[0].begin_request();
        assert_eq!(leaving(), [false, true, false], "the second waits for its client, the first for us");
        assert_eq!(leaving(), [false, true, false], "one leaves for one who comes");
        talks[1].begin_request();
        assert_eq!(leaving(), [false, false, true], "it had something to read after all");
        talks[0].begin_body();
        talks[2].begin_request();
        tokio::time::sleep(PATIENCE).await;
        assert_eq!(leaving(), [true, false, false], "a body that does not come");
        talks[1].end_request();
        tokio::time::sleep(PATIENCE).await;
        assert!(places.make_room());
        assert_eq!(leaving(), [true, true, false], "an idle one");
        drop(held.remove(0));
        assert!(places.take(None, &newcomer).await.is_some());
    }

    #[tokio::test]
    async fn one_of_the_client_with_the_most_leaves_however_lately_it_was_answered() {
        let settings =
            config::Server { connections: 3, connections_per_client: 3, ..config::Server::default() };
        let places = Places::new(&settings);
        let (ann, bob) = (Some(IpAddr::from([192, 0, 2, 1])), Some(IpAddr::from([192, 0, 2, 2])));
        let (mut held, mut talks) = (Vec::new(), Vec::new());
        for client in [ann, bob, bob] {
            let talk = talk().await;
            talk.begin_request();
            talk.end_request();
            held.push(places.take(client, &talk).await.expect("free"));
            talks.push(talk);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let newcomer = talk().await;
        assert!(matches!(places.taken().offer(None, &newcomer, (3, 3), false), Offer::Later));
        assert_eq!(talks.iter().map(Talk::is_leaving).collect::<Vec<_>>(), [false, true, false]);
    }

    #[tokio::test]
    async fn a_client_has_so_many_places_and_gets_those_back_that_it_leaves() {
        let settings =
            config::Server { connections: 9, connections_per_client: 2, ..config::Server::default() };
        let places = Places::new(&settings);
        let (ann, bob) = (Some(IpAddr::from([192, 0, 2, 1])), Some(IpAddr::from([192, 0, 2, 2])));
        let talk = talk().await;
        let first = places.take(ann, &talk).await.expect("free");
        let second = places.take(ann, &talk).await.expect("free");
        assert!(places.take(ann, &talk).await.is_none());
        let other = places.take(bob, &talk).await.expect("another client's");
        drop(first);
        let third = places.take(ann, &talk).await.expect("free again");
        drop((second, third, other));
        let taken = places.taken();
        assert!(taken.connections.is_empty() && taken.clients.is_empty());
    }
}
