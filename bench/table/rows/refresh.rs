//! `POST /auth/refresh`, each durable before it is answered, by many connections beside one, and beside SQLite alone.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use rusqlite::Connection;

use super::{
    super::{
        figures::float,
        load::{Exchange, Seen, drive, send},
        report::{Goal, Report, Row},
        seed,
        setting::Setting,
        shop::Server,
    },
    CONNECTIONS,
};

pub fn measure(setting: &Setting, report: &mut Report) {
    let (turns, shop) = (&setting.turns, setting.few());
    let server = shop.serve();
    let mut many: Vec<_> =
        seed::customers().take(CONNECTIONS).map(|person| Refresher::new(&server, person)).collect();
    let mut one = vec![Refresher::new(&server, seed::customers().nth(CONNECTIONS).unwrap())];
    let folder = tempfile::tempdir().unwrap();
    let writer = bare_writer(&folder.path().join("bare.db"));
    let [many, one, bare] = turns.take([
        &mut || drive(server.address, &mut many, turns.length),
        &mut || drive(server.address, &mut one, turns.length),
        &mut || commits(&writer, turns.length),
    ]);
    report.add(
        Row::new(
            format!("POST /auth/refresh, durable, {CONNECTIONS} connections"),
            many.median(Seen::rate),
            "/s",
        )
        .beside("one connection", one.median(Seen::rate), many.ratio(Seen::rate, &one, Seen::rate))
        .wanted(Goal::AtLeast(10.0)),
    );
    report.add(
        Row::new("… the slowest answer of all turns", many.most(Seen::slowest), "ms")
            .beside("the median", many.median(Seen::p50), many.most(stretch))
            .wanted(Goal::AtMost(10.0)),
    );
    let rows = |commits: &Seen| commits.rate() * float(CONNECTIONS as u64);
    report.add(Row::new("… the rate", many.median(Seen::rate), "/s").beside(
        format!("rows of SQLite alone, {CONNECTIONS} to a commit"),
        bare.median(rows),
        many.ratio(Seen::rate, &bare, rows),
    ));
    report.add(Row::new("… the slowest of all turns, in medians", many.most(stretch), "").beside(
        "the commits of SQLite alone: what the disk does by itself",
        bare.most(stretch),
        many.ratio(stretch, &bare, stretch),
    ));
}

/// How many times the median the slowest took.
fn stretch(seen: &Seen) -> f64 {
    seen.slowest() / seen.p50()
}

/// A client that renews its tokens, and again with the new ones.
pub(super) struct Refresher {
    token: String,
}

impl Refresher {
    pub(super) fn new(server: &Server, person: seed::Person) -> Self {
        Self { token: server.log_in(&person.email()).refresh }
    }
}

impl Exchange for Refresher {
    fn ask(&mut self, request: &mut Vec<u8>) {
        let body = format!(r#"{{"refresh_token":"{}"}}"#, self.token);
        request.extend(send("POST", "/auth/refresh", None, &body));
    }

    fn hear(&mut self, body: &[u8]) {
        let body = std::str::from_utf8(body).unwrap();
        let (_, rest) = body.split_once(r#""refresh_token":""#).unwrap();
        rest.split_once('"').unwrap().0.clone_into(&mut self.token);
    }
}

/// A file with rows like those of sessions, as durable as ours.
fn bare_writer(path: &Path) -> Connection {
    let connection = Connection::open(path).unwrap();
    connection
        .execute_batch(
            "PRAGMA journal_mode = wal; PRAGMA synchronous = full;
             CREATE TABLE sessions (seq INTEGER PRIMARY KEY, current BLOB, previous BLOB, used INTEGER);
             WITH RECURSIVE n(seq) AS (SELECT 1 UNION ALL SELECT seq + 1 FROM n WHERE seq < 1000)
             INSERT INTO sessions SELECT seq, zeroblob(32), zeroblob(32), 0 FROM n;",
        )
        .unwrap();
    connection
}

/// Changes as many rows in each commit as there are connections, on one thread, for so long.
fn commits(connection: &Connection, length: Duration) -> Seen {
    let mut change = connection
        .prepare("UPDATE sessions SET previous = current, current = randomblob(32), used = ?2 WHERE seq = ?1")
        .unwrap();
    let (start, mut times) = (Instant::now(), Vec::new());
    while start.elapsed() < length {
        let begun = Instant::now();
        connection.execute_batch("BEGIN IMMEDIATE").unwrap();
        for row in (1..=1000).step_by(1000 / CONNECTIONS).take(CONNECTIONS) {
            change.execute((row, begun.elapsed().subsec_nanos())).unwrap();
        }
        connection.execute_batch("COMMIT").unwrap();
        times.push(begun.elapsed());
    }
    let count = times.len();
    Seen::new(times, count, length)
}
