//! Clients on a bad network, who retry until they get an answer.

use std::{
    fmt,
    io::{self, Write},
    net::TcpStream,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use rusqlite::OptionalExtension;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::{
    connection,
    crowd::{ask, code_of},
    is_calm, is_sound,
    line::{Line, Way},
    number, rounds, say, shop,
    shop::{PASSWORD, Reply, Server, wait_for},
};

const CLIENTS: usize = 16;
const DELAY: Duration = Duration::from_millis(200);
/// After so long without a word a client asks again.
const TIMEOUT: Duration = Duration::from_secs(2);
/// So many bad connections in a row do not happen.
const TRIES: usize = 50;

#[test]
#[ignore = "needs root and a disk to break: .ci/run has one"]
fn on_a_bad_network_retries_succeed_and_nothing_is_done_twice() {
    let shop = shop();
    let server = shop.serve();
    let line = Line::to(server.address, DELAY);
    let (rounds, tally) = (rounds(1), Tally::default());
    let mut guests = Vec::new();
    thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let (line, server, tally) = (&line, &server, &tally);
                scope.spawn(move || {
                    let visit = |round| {
                        let email = format!("u{client}-{round}@example.com");
                        Visitor::new(line, server, email).visit(client + round, tally)
                    };
                    (0..rounds).map(visit).collect::<Vec<_>>()
                })
            })
            .collect();
        guests.extend(clients.into_iter().flat_map(|client| client.join().unwrap()));
    });
    let sql = connection(&shop);
    let printed = server.printed();
    for guest in &guests {
        let query = "SELECT status, first_name FROM users WHERE email = ?1";
        let found: Option<(String, Option<String>)> =
            sql.query_row(query, [&guest.email], |row| Ok((row.get(0)?, row.get(1)?))).optional().unwrap();
        let wanted = (!guest.is_gone).then(|| ("verified".to_owned(), Some(guest.email.clone())));
        assert_eq!(found, wanted, "{}", guest.email);
        let message = format!("--- message to {} ---\nSubject: Confirm", guest.email);
        assert_eq!(printed.matches(&message).count(), 1, "{}", guest.email);
        let body = json!({ "refresh_token": guest.refresh });
        let reply = ask(server.address, "POST", "/auth/refresh", "", Some(&body)).unwrap();
        assert_eq!(reply.status, if guest.is_open { 200 } else { 401 }, "{}", guest.email);
    }
    let signed_up = number(&sql, "SELECT count(*) FROM audit_events WHERE action = 'user.signed_up'");
    assert_eq!(usize::try_from(signed_up).unwrap(), guests.len());
    say(format_args!("{} guests, {line}: {tally}", guests.len()));
    is_sound(&sql);
    is_calm(&server.stop(Signal::TERM).is(0).err);
}

/// What was heard by those who asked again.
#[derive(Default)]
struct Tally {
    requests: AtomicUsize,
    again: AtomicUsize,
    taken: AtomicUsize,
    used: AtomicUsize,
    gone: AtomicUsize,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |count: &AtomicUsize| count.load(Ordering::SeqCst);
        write!(
            f,
            "{} requests, {} sent again; of these {} sign-ups were told that the address is taken, {} codes that they are \
             used, {} who leave that they have left",
            count(&self.requests),
            count(&self.again),
            count(&self.taken),
            count(&self.used),
            count(&self.gone)
        )
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{DELAY:?} each way, {} requests lost and {} reset, {} answers lost, {} reset and {} cut",
            self.times(Way::LosesRequest),
            self.times(Way::ResetsRequest),
            self.times(Way::LosesAnswer),
            self.times(Way::ResetsAnswer),
            self.times(Way::CutsAnswer)
        )
    }
}

/// A client at the other end of the line, and the answers it got.
struct Visitor<'a> {
    line: &'a Line,
    server: &'a Server,
    email: String,
    access: String,
    refresh: String,
    is_open: bool,
    is_gone: bool,
}

impl<'a> Visitor<'a> {
    fn new(line: &'a Line, server: &'a Server, email: String) -> Self {
        let (access, refresh) = (String::new(), String::new());
        Self { line, server, email, access, refresh, is_open: false, is_gone: false }
    }

    /// Signs up, verifies, logs in, goes on for a while, and leaves in one of three ways.
    fn visit(mut self, number: usize, tally: &Tally) -> Self {
        let login = json!({ "email": self.email, "password": PASSWORD });
        let (reply, was_lost) = self.persist(tally, "POST", "/auth/signup", Some(&login));
        if was_lost && reply.status == 409 {
            assert_eq!(reply.json()["code"], "email_taken");
            tally.taken.fetch_add(1, Ordering::SeqCst);
        } else {
            reply.is(201);
        }
        let code = wait_for("a code", || code_of(self.server, &self.email));
        let code = json!({ "email": self.email, "code": code });
        let (reply, was_lost) = self.persist(tally, "POST", "/auth/verify", Some(&code));
        if was_lost && reply.status == 400 {
            tally.used.fetch_add(1, Ordering::SeqCst);
        } else {
            reply.is(200);
        }
        let (reply, _) = self.persist(tally, "POST", "/auth/login", Some(&login));
        self.take_tokens(&reply.is(200));
        for _ in 0..3 {
            let body = json!({ "refresh_token": self.refresh });
            let (reply, _) = self.persist(tally, "POST", "/auth/refresh", Some(&body));
            self.take_tokens(&reply.is(200));
        }
        let name = json!({ "first_name": self.email });
        self.persist(tally, "PATCH", "/me", Some(&name)).0.is(200);
        let me = self.persist(tally, "GET", "/me", None).0.is(200).json();
        assert_eq!((&me["status"], &me["first_name"]), (&json!("verified"), &json!(self.email)));
        match number % 3 {
            0 => {
                let body = json!({ "refresh_token": self.refresh });
                self.persist(tally, "POST", "/auth/logout", Some(&body)).0.is(204);
                self.is_open = false;
            }
            1 => {
                let body = json!({ "current_password": PASSWORD });
                let (reply, was_lost) = self.persist(tally, "DELETE", "/me", Some(&body));
                if was_lost && reply.status == 401 {
                    tally.gone.fetch_add(1, Ordering::SeqCst);
                } else {
                    reply.is(204);
                }
                (self.is_open, self.is_gone) = (false, true);
            }
            _ => {}
        }
        self
    }

    fn take_tokens(&mut self, reply: &Reply) {
        let tokens = reply.json();
        let token = |name: &str| tokens[name].as_str().unwrap().to_owned();
        (self.access, self.refresh, self.is_open) = (token("access_token"), token("refresh_token"), true);
    }

    /// Asks until there is an answer; also tells whether one may have been lost.
    fn persist(&self, tally: &Tally, method: &str, path: &str, body: Option<&Value>) -> (Reply, bool) {
        for tried in 0..TRIES {
            tally.requests.fetch_add(1, Ordering::SeqCst);
            if let Ok(reply) = self.ask(method, path, body) {
                assert!(reply.status < 500, "{method} {path}: {reply:?}");
                return (reply, tried > 0);
            }
            tally.again.fetch_add(1, Ordering::SeqCst);
        }
        panic!("{method} {path}: no answer")
    }

    fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> io::Result<Reply> {
        let body = body.map(Value::to_string).unwrap_or_default();
        let mut stream = TcpStream::connect(self.line.address)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: shop\r\nConnection: close\r\nContent-Type: application/json\r\n\
             Authorization: Bearer {}\r\nContent-Length: {}\r\n\r\n{body}",
            self.access,
            body.len()
        );
        stream.write_all(request.as_bytes())?;
        Reply::read(stream)
    }
}
