//! Servers that stop, freeze or take no writes, and a standby that takes over: requests are refused in time, nothing refused is
//! done, and all is well again without a restart when the fault ends.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use rustix::process::Signal;

use crate::{
    Ends, Visitor,
    cluster::Cluster,
    is_calm, is_put_off, is_sound, say,
    shop::{Reply, Server, get_from, try_to_sign_up, wait_for},
    shop_at,
};

/// How long it takes until the server is ready again at most, once its database is.
const READY_AGAIN: Duration = Duration::from_secs(15);
/// The deadline of a call, and what an answer takes besides on a busy machine.
const DEADLINE: Duration = Duration::from_millis(11_500);

/// Waits until `/readyz` has this status; `/healthz` never has another than 200.
#[track_caller]
pub fn readiness_becomes(status: u16, server: &Server) {
    let start = Instant::now();
    wait_for("readiness", || (server.get("/readyz").status == status).then_some(()));
    server.get("/healthz").is(200);
    assert!(start.elapsed() < READY_AGAIN, "{status} after {:?}", start.elapsed());
}

/// Whether a write was refused, and nothing done; it may have been sent when the fault began.
#[track_caller]
pub fn is_refused(reply: &Reply) {
    is_put_off(reply, 503, "unavailable");
}

#[test]
#[ignore = "needs PostgreSQL: .ci/run has one"]
fn a_database_that_is_stopped_for_half_a_minute_is_used_again() {
    let cluster = Cluster::start("");
    let database = cluster.database();
    let server = shop_at(&database.url()).serve();
    let user = Visitor::arrive(&server, "ann@example.com");
    readiness_becomes(200, &server);
    cluster.stop(Signal::INT);
    let stopped = Instant::now();
    let mut refused = 0;
    while stopped.elapsed() < Duration::from_secs(30) {
        let asked = Instant::now();
        is_refused(&server.sign_up(&format!("late-{refused}@example.com")));
        is_refused(&user.rename(&server, "Ann"));
        is_refused(&server.get_as(&user.access, "/me"));
        server.get("/readyz").is(503);
        server.get("/healthz").is(200);
        assert!(asked.elapsed() < DEADLINE, "{:?}", asked.elapsed());
        refused += 1;
        thread::sleep(Duration::from_millis(200));
    }
    cluster.resume();
    readiness_becomes(200, &server);
    assert_eq!(database.number("SELECT count(*) FROM users"), 1, "what was refused was done");
    user.rename(&server, "Ann").is(200);
    server.sign_up("late-0@example.com").is(201);
    is_calm(&server.logged());
    is_sound(database);
    say(format_args!("30 s without a database, {refused} times refused"));
}

#[test]
#[ignore = "needs PostgreSQL: .ci/run has one"]
fn a_frozen_database_is_waited_for_until_the_deadline() {
    let cluster = Cluster::start("");
    let database = cluster.database();
    let server = shop_at(&database.url()).serve();
    let user = Visitor::arrive(&server, "ann@example.com");
    let is_over = AtomicBool::new(false);
    let times = thread::scope(|scope| {
        let clients: Vec<_> = (0..12)
            .map(|client| {
                let (is_over, server, user) = (&is_over, &server, &user);
                scope.spawn(move || {
                    let (mut slowest, mut refused, mut number) = (Duration::ZERO, 0, 0);
                    while !is_over.load(Ordering::SeqCst) {
                        let asked = Instant::now();
                        let reply = match client % 3 {
                            0 => server.get_as(&user.access, "/me"),
                            1 => server.sign_up(&format!("u{client}-{number}@example.com")),
                            _ => user.rename(server, &format!("Ann {number}")),
                        };
                        slowest = slowest.max(asked.elapsed());
                        assert!(matches!(reply.status, 200 | 201 | 503), "{reply:?}");
                        refused += usize::from(reply.status == 503);
                        number += 1;
                    }
                    (slowest, refused)
                })
            })
            .collect();
        let ends = Ends(&is_over);
        thread::sleep(Duration::from_millis(500));
        cluster.signal_all(Signal::STOP);
        let frozen = Instant::now();
        readiness_becomes(503, &server);
        assert!(frozen.elapsed() < Duration::from_secs(4), "not ready after {:?}", frozen.elapsed());
        while frozen.elapsed() < Duration::from_secs(14) {
            let asked = Instant::now();
            server.get("/healthz").is(200);
            server.get("/readyz").is(503);
            assert!(asked.elapsed() < Duration::from_secs(4), "{:?}", asked.elapsed());
            thread::sleep(Duration::from_millis(200));
        }
        drop(ends);
        let times = clients.into_iter().map(|client| client.join().unwrap()).collect::<Vec<_>>();
        cluster.signal_all(Signal::CONT);
        times
    });
    let slowest = times.iter().map(|(slowest, _)| *slowest).max().unwrap();
    assert!(times.iter().all(|(_, refused)| *refused > 0), "{times:?}");
    assert!(slowest < DEADLINE, "{slowest:?}");
    readiness_becomes(200, &server);
    user.rename(&server, "Ann").is(200);
    is_calm(&server.logged());
    is_sound(database);
    say(format_args!("frozen: the slowest answer took {slowest:?}"));
}

#[test]
#[ignore = "needs PostgreSQL: .ci/run has one"]
fn a_database_that_becomes_read_only_is_not_written_to_and_used_again() {
    let cluster = Cluster::start("");
    let database = cluster.database();
    let server = shop_at(&database.url()).serve();
    let user = Visitor::arrive(&server, "ann@example.com");
    let read_only = |value: &str| {
        cluster.configure(&format!("default_transaction_read_only = {value}"));
        cluster.reload();
        // Each connection learns of it by itself.
        wait_for("the setting", || {
            (cluster.sql("postgres", "SHOW transaction_read_only") == value).then_some(())
        });
    };
    read_only("on");
    wait_for("a refusal", || (user.rename(&server, "Ann").status == 503).then_some(()));
    for number in 0..10 {
        is_refused(&server.sign_up(&format!("late-{number}@example.com")));
        is_refused(&user.rename(&server, "Bea"));
    }
    readiness_becomes(503, &server);
    read_only("off");
    readiness_becomes(200, &server);
    assert_eq!(database.number("SELECT count(*) FROM users"), 1);
    user.rename(&server, "Cleo").is(200);
    is_calm(&server.logged());
}

#[test]
#[ignore = "needs PostgreSQL: .ci/run has one"]
fn a_standby_that_takes_over_is_found_by_the_second_host() {
    let primary = Cluster::start("");
    let database = primary.database();
    let standby = primary.standby();
    // The standby comes first: it is passed over as long as it takes no writes.
    let hosts = format!("127.0.0.1:{},127.0.0.1:{}", standby.port, primary.port);
    let server = shop_at(&database.url_at(&hosts)).serve();
    let user = Visitor::arrive(&server, "ann@example.com");
    let mut acknowledged = vec![user.email.clone()];
    for number in 0..20 {
        let email = format!("before-{number}@example.com");
        server.sign_up(&email).is(201);
        acknowledged.push(email);
    }
    // It is asynchronous: what it has not received by now would be lost.
    wait_for("the standby", || {
        let behind = "SELECT count(*) FROM pg_stat_replication WHERE replay_lsn = pg_current_wal_lsn()";
        (primary.sql("postgres", behind) == "1").then_some(())
    });
    primary.stop(Signal::QUIT);
    is_refused(&user.rename(&server, "Ann"));
    server.get("/readyz").is(503);
    standby.sql("postgres", "SELECT pg_promote()");
    let promoted = Instant::now();
    readiness_becomes(200, &server);
    user.rename(&server, "Ann").is(200);
    let took = promoted.elapsed();
    server.sign_up("after@example.com").is(201);
    for email in acknowledged {
        let query = format!("SELECT count(*) FROM users WHERE email = '{email}'");
        assert_eq!(standby.sql(&database.name(), &query), "1", "{email}");
    }
    is_calm(&server.logged());
    say(format_args!("the promoted standby was in use after {took:?}"));
}

#[test]
#[ignore = "needs PostgreSQL: .ci/run has one"]
fn a_database_that_is_restarted_again_and_again_loses_no_process() {
    let cluster = Cluster::start("");
    let database = cluster.database();
    let server = shop_at(&database.url()).serve();
    let is_over = AtomicBool::new(false);
    let acknowledged = thread::scope(|scope| {
        let clients: Vec<_> = (0..4)
            .map(|client| {
                let (is_over, address) = (&is_over, server.address);
                scope.spawn(move || {
                    let mut done = Vec::new();
                    for number in 0.. {
                        if is_over.load(Ordering::SeqCst) {
                            break;
                        }
                        let email = format!("u{client}-{number}@example.com");
                        let reply = try_to_sign_up(address, &email).unwrap();
                        match reply.status {
                            201 => done.push(email),
                            503 => assert!(reply.head.contains("retry-after: "), "{reply:?}"),
                            _ => panic!("{reply:?}"),
                        }
                        get_from(address, "/healthz").unwrap().is(200);
                    }
                    done
                })
            })
            .collect();
        let ends = Ends(&is_over);
        for signal in [Signal::INT, Signal::QUIT, Signal::INT, Signal::QUIT] {
            thread::sleep(Duration::from_millis(700));
            cluster.stop(signal);
            cluster.resume();
            readiness_becomes(200, &server);
        }
        drop(ends);
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect::<Vec<_>>()
    });
    let stored = database.sql("SELECT email FROM users");
    for email in &acknowledged {
        assert!(stored.lines().any(|line| line == email), "{email} is lost");
    }
    assert!(acknowledged.len() > 8, "only {}", acknowledged.len());
    is_calm(&server.logged());
    is_sound(database);
    say(format_args!("4 restarts, {} sign-ups acknowledged, 0 lost", acknowledged.len()));
}
