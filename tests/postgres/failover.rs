//! A primary that is killed under load and whose standby takes over, and one of two processes that is killed: nothing that was
//! acknowledged is lost but what an asynchronous standby had not received, no answer is a 500, and no process is restarted.

use std::{
    collections::HashSet,
    io,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Signal, kill_process};
use serde_json::json;

use crate::{
    Ends, Visitor,
    cluster::{Cluster, Database},
    is_calm, is_sound,
    load::{Outcome, outcome},
    new_shop,
    outages::readiness_becomes,
    random, rounds, say,
    shop::{Reply, Server, try_to_sign_up, wait_for},
    shop_at,
};

const CLIENTS: usize = 8;
/// How long it takes until a write is acknowledged again at most, once the standby was promoted.
const SERVED_AGAIN: Duration = Duration::from_secs(15);
/// Whether a server was killed that is not.
static NEVER: AtomicBool = AtomicBool::new(false);

/// A client that signs users up and edits its own account, and the answers.
struct Writer {
    user: Visitor,
    /// Numbers of the edits that were acknowledged, and of those that may have been done.
    edits: Vec<usize>,
    unknown_edits: Vec<usize>,
    /// Addresses that were signed up, and those that were refused.
    there: Vec<String>,
    absent: Vec<String>,
    unknown: usize,
}

/// What is shared by the clients of a server.
#[derive(Clone, Copy)]
struct Phase<'a> {
    /// No more edits: a later one would hide that one is lost.
    edits_end: &'a AtomicBool,
    is_over: &'a AtomicBool,
    /// From then on the server may close connections without an answer.
    server_killed: &'a AtomicBool,
}

impl Writer {
    fn arrive(server: &Server, name: &str) -> Self {
        Self {
            user: Visitor::arrive(server, &format!("{name}@example.com")),
            edits: Vec::new(),
            unknown_edits: Vec::new(),
            there: Vec::new(),
            absent: Vec::new(),
            unknown: 0,
        }
    }

    fn write_until_it_is_over(&mut self, server: &Server, phase: Phase<'_>) {
        for number in 1.. {
            if phase.is_over.load(Ordering::SeqCst) {
                break;
            }
            let signs_up = number % 4 == 0 || phase.edits_end.load(Ordering::SeqCst);
            let done =
                if signs_up { self.sign_up(server, number, phase) } else { self.edit(server, number, phase) };
            match done {
                Ok(Outcome::Done) => {}
                Ok(Outcome::NotDone) => thread::sleep(Duration::from_millis(5)),
                Ok(Outcome::Unknown) => self.unknown += 1,
                Err(_) => {
                    self.unknown += 1;
                    break;
                }
            }
        }
    }

    fn edit(&mut self, server: &Server, number: usize, phase: Phase<'_>) -> io::Result<Outcome> {
        let body = json!({ "first_name": format!("n{number}") });
        let done = answer(server.ask("PATCH", "/me", &self.user.authorization(), Some(&body)), phase);
        match done {
            Ok(Outcome::Done) => self.edits.push(number),
            Ok(Outcome::NotDone) => {}
            Ok(Outcome::Unknown) | Err(_) => self.unknown_edits.push(number),
        }
        done
    }

    fn sign_up(&mut self, server: &Server, number: usize, phase: Phase<'_>) -> io::Result<Outcome> {
        let email = format!("{number}-{}", self.user.email);
        let done = answer(try_to_sign_up(server.address, &email), phase);
        match done {
            Ok(Outcome::Done) => self.there.push(email),
            Ok(Outcome::NotDone) => self.absent.push(email),
            Ok(Outcome::Unknown) | Err(_) => {}
        }
        done
    }

    fn acknowledged(&self) -> usize {
        self.edits.len() + self.there.len()
    }

    /// How many acknowledged writes a store lacks, in which nothing is that was refused.
    fn lost(&self, database: Database<'_>, stored: &HashSet<String>) -> usize {
        for email in &self.absent {
            assert!(!stored.contains(email), "{email} was refused, and is there");
        }
        let query = format!("SELECT coalesce(first_name, 'n0') FROM users WHERE id = '{}'", self.user.id);
        let name = database.sql(&query);
        let last: usize = name.trim_start_matches('n').parse().unwrap_or_else(|_| panic!("{name:?}"));
        let may_be = last == 0 || self.edits.contains(&last) || self.unknown_edits.contains(&last);
        assert!(may_be, "edit {last} was refused, and is there");
        let edits = self.edits.iter().filter(|edit| **edit > last).count();
        edits + self.there.iter().filter(|email| !stored.contains(*email)).count()
    }
}

/// What an answer says; none is an error that only a client of a killed server gets.
#[track_caller]
fn answer(reply: io::Result<Reply>, phase: Phase<'_>) -> io::Result<Outcome> {
    if let Err(error) = &reply {
        assert!(phase.server_killed.load(Ordering::SeqCst), "{error}");
    }
    reply.map(|reply| outcome(&reply))
}

/// What came of a failover.
struct Failover {
    acknowledged: usize,
    lost: usize,
    unknown: usize,
    /// From the kill to the next write that was acknowledged, and from the promotion to it.
    since_kill: Duration,
    since_promotion: Duration,
}

#[derive(Clone, Copy, PartialEq)]
enum Standby {
    Synchronous,
    Asynchronous,
    /// An asynchronous one that receives nothing for so long before the kill.
    Late(Duration),
}

/// Kills the primary of a new pair under load, and promotes its standby.
fn fail_over(kind: Standby) -> Failover {
    // Segments of shared memory that a killed server leaves behind are files in its folder then.
    let primary = Cluster::start("dynamic_shared_memory_type = mmap");
    let database = primary.database();
    let standby = primary.standby();
    if kind == Standby::Synchronous {
        // Not before the standby is a copy of it, which would wait for a standby of its own.
        primary.configure("synchronous_standby_names = '*'");
        primary.reload();
    }
    let hosts = format!("127.0.0.1:{},127.0.0.1:{}", primary.port, standby.port);
    let server = shop_at(&database.url_at(&hosts)).serve();
    let mut writers: Vec<_> =
        (0..CLIENTS).map(|number| Writer::arrive(&server, &format!("client-{number}"))).collect();
    let probe = Visitor::arrive(&server, "probe@example.com");
    let state = if kind == Standby::Synchronous { "sync" } else { "async" };
    wait_for("the standby", || {
        let in_step = format!(
            "SELECT count(*) FROM pg_stat_replication WHERE sync_state = '{state}' AND state = 'streaming' \
             AND replay_lsn = pg_current_wal_lsn()"
        );
        (primary.sql("postgres", &in_step) == "1").then_some(())
    });
    let (edits_end, is_over) = (AtomicBool::new(false), AtomicBool::new(false));
    let phase = Phase { edits_end: &edits_end, is_over: &is_over, server_killed: &NEVER };
    let (since_kill, since_promotion) = thread::scope(|scope| {
        for writer in &mut writers {
            let server = &server;
            scope.spawn(move || writer.write_until_it_is_over(server, phase));
        }
        let _ends = Ends(&is_over);
        thread::sleep(Duration::from_millis(1_000 + random(1_000) as u64));
        if let Standby::Late(lag) = kind {
            primary.hold_back_standbys();
            thread::sleep(lag);
        }
        let killed = Instant::now();
        primary.crash();
        edits_end.store(true, Ordering::SeqCst);
        standby.sql("postgres", "SELECT pg_promote()");
        let promoted = Instant::now();
        wait_for("the next write", || match outcome(&probe.rename(&server, "Ann")) {
            Outcome::Done => Some(()),
            Outcome::NotDone | Outcome::Unknown => None,
        });
        let times = (killed.elapsed(), promoted.elapsed());
        thread::sleep(Duration::from_millis(500));
        times
    });
    let promoted = database.at(&standby);
    let stored = promoted.sql("SELECT email FROM users").lines().map(str::to_owned).collect();
    let lost = writers.iter().map(|writer| writer.lost(promoted, &stored)).sum();
    readiness_becomes(200, &server);
    for writer in &writers {
        writer.user.rename(&server, "Bea").is(200);
    }
    is_sound(promoted);
    is_calm(&server.logged());
    assert!(since_promotion < SERVED_AGAIN, "{since_promotion:?}");
    Failover {
        acknowledged: writers.iter().map(Writer::acknowledged).sum(),
        lost,
        unknown: writers.iter().map(|writer| writer.unknown).sum(),
        since_kill,
        since_promotion,
    }
}

fn say_what_came_of(what: &str, failovers: &[Failover]) {
    let total = |of: fn(&Failover) -> usize| failovers.iter().map(of).sum::<usize>();
    let slowest = |of: fn(&Failover) -> Duration| failovers.iter().map(of).max().unwrap();
    let most = failovers.iter().map(|failover| failover.lost).max().unwrap();
    say(format_args!(
        "{} failovers to {what} standby: {} acknowledged, {} lost ({most} at most in one), {} unknown; the next write \
         {:?} after the kill and {:?} after the promotion at most",
        failovers.len(),
        total(|failover| failover.acknowledged),
        total(|failover| failover.lost),
        total(|failover| failover.unknown),
        slowest(|failover| failover.since_kill),
        slowest(|failover| failover.since_promotion),
    ));
}

#[test]
#[ignore = "needs PostgreSQL: .ci/slow runs it"]
fn a_synchronous_standby_takes_over_and_nothing_is_lost() {
    let mut failovers = Vec::new();
    for round in 0..rounds(2) {
        let failover = fail_over(Standby::Synchronous);
        assert_eq!(failover.lost, 0, "of {} in round {round}", failover.acknowledged);
        assert!(failover.acknowledged > CLIENTS, "only {}", failover.acknowledged);
        failovers.push(failover);
        say_what_came_of("a synchronous", &failovers);
    }
}

#[test]
#[ignore = "needs PostgreSQL: .ci/slow runs it"]
fn an_asynchronous_standby_takes_over_and_the_store_is_sound() {
    let mut failovers = Vec::new();
    for _ in 0..rounds(2) {
        failovers.push(fail_over(Standby::Asynchronous));
        say_what_came_of("an asynchronous", &failovers);
    }
}

#[test]
#[ignore = "needs PostgreSQL: .ci/slow runs it"]
fn a_late_standby_takes_over_and_lacks_what_it_had_not_received() {
    let mut failovers = Vec::new();
    for _ in 0..rounds(2) {
        let failover = fail_over(Standby::Late(Duration::from_secs(1)));
        assert!(failover.lost > 0, "a loss is not noticed");
        failovers.push(failover);
        say_what_came_of("a late", &failovers);
    }
}

#[test]
#[ignore = "needs PostgreSQL: .ci/slow runs it"]
fn one_of_two_processes_is_killed_and_nothing_is_lost() {
    let (database, shop) = new_shop();
    let survivor = shop.serve();
    let (mut acknowledged, mut refused, mut unknown) = (0, 0, 0);
    for round in 0..rounds(2) {
        let killed = shop.serve();
        let arrive = |server, name| {
            (0..CLIENTS / 2).map(move |number| Writer::arrive(server, &format!("{name}-{round}-{number}")))
        };
        let mut at_killed: Vec<_> = arrive(&killed, "killed").collect();
        let mut at_survivor: Vec<_> = arrive(&survivor, "survivor").collect();
        let (server_killed, is_over) = (AtomicBool::new(false), AtomicBool::new(false));
        let phase = Phase { edits_end: &NEVER, is_over: &is_over, server_killed: &NEVER };
        thread::scope(|scope| {
            for writer in &mut at_killed {
                let (server, phase) = (&killed, Phase { server_killed: &server_killed, ..phase });
                scope.spawn(move || writer.write_until_it_is_over(server, phase));
            }
            for writer in &mut at_survivor {
                let server = &survivor;
                scope.spawn(move || writer.write_until_it_is_over(server, phase));
            }
            let _ends = Ends(&is_over);
            thread::sleep(Duration::from_millis(500 + random(1_000) as u64));
            server_killed.store(true, Ordering::SeqCst);
            kill_process(killed.pid(), Signal::KILL).unwrap();
            thread::sleep(Duration::from_millis(500));
        });
        // What the killed process had sent may still be on its way to be done.
        wait_for("its connections to end", || {
            let connections = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                               AND pid <> pg_backend_pid() AND state <> 'idle'";
            (database.number(connections) == 0).then_some(())
        });
        let stored = database.sql("SELECT email FROM users").lines().map(str::to_owned).collect();
        for writer in at_killed.iter().chain(&at_survivor) {
            assert_eq!(writer.lost(database, &stored), 0, "of {}", writer.acknowledged());
            writer.user.rename(&survivor, "Bea").is(200);
            acknowledged += writer.acknowledged();
            unknown += writer.unknown;
            refused += writer.absent.len();
        }
    }
    is_sound(database);
    is_calm(&survivor.logged());
    say(format_args!(
        "{} processes killed beside another one: {acknowledged} acknowledged, 0 lost, {refused} sign-ups refused, {unknown} \
         unknown",
        rounds(2)
    ));
}
