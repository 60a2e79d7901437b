//! A primary that is killed under load and whose standby takes over, and one of two processes that is killed: nothing that was
//! acknowledged is lost but what an asynchronous standby had not received, no answer is a 500, and no process is restarted.

use std::{
    collections::{HashMap, HashSet},
    io,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
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
    random, rounds, say, settled,
    shop::{Reply, Server, try_to_sign_up, wait_for},
    shop_at,
};

const CLIENTS: usize = 8;

/// Segments of shared memory that a killed server leaves behind are files in its folder then.
const SETTINGS: &str = "dynamic_shared_memory_type = mmap";

/// A client that signs users up and edits its own account, and the answers.
struct Writer {
    user: Visitor,
    number: usize,
    before: Edits,
    /// Numbers of the edits that were acknowledged, and of those that may have been done.
    edits: Vec<usize>,
    unknown_edits: Vec<usize>,
    /// Addresses that were signed up, and those that were refused.
    there: Vec<String>,
    absent: Vec<String>,
    acknowledged: usize,
    unknown: usize,
}

/// What is stored of the edits of a user.
#[derive(Clone, Copy, Default)]
struct Edits {
    last: usize,
    count: usize,
}

/// What is stored of what the clients have done.
struct Stored {
    emails: HashSet<String>,
    /// By the ids of their users.
    edits: HashMap<String, Edits>,
}

/// What is shared by clients that write at the same time.
#[derive(Default)]
struct Load {
    is_over: AtomicBool,
    /// A later edit would hide that one is lost.
    edits_end: AtomicBool,
    /// From then on the server may close connections without an answer.
    server_killed: AtomicBool,
    /// How many sign-ups were acknowledged.
    sign_ups: AtomicUsize,
}

impl Load {
    /// Waits until so many more users have signed up, between which there are about three times as many edits.
    fn goes_on(&self, sign_ups: usize) {
        let before = self.sign_ups.load(Ordering::SeqCst);
        let more = || self.sign_ups.load(Ordering::SeqCst) - before;
        wait_for("sign-ups", || (more() >= sign_ups).then_some(()));
    }
}

impl Stored {
    fn of(database: Database<'_>) -> Self {
        let mut stored = Self { emails: HashSet::new(), edits: HashMap::new() };
        let users = database.sql(
            "SELECT email, id, coalesce(first_name, 'n0'), (SELECT count(*) FROM audit_events WHERE user_id = u.id \
             AND action = 'user.edited') FROM users u",
        );
        for user in users.lines() {
            let columns: Vec<_> = user.split('|').collect();
            let [email, id, name, count] = columns[..] else { panic!("{user:?}") };
            let last = name.trim_start_matches('n').parse();
            let last = last.unwrap_or_else(|_| panic!("{name:?}"));
            stored.emails.insert(email.to_owned());
            stored.edits.insert(id.to_owned(), Edits { last, count: count.parse().unwrap() });
        }
        stored
    }
}

impl Writer {
    fn arrive(server: &Server, name: &str) -> Self {
        Self {
            user: Visitor::arrive(server, &format!("{name}@example.com")),
            number: 0,
            before: Edits::default(),
            edits: Vec::new(),
            unknown_edits: Vec::new(),
            there: Vec::new(),
            absent: Vec::new(),
            acknowledged: 0,
            unknown: 0,
        }
    }

    /// From now on edits are compared with what is stored now.
    fn begin(&mut self, stored: &Stored) {
        self.before = stored.edits[&self.user.id];
        self.edits.clear();
        self.unknown_edits.clear();
    }

    fn write_until_it_is_over(&mut self, server: &Server, load: &Load) {
        while !load.is_over.load(Ordering::SeqCst) {
            self.number += 1;
            let signs_up = self.number.is_multiple_of(4) || load.edits_end.load(Ordering::SeqCst);
            let done = if signs_up { self.sign_up(server, load) } else { self.edit(server, load) };
            match done {
                Ok(Outcome::Done) => self.acknowledged += 1,
                Ok(Outcome::NotDone) => thread::sleep(Duration::from_millis(20)),
                Ok(Outcome::Unknown) => self.unknown += 1,
                Err(_) => {
                    self.unknown += 1;
                    break;
                }
            }
        }
    }

    fn edit(&mut self, server: &Server, load: &Load) -> io::Result<Outcome> {
        let body = json!({ "first_name": format!("n{}", self.number) });
        let done = answer(server.ask("PATCH", "/me", &self.user.authorization(), Some(&body)), load);
        match done {
            Ok(Outcome::Done) => self.edits.push(self.number),
            Ok(Outcome::NotDone) => {}
            Ok(Outcome::Unknown) | Err(_) => self.unknown_edits.push(self.number),
        }
        done
    }

    fn sign_up(&mut self, server: &Server, load: &Load) -> io::Result<Outcome> {
        let email = format!("{}-{}", self.number, self.user.email);
        let done = answer(try_to_sign_up(server.address, &email), load);
        match done {
            Ok(Outcome::Done) => {
                self.there.push(email);
                load.sign_ups.fetch_add(1, Ordering::SeqCst);
            }
            Ok(Outcome::NotDone) => self.absent.push(email),
            Ok(Outcome::Unknown) | Err(_) => {}
        }
        done
    }

    /// How many acknowledged writes a store lacks, in which nothing is that was refused. Sign-ups that it has are looked for
    /// the next time, too.
    fn lost(&mut self, stored: &Stored) -> usize {
        for email in &self.absent {
            assert!(!stored.emails.contains(email), "{email} was refused, and is there");
        }
        let Edits { last, count } = stored.edits[&self.user.id];
        let is_unknown = self.unknown_edits.contains(&last);
        let may_be = last == self.before.last || is_unknown || self.edits.contains(&last);
        assert!(may_be, "edit {last} was refused, and is there");
        let done = self.edits.iter().filter(|edit| **edit <= last).count();
        let without_event = (self.before.count + done + usize::from(is_unknown)).saturating_sub(count);
        let signed_up = self.there.len();
        self.there.retain(|email| stored.emails.contains(email));
        (self.edits.len() - done) + without_event + (signed_up - self.there.len())
    }
}

/// What an answer says; none is an error that only a client of a killed server gets.
#[track_caller]
fn answer(reply: io::Result<Reply>, load: &Load) -> io::Result<Outcome> {
    if let Err(error) = &reply {
        assert!(load.server_killed.load(Ordering::SeqCst), "{error}");
    }
    reply.map(|reply| outcome(&reply))
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Standby {
    Synchronous,
    Asynchronous,
    /// An asynchronous one that receives nothing for a while before its primary is killed.
    Late,
}

/// Kills the primary under load and promotes its standby, so often. The killed one becomes the standby of the other.
fn fail_over(kind: Standby, rounds: usize) {
    let first = Cluster::start(SETTINGS);
    let database = first.database();
    let second = first.standby();
    let hosts = format!("127.0.0.1:{},127.0.0.1:{}", first.port, second.port);
    let server = shop_at(&database.url_at(&hosts)).serve();
    let arrive = |number| Writer::arrive(&server, &format!("client-{number}"));
    let mut writers: Vec<_> = (0..CLIENTS).map(arrive).collect();
    let probe = Visitor::arrive(&server, "probe@example.com");
    let (mut lost, mut most, mut slowest) = (0, 0, [Duration::ZERO; 2]);
    for round in 0..rounds {
        let [primary, standby] = if round % 2 == 0 { [&first, &second] } else { [&second, &first] };
        if round > 0 {
            standby.follow(primary);
        }
        waits_for_its_standby(primary, kind);
        let before = Stored::of(database.at(primary));
        for writer in &mut writers {
            writer.begin(&before);
        }
        let took = kill_under_load([primary, standby], kind, &server, &mut writers, &probe);
        let promoted = database.at(standby);
        let stored = Stored::of(promoted);
        let lost_now = writers.iter_mut().map(|writer| writer.lost(&stored)).sum::<usize>();
        match kind {
            Standby::Synchronous => assert_eq!(lost_now, 0, "in round {round}"),
            Standby::Asynchronous => {}
            Standby::Late => assert!(lost_now > 0, "a loss is not noticed"),
        }
        is_sound(promoted);
        (lost, most) = (lost + lost_now, most.max(lost_now));
        slowest = [0, 1].map(|which| slowest[which].max(took[which]));
    }
    readiness_becomes(200, &server);
    for writer in &writers {
        settled(|| writer.user.rename(&server, "Bea")).is(200);
    }
    is_calm(&server.logged());
    let total = |of: fn(&Writer) -> usize| writers.iter().map(of).sum::<usize>();
    say(format_args!(
        "{rounds} failovers, {kind:?}: {} acknowledged, {lost} lost ({most} at most in one), {} unknown; the next write \
         {:?} after the kill and {:?} after the promotion at most",
        total(|writer| writer.acknowledged),
        total(|writer| writer.unknown),
        slowest[0],
        slowest[1],
    ));
}

/// Makes a standby that follows synchronous if it is to be, and waits until it has received everything.
fn waits_for_its_standby(primary: &Cluster, kind: Standby) {
    let state = if kind == Standby::Synchronous {
        // Not before the standby is a copy of it, which would wait for a standby of its own.
        primary.configure("synchronous_standby_names = '*'");
        primary.reload();
        "sync"
    } else {
        "async"
    };
    let in_step = format!(
        "SELECT count(*) FROM pg_stat_replication WHERE sync_state = '{state}' AND state = 'streaming' \
         AND replay_lsn = pg_current_wal_lsn()"
    );
    wait_for("the standby", || (primary.sql("postgres", &in_step) == "1").then_some(()));
}

/// How long it takes until a write is acknowledged again: from the kill, and from the promotion.
fn kill_under_load(
    [primary, standby]: [&Cluster; 2],
    kind: Standby,
    server: &Server,
    writers: &mut [Writer],
    probe: &Visitor,
) -> [Duration; 2] {
    let load = &Load::default();
    thread::scope(|scope| {
        for writer in writers {
            scope.spawn(move || writer.write_until_it_is_over(server, load));
        }
        let _ends = Ends(&load.is_over);
        load.goes_on(CLIENTS);
        if kind == Standby::Late {
            primary.hold_back_standbys();
            load.goes_on(CLIENTS);
        }
        thread::sleep(Duration::from_millis(random(100) as u64)); // anywhere between two answers
        let killed = Instant::now();
        primary.crash();
        load.edits_end.store(true, Ordering::SeqCst);
        standby.promote();
        let promoted = Instant::now();
        wait_for("the next write", || match outcome(&probe.rename(server, "n0")) {
            Outcome::Done => Some(()),
            Outcome::NotDone | Outcome::Unknown => None,
        });
        let took = [killed.elapsed(), promoted.elapsed()];
        load.goes_on(CLIENTS / 2);
        took
    })
}

#[test]
#[ignore = "needs PostgreSQL: .ci/run has one"]
fn a_synchronous_standby_takes_over_and_nothing_is_lost() {
    fail_over(Standby::Synchronous, rounds(20));
}

#[test]
#[ignore = "needs PostgreSQL: .ci/run has one"]
fn an_asynchronous_standby_takes_over_and_the_store_is_sound() {
    fail_over(Standby::Asynchronous, rounds(5));
}

#[test]
#[ignore = "needs PostgreSQL: .ci/run has one"]
fn a_late_standby_takes_over_and_lacks_what_it_had_not_received() {
    fail_over(Standby::Late, rounds(3));
}

#[test]
#[ignore = "needs PostgreSQL: .ci/run has one"]
fn one_of_two_processes_is_killed_and_nothing_is_lost() {
    let (database, shop) = new_shop();
    let survivor = shop.serve();
    let mut all = Vec::new();
    for round in 0..rounds(5) {
        let killed = shop.serve();
        let mut at_killed = arrive_at(&killed, &format!("killed-{round}"));
        let mut at_survivor = arrive_at(&survivor, &format!("survivor-{round}"));
        let before = Stored::of(database);
        for writer in at_killed.iter_mut().chain(&mut at_survivor) {
            writer.begin(&before);
        }
        let [of_killed, of_survivor] = [&Load::default(), &Load::default()];
        thread::scope(|scope| {
            for writer in &mut at_killed {
                let server = &killed;
                scope.spawn(move || writer.write_until_it_is_over(server, of_killed));
            }
            for writer in &mut at_survivor {
                let server = &survivor;
                scope.spawn(move || writer.write_until_it_is_over(server, of_survivor));
            }
            let _ends = [Ends(&of_killed.is_over), Ends(&of_survivor.is_over)];
            of_killed.goes_on(CLIENTS / 2);
            of_survivor.goes_on(1);
            thread::sleep(Duration::from_millis(random(100) as u64)); // anywhere between two answers
            of_killed.server_killed.store(true, Ordering::SeqCst);
            kill_process(killed.pid(), Signal::KILL).unwrap();
            of_survivor.goes_on(CLIENTS / 2);
        });
        // What the killed process had sent may still be on its way to be done.
        wait_for("its connections to end", || {
            let connections = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                               AND pid <> pg_backend_pid() AND state <> 'idle'";
            (database.number(connections) == 0).then_some(())
        });
        let stored = Stored::of(database);
        for writer in at_killed.iter_mut().chain(&mut at_survivor) {
            assert_eq!(writer.lost(&stored), 0, "of {}", writer.acknowledged);
        }
        all.extend(at_killed.into_iter().chain(at_survivor));
    }
    for writer in &all {
        settled(|| writer.user.rename(&survivor, "Bea")).is(200);
    }
    is_sound(database);
    is_calm(&survivor.logged());
    let total = |of: fn(&Writer) -> usize| all.iter().map(of).sum::<usize>();
    say(format_args!(
        "{} processes killed beside another one: {} acknowledged, 0 lost, {} unknown",
        rounds(5),
        total(|writer| writer.acknowledged),
        total(|writer| writer.unknown),
    ));
}

fn arrive_at(server: &Server, name: &str) -> Vec<Writer> {
    (0..CLIENTS / 2).map(|number| Writer::arrive(server, &format!("{name}-{number}"))).collect()
}
