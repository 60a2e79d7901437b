//! Several processes on one file.

use std::{
    thread,
    time::{Duration, Instant},
};

use rustix::process::Signal;
use serde_json::json;

use crate::{
    connection,
    crowd::guests,
    is_calm, is_sound, number, random, reaches, rounds, say, shop,
    shop::{Shop, wait_for},
};

/// So many may always go at once.
const DUE: usize = 20;

#[test]
#[ignore = "needs root and a disk to break: .ci/run has one"]
fn two_servers_and_the_cli_delete_and_send_everything_once() {
    let shop = shop().with("CLEANUP__SCHEDULE", "* * * * * *");
    shop.create_admin("boss@example.com").is(0);
    let (one, other) = (shop.serve(), shop.serve());
    let admin = one.token("boss@example.com");
    let authorized = format!("Authorization: Bearer {admin}\r\n");
    let rounds = rounds(2);
    for round in 0..rounds {
        for number in 0..DUE {
            let server = if number % 2 == 0 { &one } else { &other };
            let body = json!({ "email": format!("u{round}-{number}@example.com") });
            server.post_with(&authorized, "/users", &body).is(201);
        }
        thread::scope(|scope| {
            for _ in 0..2 {
                let shop = &shop;
                scope.spawn(move || {
                    for _ in 0..3 {
                        shop.run(&["purge"]).is(0);
                    }
                });
            }
            thread::sleep(Duration::from_millis(random(500) as u64));
            connection(&shop)
                .execute("UPDATE users SET expires_at = 1 WHERE status = 'unverified'", [])
                .unwrap();
        });
        wait_for("all to be gone", || (shop.count("users") == 1).then_some(()));
    }
    let sql = connection(&shop);
    let total = i64::try_from(rounds * DUE).unwrap();
    let expired = "FROM audit_events WHERE action = 'user.expired'";
    assert_eq!(number(&sql, &format!("SELECT count(*) {expired}")), total);
    assert_eq!(number(&sql, &format!("SELECT count(DISTINCT user_id) {expired}")), total);
    is_sound(&sql);
    // Who is deleted gets no message any more; the others get one, from one of the two.
    for number in 0..DUE {
        let body = json!({ "email": format!("stays-{number}@example.com") });
        let server = if number % 2 == 0 { &one } else { &other };
        server.post_with(&authorized, "/users", &body).is(201);
        server.post("/auth/password/forgot", &body).is(202);
    }
    wait_for("the outbox to be empty", || (shop.count("outbox") == 0).then_some(()));
    let (one, other) = (one.stop(Signal::TERM).is(0), other.stop(Signal::TERM).is(0));
    let printed = one.out + &other.out;
    for ran in [&one.err, &other.err] {
        is_calm(ran);
    }
    let mut links: Vec<_> = printed.lines().filter(|line| line.starts_with("Link: ")).collect();
    let all = links.len();
    links.sort_unstable();
    links.dedup();
    assert_eq!(links.len(), all, "a message was sent twice");
    assert!(all >= DUE, "only {all} messages");
    say(format_args!("{total} users, each deleted once; {all} messages, each sent once"));
}

#[test]
#[ignore = "needs root and a disk to break: .ci/run has one"]
fn a_large_purge_by_the_cli_delays_no_writer_and_no_verified_user() {
    large_clean_up(&shop(), |shop, due| {
        assert_eq!(shop.run(&["purge", "--json"]).is(0).json()["users"], due);
    });
}

#[test]
#[ignore = "needs root and a disk to break: .ci/run has one"]
fn a_large_scheduled_purge_delays_no_writer_and_no_verified_user() {
    large_clean_up(&shop().with("CLEANUP__SCHEDULE", "* * * * * *"), |shop, _| {
        let sql = connection(shop);
        let left = "SELECT EXISTS (SELECT 1 FROM users WHERE status = 'unverified' AND expires_at = 1)";
        wait_for("the clean-up", || (number(&sql, left) == 0).then_some(()));
    });
}

/// Writes while half of very many users are deleted.
fn large_clean_up(shop: &Shop, clean_up: impl Fn(&Shop, i64) + Sync) {
    let server = shop.serve();
    let mut guest = guests(&server, 1).swap_remove(0);
    let due = i64::try_from(rounds(10)).unwrap() * 1_000;
    let crowd = "INSERT INTO users (id, email, email_key, search_text, role, status, disabled, created_at, updated_at, \
                 verified_at, expires_at) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2 * ?1) \
                 SELECT randomblob(16), 'u' || i || '@example.com', 'u' || i || '@example.com', 'u' || i || '@example.com', \
                 'user', iif(i % 2, 'unverified', 'verified'), 0, i, i, iif(i % 2, NULL, i), iif(i % 2, 1, NULL) FROM n";
    connection(shop).execute(crowd, [due]).unwrap();
    let verified = "SELECT count(*) || ' ' || sum(seq * length(email)) || ' ' || sum(updated_at) FROM users \
                    WHERE status = 'verified'";
    let verified = || connection(shop).query_row::<String, _, _>(verified, [], |row| row.get(0)).unwrap();
    let before = verified();
    let mut times = Vec::new();
    let start = Instant::now();
    thread::scope(|scope| {
        let purge = scope.spawn(|| clean_up(shop, due));
        while !purge.is_finished() {
            let asked = Instant::now();
            guest.edit(&server);
            times.push(asked.elapsed());
        }
        purge.join().unwrap();
    });
    let took = start.elapsed();
    assert_eq!(shop.run(&["purge", "--json"]).is(0).json()["users"], 0, "twice is once");
    assert_eq!(verified(), before);
    assert!(guest.refusal.is_none(), "{:?}", guest.refusal);
    times.sort_unstable();
    let (most, slowest) = (times[times.len() * 99 / 100], times[times.len() - 1]);
    say(format_args!(
        "{due} users of {} deleted in {took:?}; of {} writes meanwhile 99 in 100 took at most {most:?}, the slowest {slowest:?}",
        2 * due,
        times.len()
    ));
    reaches(most < Duration::from_secs(2), format_args!("{most:?}"));
}
