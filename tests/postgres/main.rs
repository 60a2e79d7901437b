//! PostgreSQL that fails: connections that break at every point of a transaction, servers that stop, freeze, fill up or
//! change their role, several processes on one database, and starts that must be refused. Each test runs the real binary
//! on clusters of its own.
//!
//! ```sh
//! cargo test --test postgres -- --ignored --test-threads 4
//! RACE_ROUNDS=1000 cargo test --test postgres -- --ignored --test-threads 2
//! ```
//!
//! `RACE_ROUNDS` is how often each race between two processes is run, and each failover. `TESTED_PGBOUNCER` names another
//! PgBouncer than that of Debian.

#![expect(clippy::unwrap_used, reason = "a test that is surprised has failed")]

mod cluster;
mod connections;
#[expect(dead_code, reason = "these tests need less of it")]
#[path = "../faults/disk.rs"]
mod disk;
mod failover;
mod load;
mod outages;
mod pgbouncer;
mod processes;
mod proxy;
mod races;
#[expect(dead_code, reason = "these tests need less of it")]
#[path = "../it/shop.rs"]
mod shop;
mod shortages;
#[expect(dead_code, reason = "these tests need less of it")]
#[path = "../it/smtp_server.rs"]
mod smtp_server;
#[expect(dead_code, reason = "these tests need less of it")]
#[path = "../it/sql/mod.rs"]
mod sql;
mod start;
mod tls;

use std::{
    fmt::Display,
    hash::{BuildHasher, RandomState},
    sync::atomic::{AtomicBool, Ordering},
};

use serde_json::{Value, json};

use self::{
    cluster::{Cluster, Database},
    shop::{PASSWORD, Reply, Server, Shop, wait_for},
};

/// The installation secret: 32 bytes in hex.
const SECRET: &str = "a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebf";

/// How often a race is run: so often, unless the environment says otherwise.
fn rounds(short: usize) -> usize {
    #[expect(clippy::disallowed_methods, reason = "the one setting of these tests")]
    let asked = std::env::var("RACE_ROUNDS");
    asked.map_or(short, |rounds| rounds.parse().unwrap())
}

/// A number below `end`, another one each time.
fn random(end: usize) -> usize {
    usize::try_from(RandomState::new().hash_one(()) >> 1).unwrap() % end
}

/// Tells what was reached, or why nothing was tried.
#[expect(clippy::print_stderr, reason = "figures are for the person who runs the tests")]
fn say(what: impl Display) {
    eprintln!("{what}");
}

/// A new database, and a folder for servers on it.
fn new_shop() -> (Database<'static>, Shop) {
    let database = Cluster::shared().database();
    (database, shop_at(&database.url()))
}

/// A folder for servers on a database, without limits on guessing, which one machine would soon reach.
fn shop_at(url: &str) -> Shop {
    Shop::new()
        .with("DATABASE__URL", url)
        .with("DATABASE__TLS", "off")
        .with("DATABASE__CONNECTIONS", "8")
        .with("AUTH__SECRET", SECRET)
        .with("AUTH__REUSE_GRACE", "1m")
        .with("RATE_LIMIT__ENABLED", "false")
}

/// Tells clients in other threads that it is over, also if a test fails.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// A user who is logged in.
struct Visitor {
    email: String,
    id: String,
    access: String,
    refresh: String,
}

impl Visitor {
    /// Signs up and logs in.
    fn arrive(server: &Server, email: &str) -> Self {
        let id = text(&settled(|| server.sign_up(email)).is(201).json(), "id");
        let tokens = settled(|| server.log_in(email)).is(200).json();
        Self {
            email: email.to_owned(),
            id,
            access: text(&tokens, "access_token"),
            refresh: text(&tokens, "refresh_token"),
        }
    }

    fn send(&self, server: &Server, method: &str, path: &str, body: Option<&Value>) -> Reply {
        server.ask(method, path, &self.authorization(), body).unwrap()
    }

    fn authorization(&self) -> String {
        format!("Authorization: Bearer {}\r\n", self.access)
    }

    fn rename(&self, server: &Server, name: &str) -> Reply {
        self.send(server, "PATCH", "/me", Some(&json!({ "first_name": name })))
    }

    fn renew(&self, server: &Server) -> Reply {
        server.post("/auth/refresh", &json!({ "refresh_token": self.refresh }))
    }

    fn log_out(&self, server: &Server) -> Reply {
        server.post("/auth/logout", &json!({ "refresh_token": self.refresh }))
    }

    fn delete(&self, server: &Server) -> Reply {
        self.send(server, "DELETE", "/me", Some(&json!({ "current_password": PASSWORD })))
    }
}

/// The access token of a new login.
fn token(server: &Server, email: &str) -> String {
    text(&settled(|| server.log_in(email)).is(200).json(), "access_token")
}

fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_else(|| panic!("no {name}: {value}")).to_owned()
}

/// The first answer that is no refusal to be tried again: on a busy machine even without a fault a call may not be done in time.
fn settled(mut ask: impl FnMut() -> Reply) -> Reply {
    wait_for("an answer", || {
        let reply = ask();
        let is_put_off = reply.status == 503 && reply.json()["code"] == "unavailable";
        (!is_put_off).then_some(reply)
    })
}

/// Whether an answer says with this code that it was not done, or perhaps not, and when to come again.
#[track_caller]
fn is_put_off(reply: &Reply, status: u16, code: &str) {
    assert_eq!(reply.status, status, "{reply:?}");
    assert!(reply.head.contains("\r\nretry-after: "), "{reply:?}");
    assert!(reply.head.contains("application/problem+json"), "{reply:?}");
    assert_eq!(reply.json()["code"], code, "{reply:?}");
}

/// Whether a log tells of a panic or a defect.
#[track_caller]
fn is_calm(log: &str) {
    for word in ["panicked", "internal error", "RUST_BACKTRACE"] {
        assert!(!log.contains(word), "{word}: {log}");
    }
}

/// Whether nothing that is stored is half done.
#[track_caller]
fn is_sound(database: Database<'_>) {
    for (what, query) in [
        (
            "users without an event of their creation",
            "SELECT count(*) FROM users u WHERE NOT EXISTS (SELECT 1 FROM audit_events WHERE user_id = u.id \
             AND action IN ('user.signed_up', 'user.created', 'user.invited'))",
        ),
        (
            "users whose creation has more than one event",
            "SELECT count(*) FROM (SELECT user_id FROM audit_events WHERE action = 'user.signed_up' \
             GROUP BY user_id HAVING count(*) > 1) AS twice",
        ),
        (
            "users without an event of their verification",
            "SELECT count(*) FROM users u WHERE status = 'verified' AND role = 'user' AND NOT EXISTS \
             (SELECT 1 FROM audit_events WHERE user_id = u.id AND action = 'user.verified')",
        ),
        (
            "unverified users without a code",
            "SELECT count(*) FROM users u WHERE status = 'unverified' AND NOT EXISTS \
             (SELECT 1 FROM codes WHERE user_id = u.id)",
        ),
        (
            "deleted users who are there",
            "SELECT count(*) FROM users u WHERE EXISTS (SELECT 1 FROM audit_events WHERE user_id = u.id \
             AND action IN ('user.deleted', 'user.expired'))",
        ),
        (
            "users who are gone without an event, or with more than one",
            "SELECT count(*) FROM audit_events e WHERE action = 'user.signed_up' \
             AND NOT EXISTS (SELECT 1 FROM users WHERE id = e.user_id) AND 1 <> (SELECT count(*) FROM audit_events \
             WHERE user_id = e.user_id AND action IN ('user.deleted', 'user.expired'))",
        ),
        (
            "sessions without an event of their start",
            "SELECT count(*) FROM (SELECT user_id, count(*) AS open FROM sessions GROUP BY user_id) AS s \
             WHERE open > (SELECT count(*) FROM audit_events WHERE user_id = s.user_id AND action = 'session.started')",
        ),
    ] {
        assert_eq!(database.number(query), 0, "{what}");
    }
}
