//! All connections of a busy server are killed, again and again: what was acknowledged is there, what was refused is not, and
//! no answer is a 500.

use std::{
    collections::HashSet,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::{
    Ends, Visitor,
    cluster::Database,
    is_calm, is_sound, new_shop, random, rounds, say, settled,
    shop::{Reply, Server, wait_for},
};

const CLIENTS: usize = 12;

/// One client, and what may be true of the store after its answers: one thing, once that was acknowledged.
struct Client {
    user: Visitor,
    /// The first names that the user may have.
    names: Vec<String>,
    /// Addresses that were signed up, those that were refused, and those that may be either.
    there: Vec<String>,
    absent: Vec<String>,
    unknown: usize,
    /// Refresh tokens of sessions that were ended.
    ended: Vec<String>,
}

/// What an answer says about a write.
pub enum Outcome {
    Done,
    NotDone,
    Unknown,
}

#[track_caller]
pub fn outcome(reply: &Reply) -> Outcome {
    if (200..300).contains(&reply.status) {
        return Outcome::Done;
    }
    assert_eq!(reply.status, 503, "{reply:?}");
    assert!(reply.head.contains("\r\nretry-after: "), "{reply:?}");
    match reply.json()["code"].as_str() {
        Some("unavailable") => Outcome::NotDone,
        Some("outcome_unknown") => Outcome::Unknown,
        _ => panic!("{reply:?}"),
    }
}

impl Client {
    fn arrive(server: &Server, number: usize) -> Self {
        Self {
            user: Visitor::arrive(server, &format!("client-{number}@example.com")),
            names: vec![String::new()],
            there: Vec::new(),
            absent: Vec::new(),
            unknown: 0,
            ended: Vec::new(),
        }
    }

    fn do_something(&mut self, server: &Server, number: usize) -> Outcome {
        let reply = match random(10) {
            0..6 => self.rename(server, format!("n{number}")),
            6..8 => self.sign_up(server, format!("{number}-{}", self.user.email)),
            8 => self.end_session(server),
            _ => server.get_as(&self.user.access, "/me"),
        };
        let outcome = outcome(&reply);
        if let Outcome::Unknown = outcome {
            self.unknown += 1;
        }
        outcome
    }

    fn rename(&mut self, server: &Server, name: String) -> Reply {
        let reply = self.user.rename(server, &name);
        match outcome(&reply) {
            Outcome::Done => self.names = vec![name],
            Outcome::NotDone => {}
            Outcome::Unknown => self.names.push(name),
        }
        reply
    }

    fn sign_up(&mut self, server: &Server, email: String) -> Reply {
        let reply = server.sign_up(&email);
        match outcome(&reply) {
            Outcome::Done => self.there.push(email),
            Outcome::NotDone => self.absent.push(email),
            Outcome::Unknown => {}
        }
        reply
    }

    /// Logs in once more, and out again.
    fn end_session(&mut self, server: &Server) -> Reply {
        let login = server.log_in(&self.user.email);
        let Outcome::Done = outcome(&login) else { return login };
        let refresh = login.json()["refresh_token"].as_str().unwrap().to_owned();
        let reply = server.post("/auth/logout", &json!({ "refresh_token": refresh }));
        if let Outcome::Done = outcome(&reply) {
            self.ended.push(refresh);
        }
        reply
    }

    /// Compares the store with the answers.
    fn check(&self, server: &Server, database: Database<'_>, stored: &HashSet<String>) {
        let query = format!("SELECT coalesce(first_name, '') FROM users WHERE id = '{}'", self.user.id);
        let name = database.sql(&query);
        assert!(self.names.contains(&name), "{name} of {:?}", self.names);
        for email in &self.there {
            assert!(stored.contains(email), "{email} was acknowledged, and is lost");
        }
        for email in &self.absent {
            assert!(!stored.contains(email), "{email} was refused, and is there");
        }
        for token in &self.ended {
            let reply = settled(|| server.post("/auth/refresh", &json!({ "refresh_token": token })));
            assert_eq!(reply.status, 401, "a session that was ended is open");
        }
    }
}

#[test]
#[ignore = "needs PostgreSQL: .ci/run has one"]
fn nothing_acknowledged_is_lost_when_all_connections_are_killed() {
    let (database, shop) = new_shop();
    let server = shop.serve();
    let mut clients: Vec<_> = (0..CLIENTS).map(|number| Client::arrive(&server, number)).collect();
    let (is_over, acknowledged) = (AtomicBool::new(false), AtomicUsize::new(0));
    let (mut killed, mut slowest) = (0, Duration::ZERO);
    thread::scope(|scope| {
        for client in &mut clients {
            let (is_over, acknowledged, server) = (&is_over, &acknowledged, &server);
            scope.spawn(move || {
                for number in 0.. {
                    if is_over.load(Ordering::SeqCst) {
                        break;
                    }
                    if let Outcome::Done = client.do_something(server, number) {
                        acknowledged.fetch_add(1, Ordering::SeqCst);
                    }
                }
            });
        }
        let _ends = Ends(&is_over);
        for _ in 0..rounds(12) {
            let before = acknowledged.load(Ordering::SeqCst);
            let more = || acknowledged.load(Ordering::SeqCst) - before;
            wait_for("answers", || (more() >= CLIENTS).then_some(()));
            thread::sleep(Duration::from_millis(random(100) as u64)); // anywhere between two answers
            killed += database.terminate();
            let start = Instant::now();
            wait_for("the next write", || {
                (server.sign_up(&format!("probe-{}@example.com", random(1 << 40))).status == 201)
                    .then_some(())
            });
            slowest = slowest.max(start.elapsed());
        }
    });
    let stored = database.sql("SELECT email FROM users").lines().map(str::to_owned).collect();
    for client in &clients {
        client.check(&server, database, &stored);
    }
    is_sound(database);
    is_calm(&server.logged());
    let total = |of: fn(&Client) -> usize| clients.iter().map(of).sum::<usize>();
    let (acknowledged, unknown) = (acknowledged.into_inner(), total(|client| client.unknown));
    let refused = total(|client| client.absent.len());
    assert!(killed > 0);
    say(format_args!(
        "{killed} connections killed, {acknowledged} acknowledged, 0 lost, {refused} sign-ups refused, {unknown} unknown; \
         the next write after {slowest:?} at most"
    ));
}
