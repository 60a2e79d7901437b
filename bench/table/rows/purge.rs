//! The clean-up of one in five of very many users: how long it takes, how long a writer waits meanwhile, how
//! large the write-ahead log grows; and that it can be stopped at any point.

use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use coffeeshop::domain::Clock;
use rusqlite::Connection;
use rustix::process::Signal;

use super::super::{
    figures::{float, mebibytes, short},
    load::{Client, Exchange, probe, send},
    report::{Goal, Report, Row},
    seed,
    setting::Setting,
    shop::Shop,
};

/// The pause of a writer between two writes.
const PAUSE: Duration = Duration::from_millis(2);
const SAMPLE: Duration = Duration::from_millis(5);
/// What a server says when it is through.
const DONE: &str = "cleaned up";

pub fn measure(setting: &Setting, report: &mut Report) {
    let shop = setting.many().copy();
    let (token, due) = prepare(&shop);
    let stopped = shop.copy();
    let wal = shop.database().with_extension("db-wal");
    let started = Instant::now();
    let server = shop.serve();
    let (done, largest) = (AtomicBool::new(false), AtomicU64::new(0));
    let (meanwhile, took) = thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                largest.fetch_max(fs::metadata(&wal).map_or(0, |file| file.len()), Ordering::Relaxed);
                thread::sleep(SAMPLE);
            }
        });
        let writer = scope.spawn(|| {
            probe(&mut Client::new(server.address), &mut Renamer::new(&token), PAUSE, |_| {
                !done.load(Ordering::Relaxed)
            })
        });
        server.wait_for(DONE);
        let took = started.elapsed();
        done.store(true, Ordering::Relaxed);
        (writer.join().unwrap(), took)
    });
    let rest = probe(&mut Client::new(server.address), &mut Renamer::new(&token), PAUSE, |past| {
        past < setting.turns.length
    });
    drop(server);
    let work = format!("clean-up of {} of {}", short(float(due)), setting.many_users());
    report.add(
        Row::new(format!("{work}, from the start of the server"), took.as_secs_f64(), "s")
            .wanted(Goal::Under(15.0)),
    );
    let what = "the same when it is over";
    report.add(
        Row::new("… the longest wait of who changes their name meanwhile", meanwhile.slowest(), "ms")
            .beside(what, rest.slowest(), meanwhile.slowest() / rest.slowest())
            .wanted(Goal::Under(50.0)),
    );
    report.add(
        Row::new("… the median wait", meanwhile.p50(), "ms")
            .beside(what, rest.p50(), meanwhile.p50() / rest.p50())
            .wanted(Goal::Under(5.0)),
    );
    report.add(
        Row::new("… the write-ahead log at most", mebibytes(largest.into_inner()), "MiB")
            .wanted(Goal::Under(16.0)),
    );
    drop(shop);
    interrupt(&stopped, setting, due, report);
}

/// Has every unverified user expired two days after their sign-up; answers the token of
/// a user, and how many they are.
fn prepare(shop: &Shop) -> (String, u64) {
    let server = shop.serve_with(&[("CLEANUP__ENABLED", "false")]);
    let token = server.log_in(&seed::customers().next().unwrap().email()).access;
    server.end(Signal::TERM);
    let connection = Connection::open(shop.database()).unwrap();
    let due = connection
        .execute(
            &format!(
                "UPDATE users SET expires_at = created_at + 172800000 WHERE expires_at = {}",
                seed::FAR_AWAY
            ),
            [],
        )
        .unwrap();
    connection.query_row("PRAGMA wal_checkpoint(truncate)", [], |_| Ok(())).unwrap();
    (token, due as u64)
}

/// Stops the clean-up softly, then hard, and lets it come to its end.
fn interrupt(shop: &Shop, setting: &Setting, due: u64, report: &mut Report) {
    let after = if setting.quick { Duration::from_millis(100) } else { Duration::from_secs(1) };
    let due_now = format!("expires_at <= {}", Clock::system().now().millis());
    let kept = count(&shop.database(), "status = 'verified'");
    let mut left = Vec::new();
    for signal in [Signal::TERM, Signal::KILL] {
        let server = shop.serve();
        thread::sleep(after);
        server.end(signal);
        left.push(count(&shop.database(), &due_now));
    }
    let server = shop.serve();
    server.wait_for(DONE);
    server.end(Signal::TERM);
    let lost = kept - count(&shop.database(), "status = 'verified'");
    let remains = count(&shop.database(), &due_now);
    let check: String = Connection::open(shop.database())
        .unwrap()
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .unwrap();
    let work = format!(
        "… stopped with {} left, killed with {}, resumed: of {}, those who are left",
        short(float(left[0])),
        short(float(left[1])),
        short(float(due))
    );
    report.add(Row::new(work, float(remains), "").met(remains == 0 && lost == 0 && check == "ok"));
}

fn count(path: &Path, which: &str) -> u64 {
    let connection = Connection::open(path).unwrap();
    let sql = format!("SELECT count(*) FROM users WHERE {which}");
    connection.query_row(&sql, [], |row| row.get::<_, i64>(0)).unwrap().cast_unsigned()
}

/// A user who changes their name, and back: the same name again would be no write.
struct Renamer([Vec<u8>; 2]);

impl Renamer {
    fn new(token: &str) -> Self {
        let request = |name| send("PATCH", "/me", Some(token), &format!(r#"{{"first_name":"{name}"}}"#));
        Self(["Ann", "Anna"].map(request))
    }
}

impl Exchange for Renamer {
    fn ask(&mut self, request: &mut Vec<u8>) {
        self.0.swap(0, 1);
        request.extend_from_slice(&self.0[0]);
    }
}
