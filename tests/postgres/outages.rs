//! Servers that stop, freeze or take no writes, and a standby that takes over: requests are refused in time, nothing refused is
//! done, and all is well again without a restart when the fault ends.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use rustix::process::Signal;

use crate::{
    Ends, Visitor,
    cluster::Cluster,
    is_calm, is_put_off, is_sound, say, settled,
    shop::{Reply, Server, get_from, try_to_sign_up, wait_for},
    shop_at,
};

/// Waits until `/readyz` has this status; `/healthz` never has another than 200.
#[track_caller]
pub fn readiness_becomes(status: u16, server: &Server) {
    wait_for("readiness", || (server.get("/readyz").status == status).then_some(()));
    server.get("/healthz").is(200);
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
        is_refused(&server.sign_up(&format!("late-{refused}@example.com")));
        is_refused(&user.rename(&server, "Ann"));
        is_refused(&server.get_as(&user.access, "/me"));
        server.get("/readyz").is(503);
        server.get("/healthz").is(200);
        refused += 1;
        thread::sleep(Duration::from_millis(200));
    }
    cluster.resume();
    readiness_becomes(200, &server);
    assert_eq!(database.number("SELECT count(*) FROM users"), 1, "what was refused was done");
    settled(|| user.rename(&server, "Ann")).is(200);
    settled(|| server.sign_up("late-0@example.com")).is(201);
    is_calm(&server.logged());
    is_sound(database);
    say(format_args!("30 s without a database, {refused} times refused"));
}

#[test]
#[ignore = "needs PostgreSQL: .ci/run has one"]
fn a_frozen_database_is_waited_for_until_the_deadline() {
    const CLIENTS: usize = 12;
    let cluster = Cluster::start("");
    let database = cluster.database();
    let server = shop_at(&database.url()).serve();
    let user = Visitor::arrive(&server, "ann@example.com");
    let is_over = AtomicBool::new(false);
    // How often each client was answered, and how often refused.
    let answers = [const { [const { AtomicUsize::new(0) }; 2] }; CLIENTS];
    let all = |which: usize, more: usize| {
        let before = answers.each_ref().map(|answers| answers[which].load(Ordering::SeqCst));
        wait_for("answers to all", || {
            let has_more =
                |client: usize| answers[client][which].load(Ordering::SeqCst) >= before[client] + more;
            (0..CLIENTS).all(has_more).then_some(())
        });
    };
    thread::scope(|scope| {
        for (client, [answered, refused]) in answers.iter().enumerate() {
            let (is_over, server, user) = (&is_over, &server, &user);
            scope.spawn(move || {
                for number in 0.. {
                    if is_over.load(Ordering::SeqCst) {
                        break;
                    }
                    let reply = match client % 3 {
                        0 => server.get_as(&user.access, "/me"),
                        1 => server.sign_up(&format!("u{client}-{number}@example.com")),
                        _ => user.rename(server, &format!("Ann {number}")),
                    };
                    assert!(matches!(reply.status, 200 | 201 | 503), "{reply:?}");
                    answered.fetch_add(1, Ordering::SeqCst);
                    refused.fetch_add(usize::from(reply.status == 503), Ordering::SeqCst);
                }
            });
        }
        let _ends = Ends(&is_over);
        all(0, 1);
        cluster.signal_all(Signal::STOP);
        readiness_becomes(503, &server);
        // Nothing but the deadline ends these calls. The second of each began while the server was frozen.
        all(1, 2);
        server.get("/healthz").is(200);
        server.get("/readyz").is(503);
        cluster.signal_all(Signal::CONT);
    });
    readiness_becomes(200, &server);
    settled(|| user.rename(&server, "Ann")).is(200);
    is_calm(&server.logged());
    is_sound(database);
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
    settled(|| user.rename(&server, "Cleo")).is(200);
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
        settled(|| server.sign_up(&email)).is(201);
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
    standby.promote();
    let promoted = Instant::now();
    readiness_becomes(200, &server);
    settled(|| user.rename(&server, "Ann")).is(200);
    let took = promoted.elapsed();
    settled(|| server.sign_up("after@example.com")).is(201);
    for email in acknowledged {
        let query = format!("SELECT count(*) FROM users WHERE email = '{email}'");
        assert_eq!(standby.sql(&database.name(), &query), "1", "{email}");
    }
    is_calm(&server.logged());
    say(format_args!("the promoted standby was in use after {took:?}"));
}

#[test]
#[ignore = "needs PostgreSQL: .ci/run has one"]
fn a_commit_that_no_standby_has_confirmed_leaves_the_outcome_unknown() {
    let primary = Cluster::start("");
    let database = primary.database();
    let standby = primary.standby();
    let server = shop_at(&database.url()).serve();
    let user = Visitor::arrive(&server, "ann@example.com");
    primary.configure("synchronous_standby_names = '*'");
    primary.reload();
    wait_for("the standby", || {
        let in_step = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'";
        (primary.sql("postgres", in_step) == "1").then_some(())
    });
    settled(|| user.rename(&server, "Ann")).is(200);
    standby.signal_all(Signal::STOP);
    for (way, email) in [
        ("pg_cancel_backend", "cancelled@example.com"),
        ("pg_terminate_backend", "terminated@example.com"),
        // The deadline of the call.
        ("", "late@example.com"),
    ] {
        thread::scope(|scope| {
            let reply = scope.spawn(|| server.sign_up(email));
            wait_for("the answer", || {
                if !way.is_empty() {
                    let end = format!("SELECT {way}(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'");
                    database.sql(&end);
                }
                reply.is_finished().then_some(())
            });
            is_put_off(&reply.join().unwrap(), 503, "outcome_unknown");
        });
    }
    standby.signal_all(Signal::CONT);
    // Each was done; a standby that had been promoted would not have had it.
    let users = "SELECT count(*) FROM users";
    wait_for("all users", || (database.number(users) == 4).then_some(()));
    settled(|| user.rename(&server, "Bea")).is(200);
    is_calm(&server.logged());
    is_sound(database);
}

#[test]
#[ignore = "needs PostgreSQL: .ci/run has one"]
fn a_database_that_is_restarted_again_and_again_loses_no_process() {
    let cluster = Cluster::start("");
    let database = cluster.database();
    let server = shop_at(&database.url()).serve();
    let (is_over, acknowledged) = (&AtomicBool::new(false), &Mutex::new(Vec::new()));
    let count = || acknowledged.lock().unwrap().len();
    thread::scope(|scope| {
        for client in 0..4 {
            let address = server.address;
            scope.spawn(move || {
                for number in 0.. {
                    if is_over.load(Ordering::SeqCst) {
                        break;
                    }
                    let email = format!("u{client}-{number}@example.com");
                    let reply = try_to_sign_up(address, &email).unwrap();
                    match reply.status {
                        201 => acknowledged.lock().unwrap().push(email),
                        503 => assert!(reply.head.contains("retry-after: "), "{reply:?}"),
                        _ => panic!("{reply:?}"),
                    }
                    get_from(address, "/healthz").unwrap().is(200);
                }
            });
        }
        let _ends = Ends(is_over);
        for signal in [Signal::INT, Signal::QUIT, Signal::INT, Signal::QUIT] {
            let before = count();
            wait_for("sign-ups", || (count() >= before + 4).then_some(()));
            cluster.stop(signal);
            cluster.resume();
            readiness_becomes(200, &server);
        }
    });
    let acknowledged = acknowledged.lock().unwrap();
    let stored = database.sql("SELECT email FROM users");
    for email in acknowledged.iter() {
        assert!(stored.lines().any(|line| line == email), "{email} is lost");
    }
    is_calm(&server.logged());
    is_sound(database);
    say(format_args!("4 restarts, {} sign-ups acknowledged, 0 lost", acknowledged.len()));
}
