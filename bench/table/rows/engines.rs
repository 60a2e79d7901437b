//! The same work on PostgreSQL and on SQLite, side by side: `bench/run --engine postgres`.

mod isolation;
mod look_ups;
mod page;
mod processes;
mod slow_disk;
mod small;

use std::time::{Duration, Instant};

pub use self::{
    isolation::measure as isolation, look_ups::measure as look_ups, processes::measure as processes,
    slow_disk::measure as slow_disk,
};
use super::{
    super::{
        figures::{Pace, median, short},
        load::{Always, Exchange, drive, get},
        postgres::{Cluster, Disk},
        process,
        report::{Details, Goal, Report, Row},
        seed,
        setting::Setting,
        shop::{Server, Shop, login},
        turns::Taken,
    },
    CONNECTIONS,
    list::{
        Asker,
        queries::{self, Kind, Query},
    },
    many::InTurn,
    refresh::Refresher,
    signup::{Newcomers, WITHOUT_LIMITS},
};

const USERS: u32 = 200_000;
const USERS_IF_QUICK: u32 = 20_000;
/// How many sign up at once.
const NEWCOMERS: usize = 8;
/// How long one query is asked at most, on both engines together.
const BUDGET: Duration = Duration::from_secs(1);

/// The same users on both engines.
pub struct Engines {
    shops: [Shop; 2],
    cluster: Cluster,
    users: u32,
    length: Duration,
}

/// What was done in one turn.
struct Work {
    pace: Pace,
    p50: f64,
    /// CPU time of PostgreSQL for one, in microseconds.
    database: f64,
}

impl Engines {
    pub fn new(setting: &Setting) -> Self {
        let users = if setting.quick { USERS_IF_QUICK } else { USERS };
        let (sqlite, cluster) = (Shop::with_users(users), Cluster::with_users(users, Disk::Own));
        Self { shops: [Shop::new(), sqlite], cluster, users, length: setting.turns.length }
    }

    /// Starts a server on PostgreSQL and one on SQLite.
    fn serve(&self, settings: &[(&str, &str)]) -> [Server; 2] {
        let [postgres, sqlite] = &self.shops;
        [self.cluster.serve_with(postgres, settings), sqlite.serve_with(settings)]
    }

    fn drive<T: Exchange>(&self, server: &Server, exchanges: &mut [T]) -> Work {
        work(&self.cluster, server, exchanges, self.length).0
    }
}

/// Drives a server on a cluster; returns how many requests that were, too.
fn work<T: Exchange>(
    cluster: &Cluster,
    server: &Server,
    exchanges: &mut [T],
    length: Duration,
) -> (Work, f64) {
    let driven = || process::cpu_of(server.pid(), || drive(server.address, exchanges, length));
    let ((seen, cpu), database) = process::cpu_of_all(cluster.pid(), driven);
    let pace = Pace::new(seen.rate(), seen.count(), cpu);
    let database = database.as_secs_f64() * 1e6 / seen.count();
    (Work { pace, p50: seen.p50(), database }, seen.count())
}

impl Work {
    const fn rate(&self) -> f64 {
        self.pace.rate
    }

    const fn cpu(&self) -> f64 {
        self.pace.cpu
    }

    const fn database(&self) -> f64 {
        self.database
    }
}

/// The rates and what they cost.
fn compare(report: &mut Report, work: &str, [postgres, sqlite]: [&Taken<Work>; 2]) {
    for (what, unit, figure) in
        [("rate", "/s", Work::rate as fn(&Work) -> f64), ("CPU of the server for one", "µs", Work::cpu)]
    {
        let ratio = postgres.ratio(figure, sqlite, figure);
        report.add(Row::new(format!("{work}, PostgreSQL, {what}"), postgres.median(figure), unit).beside(
            "SQLite",
            sqlite.median(figure),
            ratio,
        ));
    }
    report.add(Row::new("… CPU of PostgreSQL for one", postgres.median(Work::database), "µs"));
}

/// `GET /me`: a look-up in PostgreSQL, on SQLite mostly an answer from memory.
pub fn me(engines: &Engines, setting: &Setting, report: &mut Report) {
    let servers = engines.serve(&[]);
    let [postgres, sqlite] = servers.each_ref().map(|server| {
        let sessions = seed::customers().take(CONNECTIONS).map(|person| server.log_in(&person.email()));
        sessions.map(|session| Always(get("/me", &session.access))).collect::<Vec<_>>()
    });
    let ask = |server: usize, requests: &[Always]| engines.drive(&servers[server], &mut requests.to_vec());
    let [many, beside] = setting.turns.take([&mut || ask(0, &postgres), &mut || ask(1, &sqlite)]);
    compare(report, &format!("GET /me, {CONNECTIONS} connections"), [&many, &beside]);
    let [one, beside, trip] = setting.turns.take([
        &mut || ask(0, &postgres[..1]).p50,
        &mut || ask(1, &sqlite[..1]).p50,
        &mut || engines.cluster.round_trip(engines.length),
    ]);
    // SQLite answers from memory: what is left of PostgreSQL's time is the look-up.
    let look_up = Taken(one.0.iter().zip(&beside.0).map(|(one, beside)| one - beside).collect());
    let time = |time: &f64| *time;
    report.add(
        Row::new("GET /me, one connection, PostgreSQL less SQLite", look_up.median(time), "ms")
            .beside("SELECT 1 by pgbench", trip.median(time), look_up.ratio(time, &trip, time))
            .wanted(Goal::AtMost(1.3)),
    );
}

/// `POST /auth/login`, each connection as a user of its own.
pub fn log_in(engines: &Engines, setting: &Setting, report: &mut Report) {
    let servers = engines.serve(&[]);
    let requests: Vec<_> = seed::customers().take(CONNECTIONS).map(|person| login(&person.email())).collect();
    let in_turn: Vec<_> = requests.iter().map(Vec::as_slice).collect();
    let ask = |server: usize| {
        let mut exchanges: Vec<_> = requests.iter().cloned().map(Always).collect();
        engines.drive(&servers[server], &mut exchanges)
    };
    let [many, beside, one] = setting.turns.take([
        &mut || ask(0),
        &mut || ask(1),
        // One user alone would meet the limit on logins.
        &mut || engines.drive(&servers[0], &mut [InTurn { requests: &in_turn, next: 0 }]),
    ]);
    compare(report, &format!("POST /auth/login, {CONNECTIONS} connections"), [&many, &beside]);
    beside_one(report, [&many, &one]);
}

/// `POST /auth/refresh`, each connection with a session of its own.
pub fn refresh(engines: &Engines, setting: &Setting, report: &mut Report) {
    let servers = engines.serve(&[]);
    let [mut postgres, mut sqlite] = servers.each_ref().map(|server| {
        let customers = seed::customers().take(CONNECTIONS);
        let refreshers = customers.map(|person| {
            engines.cluster.add_sessions();
            Refresher::new(server, person)
        });
        refreshers.collect::<Vec<_>>()
    });
    let mut alone = [Refresher::new(&servers[0], seed::customers().nth(CONNECTIONS).unwrap())];
    let [many, beside, one] = setting.turns.take([
        &mut || engines.drive(&servers[0], &mut postgres),
        &mut || engines.drive(&servers[1], &mut sqlite),
        &mut || engines.drive(&servers[0], &mut alone),
    ]);
    compare(report, &format!("POST /auth/refresh, {CONNECTIONS} connections"), [&many, &beside]);
    beside_one(report, [&many, &one]);
}

/// How much many connections gain over one on this disk.
fn beside_one(report: &mut Report, [many, one]: [&Taken<Work>; 2]) {
    report.add(Row::new("… PostgreSQL, the rate", many.median(Work::rate), "/s").beside(
        "one connection",
        one.median(Work::rate),
        many.ratio(Work::rate, one, Work::rate),
    ));
}

/// `POST /auth/signup` among many users.
pub fn sign_up(engines: &Engines, setting: &Setting, report: &mut Report) {
    let servers = engines.serve(&WITHOUT_LIMITS);
    let mut turn = [0, 0];
    let [first, second] = &mut turn;
    let ask = |server: usize, turn: &mut u32| {
        *turn += 1;
        let prefix = |connection| format!("{turn}.{connection}");
        let mut exchanges: Vec<_> =
            (0..NEWCOMERS).map(|connection| Newcomers { prefix: prefix(connection), number: 0 }).collect();
        engines.drive(&servers[server], &mut exchanges)
    };
    let [postgres, sqlite] = setting.turns.take([&mut || ask(0, first), &mut || ask(1, second)]);
    let work =
        format!("POST /auth/signup among {} users, {NEWCOMERS} connections", short(engines.users.into()));
    compare(report, &work, [&postgres, &sqlite]);
}

/// `GET /users`: every list, search and count.
pub fn list(engines: &Engines, setting: &Setting, report: &mut Report) {
    let servers = engines.serve(&[]);
    let [_, sqlite] = &engines.shops;
    let mut askers = servers.each_ref().map(Asker::new);
    let times = if setting.quick { 5 } else { 31 };
    let queries = queries::all(&sqlite.database()).into_iter();
    let measured: Vec<_> = queries.map(|query| Measured::new(&mut askers, query, times)).collect();
    let users = short(engines.users.into());
    for (kind, what) in [(Kind::List, "lists"), (Kind::Search, "searches"), (Kind::Count, "counts")] {
        let of_kind = || measured.iter().filter(move |one| one.query.kind == kind);
        let Some(slowest) = of_kind().max_by(|a, b| a.postgres.total_cmp(&b.postgres)) else { continue };
        report.add(
            Row::new(
                format!("GET /users among {users}, median of {} {what}, PostgreSQL", of_kind().count()),
                median(of_kind().map(|one| one.postgres)),
                "ms",
            )
            .beside(
                "SQLite",
                median(of_kind().map(|one| one.sqlite)),
                median(of_kind().map(Measured::ratio)),
            ),
        );
        report.add(
            Row::new(format!("… the slowest: {}", slowest.query.name), slowest.postgres, "ms").beside(
                "SQLite",
                slowest.sqlite,
                slowest.ratio(),
            ),
        );
    }
    let head = ["GET /users, ms", "PostgreSQL", "SQLite"].map(str::to_owned).to_vec();
    let lines = measured.iter().map(Measured::cells).collect();
    report.add_details(Details {
        title: format!("One page among {users} users on both engines"),
        head,
        lines,
    });
    page::measure(engines, &mut askers[0], setting, report);
}

/// What one query took on both engines, in milliseconds.
struct Measured {
    query: Query,
    postgres: f64,
    sqlite: f64,
}

impl Measured {
    fn new([postgres, sqlite]: &mut [Asker; 2], query: Query, times: usize) -> Self {
        let (mut here, mut there) = (Vec::new(), Vec::new());
        let begun = Instant::now();
        while here.len() < times && (here.is_empty() || begun.elapsed() < BUDGET) {
            let (time, users) = postgres.ask(&query.path);
            here.push(time);
            let (time, beside) = sqlite.ask(&query.path);
            there.push(time);
            assert_eq!(users, beside, "the engines differ in {}", query.name);
        }
        Self { query, postgres: median(here), sqlite: median(there) }
    }

    fn ratio(&self) -> f64 {
        self.postgres / self.sqlite
    }

    fn cells(&self) -> Vec<String> {
        vec![self.query.name.clone(), short(self.postgres), short(self.sqlite)]
    }
}
