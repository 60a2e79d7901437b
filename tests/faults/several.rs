//! Several processes on one file.

use std::thread;

use rustix::process::Signal;
use serde_json::json;

use crate::{is_calm, is_sound, number, random, rounds, say, shop, shop::wait_for};

/// So many may always go at once.
const DUE: usize = 20;

#[test]
#[ignore = "needs root and a disk to break: .ci/run has one"]
fn two_servers_and_the_console_delete_each_user_once_and_send_each_message_once() {
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
            thread::sleep(std::time::Duration::from_millis(random(500) as u64));
            shop.sql().execute("UPDATE users SET expires_at = 1 WHERE status = 'unverified'", []).unwrap();
        });
        wait_for("all to be gone", || (shop.count("users") == 1).then_some(()));
    }
    let sql = shop.sql();
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
