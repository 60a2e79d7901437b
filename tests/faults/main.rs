//! Faults: power cuts, kills, disks that fail, fill up or may not be written to, damaged files, busy files, wrong clocks,
//! bad networks, too many clients and too long a time, each done to the real binary. Nothing that was acknowledged may be
//! lost, nothing half done be kept, nothing answer 500, and the server must be well again without a restart when the fault
//! ends.
//!
//! The short form takes about four minutes. The long form, with 500 rounds of everything, takes hours:
//!
//! ```sh
//! cargo test --test faults -- --ignored --test-threads 2
//! FAULT_ROUNDS=500 cargo test --release --test faults -- --ignored --test-threads 2
//! ```
//!
//! `FAULT_ROUNDS` is how many cuts, kills, requests and trials each test makes; from 40 on, the sweep over system calls
//! fails each of the first forty calls of each kind, and from 60 on the overload lasts a minute. `SOAK_MINUTES` is how long
//! the server is kept busy to see what grows. Only who asks for rounds has figures such as times held against their goals.
//! `TESTED_BINARY` names another binary than the one built with the tests, such as
//! a release to be measured.

#![expect(clippy::unwrap_used, reason = "a test that is surprised has failed")]

mod busy;
mod clock;
mod crowd;
mod damage;
mod disk;
mod flood;
mod full;
mod line;
mod load;
mod network;
mod overload;
mod power;
mod process;
mod scheduler;
mod several;
#[expect(dead_code, reason = "these tests need less of it")]
#[path = "../it/shop.rs"]
mod shop;
#[expect(dead_code, reason = "these tests need less of it")]
#[path = "../it/sql/mod.rs"]
mod sql;
mod soak;
mod stop;
mod strace;
mod syscalls;

use std::{
    fmt::Display,
    hash::{BuildHasher, RandomState},
    process::Command,
    time::Duration,
};

use rusqlite::Connection;

use self::shop::Shop;

/// How many rounds a test makes: so many, unless the environment says otherwise.
fn rounds(short: usize) -> usize {
    asked_rounds().unwrap_or(short)
}

fn asked_rounds() -> Option<usize> {
    #[expect(clippy::disallowed_methods, reason = "the one setting of these tests")]
    let asked = std::env::var("FAULT_ROUNDS").ok()?;
    Some(asked.parse().unwrap())
}

/// Holds a figure that depends on the machine, such as a time, against its goal: only if rounds were asked for, and so
/// keeps the machine free for them. Where every change is checked other work may go on, and the short form only tells.
#[track_caller]
fn reaches(goal: bool, figure: impl Display) {
    if asked_rounds().is_some() {
        assert!(goal, "beyond its goal: {figure}");
    } else if !goal {
        say(format_args!("beyond its goal, if nothing else was done here: {figure}"));
    }
}

/// Tells what was reached, or why nothing was tried.
#[expect(clippy::print_stderr, reason = "figures are for the person who runs the tests")]
fn say(what: impl Display) {
    eprintln!("{what}");
}

/// Whether this machine has what a test needs; says what is missing.
fn has(programs: &[&str]) -> bool {
    if !rustix::process::geteuid().is_root() {
        say("skipped: not root");
        return false;
    }
    let missing = programs.iter().find(|program| {
        let found = Command::new("sh").args(["-c", &format!("command -v {program}")]).output();
        !found.is_ok_and(|found| found.status.success())
    });
    if let Some(missing) = missing {
        say(format_args!("skipped: there is no {missing}"));
    }
    missing.is_none()
}

/// The file of the store, past all the rules.
fn connection(shop: &Shop) -> Connection {
    let connection = Connection::open(shop.database()).unwrap();
    connection.busy_timeout(Duration::from_secs(90)).unwrap();
    connection
}

/// A number below `end`, another one each time.
fn random(end: usize) -> usize {
    usize::try_from(RandomState::new().hash_one(()) >> 1).unwrap() % end
}

/// A count, to be divided.
#[expect(clippy::cast_precision_loss, reason = "counts of what fits into a test")]
fn float(count: u64) -> f64 {
    count as f64
}

/// An empty folder for a server without limits on guessing, which one machine would soon reach.
fn shop() -> Shop {
    Shop::new().with("RATE_LIMIT__ENABLED", "false").with("AUTH__REUSE_GRACE", "1m")
}

/// A number from the store.
fn number(sql: &Connection, query: &str) -> i64 {
    sql.query_row(query, [], |row| row.get(0)).unwrap()
}

/// Whether the file is well, and nothing in it is half done.
#[track_caller]
fn is_sound(sql: &Connection) {
    let integrity: String = sql.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(integrity, "ok");
    // A plus keeps SQLite from looking through all that was ever done: what was done to one user is little.
    for (what, query) in [
        ("rows without what they refer to", "SELECT count(*) FROM pragma_foreign_key_check"),
        (
            "users without an event of their creation",
            "SELECT count(*) FROM users u WHERE NOT EXISTS (SELECT 1 FROM audit_events WHERE user_id = u.id \
             AND +action IN ('user.signed_up', 'user.created', 'user.invited'))",
        ),
        (
            "users without an event of their verification",
            "SELECT count(*) FROM users u WHERE status = 'verified' AND role = 'user' AND NOT EXISTS \
             (SELECT 1 FROM audit_events WHERE user_id = u.id AND +action = 'user.verified')",
        ),
        (
            "unverified users without a code",
            "SELECT count(*) FROM users u WHERE status = 'unverified' AND NOT EXISTS \
             (SELECT 1 FROM codes WHERE user_id = u.id)",
        ),
        (
            "deleted users who are there",
            "SELECT count(*) FROM users u WHERE EXISTS (SELECT 1 FROM audit_events WHERE user_id = u.id \
             AND +action IN ('user.deleted', 'user.expired'))",
        ),
        (
            "users who are gone without a word",
            "SELECT count(*) FROM audit_events e WHERE action = 'user.signed_up' \
             AND NOT EXISTS (SELECT 1 FROM users WHERE id = e.user_id) AND NOT EXISTS (SELECT 1 FROM audit_events \
             WHERE user_id = e.user_id AND +action IN ('user.deleted', 'user.expired'))",
        ),
        (
            "rows that the search has too many or too few",
            "SELECT abs((SELECT count(*) FROM users) - (SELECT count(*) FROM users_search_docsize))",
        ),
        (
            "counts that are wrong",
            "SELECT count(*) FROM (SELECT role, status, disabled, count(*) AS there FROM users GROUP BY 1, 2, 3) \
             FULL JOIN user_counts USING (role, status, disabled) WHERE ifnull(users, 0) <> ifnull(there, 0)",
        ),
    ] {
        assert_eq!(number(sql, query), 0, "{what}");
    }
}

/// Whether a log tells of a panic or a defect.
#[track_caller]
fn is_calm(log: &str) {
    for word in ["panicked", "internal error", "RUST_BACKTRACE"] {
        assert!(!log.contains(word), "{word}: {log}");
    }
}
