//! A long run at half of the capacity: what grows, and what gets slower.

use std::{
    collections::HashMap,
    fs, iter,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::{
    connection,
    crowd::ask,
    float, is_calm, is_sound,
    process::{descriptors, memory, own_memory},
    say, shop,
    shop::{PASSWORD, Reply, Server, Shop, wait_for},
};

const CLIENTS: usize = 8;
/// From here on figures are compared: a shorter time has hardly warmed up.
const LONG: Duration = Duration::from_mins(15);
const MIB: u64 = 1 << 20;

#[test]
#[ignore = "needs root and a disk to break: .ci/run has one"]
fn a_long_time_at_half_of_the_capacity_lets_nothing_grow() {
    let length = length();
    let shop = shop().with("AUTH__ACCESS_TTL", "12h");
    shop.create_admin("boss@example.com").is(0);
    let server = shop.serve();
    let day = Day {
        server: &server,
        admin: server.token("boss@example.com"),
        codes: Mutex::default(),
        took: Mutex::default(),
        is_over: AtomicBool::new(false),
    };
    let (mut lives, mut samples) = (0, Vec::new());
    let day = &day;
    thread::scope(|scope| {
        let end = End(&day.is_over);
        scope.spawn(|| day.read_messages());
        let start = Instant::now();
        let first = day.live("first", (length / 4).min(Duration::from_secs(30)), None);
        let capacity = float(first as u64) / start.elapsed().as_secs_f64();
        say(format_args!("{CLIENTS} clients at once: {capacity:.1} lives of 16 requests a second"));
        day.took.lock().unwrap().clear();
        let start = Instant::now();
        let interval = Duration::from_secs_f64(2.0 / capacity);
        let living = scope.spawn(move || day.live("long", length, Some(interval)));
        samples = sample(&shop, &server, length);
        lives = living.join().unwrap();
        let planned = length.as_secs_f64() / interval.as_secs_f64();
        say(format_args!("{lives} of {planned:.0} lives in {:.0?}", start.elapsed()));
        drop(end);
    });
    let report = Report::new(&samples, &day.took.lock().unwrap(), length);
    say(&report.text);
    is_calm(&server.logged());
    is_sound(&connection(&shop));
    assert!(lives > 0);
    assert!(report.log <= 64 * MIB, "the log is large without readers");
    assert!(report.log_at_the_end <= 64 * MIB, "the log stays large after the last reader");
    assert!(report.descriptors <= 2, "descriptors are left open");
    if length >= LONG {
        assert!(report.growth <= 0.05, "memory grows");
        // Loosely: machines that do other things, too, are slow at times.
        assert!(report.drift <= 3.0, "answers get slower");
    }
    server.stop(Signal::TERM).is(0);
}

/// How long it takes: `SOAK_MINUTES`, or a few seconds.
fn length() -> Duration {
    #[expect(clippy::disallowed_methods, reason = "a setting of this test")]
    let asked = std::env::var("SOAK_MINUTES");
    asked.map_or(Duration::from_secs(12), |minutes| Duration::from_mins(minutes.parse().unwrap()))
}

/// What happens, and how long it took.
struct Day<'a> {
    server: &'a Server,
    admin: String,
    codes: Mutex<HashMap<String, String>>,
    took: Mutex<Vec<Took>>,
    is_over: AtomicBool,
}

/// Says that the day is over, whatever ends it.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// When a request was answered, how long that took, and whether it had a password in it.
#[derive(Clone, Copy)]
struct Took {
    at: Instant,
    time: Duration,
    hashes: bool,
}

impl Day<'_> {
    /// Lives one after the other, each begun when it is due, or at once; answers how many.
    fn live(&self, name: &str, length: Duration, interval: Option<Duration>) -> usize {
        let (start, next, lived) = (Instant::now(), AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..CLIENTS {
                scope.spawn(|| {
                    while start.elapsed() < length {
                        let number = next.fetch_add(1, Ordering::SeqCst);
                        let due = interval.map_or(Duration::ZERO, |interval| {
                            interval.mul_f64(f64::from(u32::try_from(number).unwrap()))
                        });
                        if due >= length {
                            break;
                        }
                        thread::sleep(due.saturating_sub(start.elapsed()));
                        self.live_once(&format!("{name}-{number}@example.com"), number % 2 == 0);
                        lived.fetch_add(1, Ordering::SeqCst);
                    }
                });
            }
        });
        lived.into_inner()
    }

    /// A user signs up, sends requests, and logs out; half of them delete their account.
    fn live_once(&self, email: &str, for_good: bool) {
        let login = json!({ "email": email, "password": PASSWORD });
        self.ask("POST", "/auth/signup", "", Some(&login)).is(201);
        let code = wait_for("a code", || self.codes.lock().unwrap().remove(email));
        self.ask("POST", "/auth/verify", "", Some(&json!({ "email": email, "code": code }))).is(200);
        let mut tokens = self.ask("POST", "/auth/login", "", Some(&login)).is(200).json();
        for _ in 0..3 {
            for _ in 0..2 {
                self.ask("GET", "/me", text(&tokens, "access_token"), None).is(200);
            }
            let refresh = json!({ "refresh_token": text(&tokens, "refresh_token") });
            tokens = self.ask("POST", "/auth/refresh", "", Some(&refresh)).is(200).json();
        }
        let access = text(&tokens, "access_token");
        self.ask("PATCH", "/me", access, Some(&json!({ "first_name": "Ann" }))).is(200);
        self.ask("GET", "/users?limit=50&include_total=true", &self.admin, None).is(200);
        self.ask("GET", &format!("/users?q={}", &email[..email.len() - 4]), &self.admin, None).is(200);
        if for_good {
            self.ask("DELETE", "/me", access, Some(&json!({ "current_password": PASSWORD }))).is(204);
        } else {
            let refresh = json!({ "refresh_token": text(&tokens, "refresh_token") });
            self.ask("POST", "/auth/logout", "", Some(&refresh)).is(204);
        }
    }

    fn ask(&self, method: &str, path: &str, token: &str, body: Option<&Value>) -> Reply {
        let asked = Instant::now();
        let reply = ask(self.server.address, method, path, token, body).unwrap();
        let hashes = matches!(path, "/auth/signup" | "/auth/login") || method == "DELETE";
        self.took.lock().unwrap().push(Took { at: Instant::now(), time: asked.elapsed(), hashes });
        reply
    }

    /// Reads the codes that are printed.
    fn read_messages(&self) {
        let mut read = 0;
        while !self.is_over.load(Ordering::SeqCst) {
            let printed = self.server.printed_after(read);
            let whole = printed.rfind("\n---\n").map_or(0, |end| end + 5);
            let messages = printed[..whole].split("--- message to ").skip(1);
            let codes = messages.filter_map(|message| {
                let (email, rest) = message.split_once(" ---\n")?;
                let (_, code) = rest.split_once("Code: ")?;
                Some((email.to_owned(), code.get(..6)?.to_owned()))
            });
            self.codes.lock().unwrap().extend(codes);
            read += whole;
            thread::sleep(Duration::from_millis(10));
        }
    }
}

fn text<'a>(tokens: &'a Value, name: &str) -> &'a str {
    tokens[name].as_str().unwrap()
}

/// What a server has at a moment.
struct Sample {
    at: Instant,
    memory: u64,
    own_memory: u64,
    descriptors: usize,
    log: u64,
}

/// Looks at the server again and again; in the middle third of the time another process reads the file.
fn sample(shop: &Shop, server: &Server, length: Duration) -> Vec<Sample> {
    let start = Instant::now();
    let log = shop.database().with_extension("db-wal");
    let mut reader = None;
    let look = || {
        let past = start.elapsed();
        if past < length / 3 || past > length * 2 / 3 {
            reader = None;
        } else if reader.is_none() {
            let sql = connection(shop);
            sql.execute_batch("BEGIN; SELECT count(*) FROM users").unwrap();
            reader = Some(sql);
        }
        thread::sleep((length / 500).max(Duration::from_millis(50)));
        (past < length).then(|| Sample {
            at: Instant::now(),
            memory: memory(server),
            own_memory: own_memory(server),
            descriptors: descriptors(server),
            log: fs::metadata(&log).map_or(0, |file| file.len()),
        })
    };
    iter::from_fn(look).collect()
}

/// What came of it.
struct Report {
    text: String,
    /// By which part the memory has grown since the end of the first third. Without maps of files: the index of the log is
    /// one, and stays as large as the log was during that read.
    growth: f64,
    /// How many more descriptors were open at least, in the last third.
    descriptors: usize,
    /// The size of the log without another reader.
    log: u64,
    log_at_the_end: u64,
    /// The slowest of a hundred in the last third, in those of the first.
    drift: f64,
}

impl Report {
    fn new(samples: &[Sample], took: &[Took], length: Duration) -> Self {
        let start = samples[0].at;
        let within = |from: f64, to: f64| {
            samples.iter().filter(move |sample| {
                (length.mul_f64(from)..length.mul_f64(to)).contains(&sample.at.duration_since(start))
            })
        };
        let memory = |of: fn(&Sample) -> u64| {
            let at = |from, to| median(within(from, to).map(of).collect());
            (at(0.33, 0.4), at(0.9, 1.1))
        };
        let (whole, own) = (memory(|sample| sample.memory), memory(|sample| sample.own_memory));
        let least = |from, to| within(from, to).map(|sample| sample.descriptors).min().unwrap();
        let most = |from, to| within(from, to).map(|sample| sample.log).max().unwrap();
        let log_at_the_end = samples.last().unwrap().log;
        let slow = |hashes: bool, from: f64, to: f64| {
            let within = took.iter().filter(|took| {
                took.hashes == hashes
                    && (length.mul_f64(from)..length.mul_f64(to))
                        .contains(&took.at.saturating_duration_since(start))
            });
            let mut times: Vec<_> = within.map(|took| took.time).collect();
            times.sort_unstable();
            times[times.len() * 99 / 100]
        };
        let [light, hashing] = [false, true].map(|hashes| (slow(hashes, 0.1, 0.33), slow(hashes, 0.67, 1.1)));
        let ratio = |(first, last): (Duration, Duration)| last.as_secs_f64() / first.as_secs_f64();
        let report = Self {
            text: String::new(),
            growth: float(own.1) / float(own.0) - 1.0,
            descriptors: least(0.67, 1.1).saturating_sub(least(0.0, 0.33)),
            log: most(0.0, 0.33),
            log_at_the_end,
            drift: ratio(light).max(ratio(hashing)),
        };
        let text = format!(
            "{} requests; own memory {} KiB after a third, {} at the end ({:+.1} %), with maps of files {} and {}; descriptors \
             at least {} in the first third, {} in the last; the log at most {:.1} MiB, while another process reads {:.1}, at \
             the end {:.1}; 99 of 100 within {:.1?}, then {:.1?}; with a password within {:.1?}, then {:.1?}",
            took.len(),
            own.0,
            own.1,
            report.growth * 100.0,
            whole.0,
            whole.1,
            least(0.0, 0.33),
            least(0.67, 1.1),
            mebibytes(report.log),
            mebibytes(most(0.33, 0.7)),
            mebibytes(log_at_the_end),
            light.0,
            light.1,
            hashing.0,
            hashing.1,
        );
        Self { text, ..report }
    }
}

fn mebibytes(bytes: u64) -> f64 {
    float(bytes) / float(MIB)
}

fn median(mut values: Vec<u64>) -> u64 {
    values.sort_unstable();
    values[values.len() / 2]
}
