//! Another process that holds the file.

use std::{
    thread,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::{
    connection,
    crowd::{ask, check_all, guests},
    is_calm, reaches, rounds, say, shop,
    shop::Server,
};

#[test]
#[ignore = "needs root and a disk to break: .ci/run has one"]
fn a_short_lock_is_waited_for_and_a_long_one_reported() {
    let shop = shop();
    let server = shop.serve();
    let mut guests = guests(&server, 2);
    for _ in 0..rounds(1) {
        let sql = connection(&shop);
        sql.execute_batch("BEGIN IMMEDIATE").unwrap();
        thread::scope(|scope| {
            let writers: Vec<_> = guests
                .iter_mut()
                .map(|guest| {
                    let server = &server;
                    scope.spawn(move || {
                        let before = guest.acknowledged();
                        guest.edit(server);
                        guest.renew(server);
                        assert_eq!(guest.acknowledged(), before + 2, "refused: {}", server.logged());
                    })
                })
                .collect();
            let slowest = read_for(&server, Duration::from_secs(3));
            sql.execute_batch("ROLLBACK").unwrap();
            for writer in writers {
                writer.join().unwrap();
            }
            say(format_args!("locked for 3 s: the slowest read took {slowest:?}"));
        });
    }
    let sql = connection(&shop);
    sql.execute_batch("BEGIN IMMEDIATE").unwrap();
    let access = guests[0].access.clone();
    thread::scope(|scope| {
        let server = &server;
        let writer = scope.spawn(move || {
            let start = Instant::now();
            let body = json!({ "first_name": "Ann" });
            let reply = ask(server.address, "PATCH", "/me", &access, Some(&body)).unwrap().is(503);
            assert_eq!(reply.json()["code"], "unavailable");
            assert!(reply.head.contains("retry-after: "), "{reply:?}");
            say(format_args!("locked for 20 s: told so after {:?}", start.elapsed()));
        });
        let slowest = read_for(server, Duration::from_secs(20));
        say(format_args!("locked for 20 s: the slowest read took {slowest:?}"));
        reaches(slowest < Duration::from_secs(2), format_args!("a read took {slowest:?}"));
        sql.execute_batch("ROLLBACK").unwrap();
        writer.join().unwrap();
    });
    let before = guests[0].acknowledged();
    guests[0].edit(&server);
    assert_eq!(guests[0].acknowledged(), before + 1);
    check_all(&mut guests, &server, &shop);
    is_calm(&server.logged());
}

/// Reads for so long; answers how long the slowest took.
fn read_for(server: &Server, time: Duration) -> Duration {
    let (start, mut slowest) = (Instant::now(), Duration::ZERO);
    while start.elapsed() < time {
        let asked = Instant::now();
        server.get("/readyz").is(200);
        slowest = slowest.max(asked.elapsed());
        thread::sleep(Duration::from_millis(20));
    }
    slowest
}
