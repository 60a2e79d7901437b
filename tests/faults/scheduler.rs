//! The scheduled clean-up, in servers that are restarted, killed, and for a while cannot write.

use std::{
    thread,
    time::{Duration, Instant},
};

use coffeeshop::domain::Clock;
use rusqlite::Connection;
use rustix::process::Signal;

use crate::{connection, is_calm, is_sound, number, random, reaches, rounds, say, shop, shop::wait_for};

const RESTART: Duration = Duration::from_secs(2);
const PERIOD: Duration = Duration::from_secs(10);
/// How late the clean-up may be.
const LATE: Duration = Duration::from_secs(5);
/// For how long users still expire after the last restart.
const AFTER: Duration = Duration::from_secs(3);
const FAR_AWAY: i64 = 4_102_444_800_000;

#[test]
#[ignore = "needs root and a disk to break: .ci/run has one"]
fn expired_users_are_deleted_soon_after_the_last_restart() {
    const DUE: i64 = 300;
    let shop = shop().with("CLEANUP__SCHEDULE", "*/10 * * * * *");
    shop.run(&["migrate"]).is(0);
    let restarts = rounds(8);
    let time = RESTART * u32::try_from(restarts).unwrap();
    let step = millis(time + AFTER) / DUE;
    let sql = connection(&shop);
    verified(&sql, 2 * DUE);
    unverified(&sql, "later", 50, FAR_AWAY, 1);
    let start = Instant::now();
    unverified(&sql, "due", DUE, now() + step, step);
    let stays = who_stays(&sql);
    let mut server = shop.serve();
    for restart in 1..=restarts {
        thread::sleep((RESTART * u32::try_from(restart).unwrap()).saturating_sub(start.elapsed()));
        is_calm(&server.logged());
        if restart % 2 == 0 {
            server.kill();
        } else {
            server.stop(Signal::TERM).is(0);
        }
        server = shop.serve();
    }
    let left = || number(&sql, "SELECT count(*) FROM users WHERE email LIKE 'due%'");
    let (end, left_then) = (Instant::now(), left());
    wait_for("all who are due to be gone", || (left() == 0).then_some(()));
    let took = end.elapsed();
    let latest = number(
        &sql,
        "SELECT max(e.at - d.expires_at) FROM due d JOIN audit_events e ON e.user_id = d.id AND e.action = 'user.expired'",
    );
    say(format_args!(
        "{restarts} restarts: of {DUE} due users {left_then} were left, and gone {took:.1?} later; the latest was late by \
         {latest} ms"
    ));
    reaches(took <= AFTER + PERIOD + LATE, format_args!("gone after {took:?}"));
    assert_eq!(number(&sql, "SELECT count(*) FROM audit_events WHERE action = 'user.expired'"), DUE);
    assert_eq!(who_stays(&sql), stays);
    is_sound(&sql);
    is_calm(&server.stop(Signal::TERM).is(0).err);
}

#[test]
#[ignore = "needs root and a disk to break: .ci/run has one"]
fn a_clean_up_that_failed_does_not_keep_the_next_from_its_work() {
    let shop = shop().with("CLEANUP__SCHEDULE", "* * * * * *");
    let server = shop.serve();
    let sql = connection(&shop);
    verified(&sql, 100);
    let (rounds, mut slowest) = (rounds(1), Duration::ZERO);
    for round in 1..=rounds {
        let failures = || server.logged().matches("the clean-up failed").count();
        let before = failures();
        sql.execute_batch("BEGIN IMMEDIATE").unwrap();
        unverified(&sql, &format!("due-{round}"), 15, 1, 0);
        wait_for("a clean-up that fails", || (failures() > before).then_some(()));
        sql.execute_batch("COMMIT").unwrap();
        let free = Instant::now();
        let due = "SELECT count(*) FROM users WHERE expires_at = 1";
        wait_for("a clean-up that does not", || (number(&sql, due) == 0).then_some(()));
        slowest = slowest.max(free.elapsed());
    }
    say(format_args!(
        "{rounds} clean-ups failed for a lock; the next had done its work {slowest:.1?} after it at most"
    ));
    reaches(slowest <= Duration::from_secs(1) + LATE, format_args!("done after {slowest:?}"));
    is_sound(&sql);
    is_calm(&server.stop(Signal::TERM).is(0).err);
}

#[test]
#[ignore = "needs root and a disk to break: .ci/run has one"]
fn a_kill_during_the_clean_up_leaves_no_user_half_deleted() {
    const DUE: i64 = 2_000;
    let shop = shop();
    shop.run(&["migrate"]).is(0);
    let sql = connection(&shop);
    verified(&sql, DUE + 500);
    let stays = who_stays(&sql);
    let left = || number(&sql, "SELECT count(*) FROM users WHERE expires_at = 1");
    let (rounds, mut amid) = (rounds(8), 0);
    for round in 0..rounds {
        unverified(&sql, &format!("due-{round}"), DUE - left(), 1, 0);
        let starting = shop.start(&["serve"]);
        wait_for("a clean-up that has begun", || (left() < DUE).then_some(()));
        thread::sleep(Duration::from_micros(random(40_000) as u64));
        drop(starting);
        amid += usize::from(left() > 0);
        assert_eq!(who_stays(&sql), stays);
        // On a connection that has not looked yet: FTS5 would compare what is there with what it remembers.
        is_sound(&connection(&shop));
    }
    say(format_args!(
        "{rounds} kills, {amid} of them amid a clean-up: no user half deleted, no verified user touched"
    ));
    let server = shop.serve();
    wait_for("the rest to be gone", || (left() == 0).then_some(()));
    assert_eq!(who_stays(&sql), stays);
    is_sound(&connection(&shop));
    is_calm(&server.stop(Signal::TERM).is(0).err);
}

fn now() -> i64 {
    Clock::system().now().millis()
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap()
}

/// Adds verified users.
fn verified(sql: &Connection, count: i64) {
    let users = "INSERT INTO users (id, email, email_key, search_text, role, status, disabled, created_at, updated_at, \
                 verified_at) WITH RECURSIVE n(i, email) AS (SELECT 1, 'u1@example.com' UNION ALL \
                 SELECT i + 1, 'u' || (i + 1) || '@example.com' FROM n WHERE i < ?1) \
                 SELECT randomblob(16), email, email, email, 'user', 'verified', 0, ?2, ?2, ?2 FROM n";
    sql.execute(users, (count, now())).unwrap();
    complete(sql);
}

/// Adds unverified users, of whom each expires so much later than the one before.
fn unverified(sql: &Connection, name: &str, count: i64, first: i64, step: i64) {
    let users = "INSERT INTO users (id, email, email_key, search_text, role, status, disabled, created_at, updated_at, \
                 expires_at) WITH RECURSIVE n(i, email) AS (SELECT 0, ?1 || '-0@example.com' UNION ALL \
                 SELECT i + 1, ?1 || '-' || (i + 1) || '@example.com' FROM n WHERE i + 1 < ?2) \
                 SELECT randomblob(16), email, email, email, 'user', 'unverified', 0, ?3, ?3, ?4 + i * ?5 FROM n WHERE ?2 > 0";
    sql.execute(users, (name, count, now(), first, step)).unwrap();
    complete(sql);
}

/// Gives each user what belongs to an account: audit events, a session, a waiting message, and perhaps a code.
fn complete(sql: &Connection) {
    // Who reads first and then writes is refused if the server wrote meanwhile.
    let (begin, end) = if sql.is_autocommit() {
        ("BEGIN IMMEDIATE", "COMMIT")
    } else {
        ("SAVEPOINT complete", "RELEASE complete")
    };
    sql.execute_batch(&format!(
        "{begin};
         CREATE TEMP TABLE IF NOT EXISTS due (id BLOB PRIMARY KEY, expires_at INTEGER);
         CREATE TEMP TABLE new AS SELECT * FROM users u WHERE NOT EXISTS
             (SELECT 1 FROM audit_events WHERE user_id = u.id);
         INSERT INTO due SELECT id, expires_at FROM new WHERE expires_at IS NOT NULL;
         INSERT INTO audit_events (id, at, action, user_id, channel, changes)
             SELECT randomblob(16), created_at, 'user.signed_up', id, 'api', '[]' FROM new;
         INSERT INTO audit_events (id, at, action, user_id, channel, changes)
             SELECT randomblob(16), created_at, 'user.verified', id, 'api', '[]' FROM new WHERE status = 'verified';
         INSERT INTO codes (user_id, purpose, email, email_key, code_expires_at, tries_left, token_hash, token_expires_at)
             SELECT id, 'verify_email', email, email_key, {FAR_AWAY}, 5, randomblob(32), {FAR_AWAY} FROM new
             WHERE status = 'unverified';
         INSERT INTO sessions (id, user_id, refresh_hash, created_at, last_used_at, expires_at)
             SELECT randomblob(16), id, randomblob(32), created_at, created_at, {FAR_AWAY} FROM new;
         INSERT INTO outbox (id, user_id, recipient, sealed, state, attempts, due_at, created_at, expires_at)
             SELECT randomblob(16), id, email_key, zeroblob(200), 'waiting', 0, {FAR_AWAY}, created_at, {FAR_AWAY} FROM new;
         DROP TABLE new;
         {end}"
    ))
    .unwrap();
}

/// Everything of those whom no clean-up may touch, in short.
fn who_stays(sql: &Connection) -> Vec<String> {
    let of = |what: &str, from: &str| {
        let query =
            format!("SELECT count(*) || ' ' || total({what}) FROM {from} WHERE email NOT LIKE 'due%'");
        sql.query_row(&query, [], |row| row.get(0)).unwrap()
    };
    let join = |table: &str| format!("{table} JOIN users ON users.id = user_id");
    vec![
        of("seq * length(email) + updated_at", "users"),
        of("sessions.seq", &join("sessions")),
        of("outbox.seq", &join("outbox")),
    ]
}
