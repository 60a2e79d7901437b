//! `GET /users` in a large store: first and deepest pages, every sort, filters, searches and counts, beside a small one.

pub(super) mod queries;

use std::time::{Duration, Instant};

use self::queries::{Kind, Query};
use super::super::{
    figures::{median, ms, short},
    load::{Client, get},
    report::{Details, Goal, Report, Row},
    seed,
    setting::Setting,
    shop::Server,
};

/// How long one query is asked at most.
const BUDGET: Duration = Duration::from_secs(2);
/// What the deepest page may cost of the first, and what any page may cost of the same among few users.
const DEPTH: f64 = 1.1;
const GROWTH: f64 = 1.2;

pub fn measure(setting: &Setting, report: &mut Report) {
    let (few, many) = (setting.few(), setting.many());
    let queries = queries::all(&many.database());
    let (few, many) = (few.serve(), many.serve());
    let (mut few, mut many) = (Asker::new(&few), Asker::new(&many));
    let times = if setting.quick { 5 } else { 61 };
    let measured: Vec<_> = queries
        .into_iter()
        .map(|query| {
            // What only noise made slow is not slow twice.
            let measured = Measured::new(&mut many, &mut few, query, times);
            if measured.is_near_a_goal() {
                Measured::new(&mut many, &mut few, measured.query, times)
            } else {
                measured
            }
        })
        .collect();
    summarize(&measured, setting, report);
    let lines = measured.iter().map(Measured::cells).collect();
    let head = ["GET /users, ms", "first page", "deepest", "among 1,000 users"].map(str::to_owned).to_vec();
    report.add_details(Details { title: format!("One page among {}", setting.many_users()), head, lines });
}

/// The slowest and the most different speak for all.
fn summarize(measured: &[Measured], setting: &Setting, report: &mut Report) {
    let users = setting.many_users();
    let of = |kind: Kind| measured.iter().filter(move |one| one.query.kind == kind);
    let lists = of(Kind::List).count();
    let deepest = of(Kind::List).filter_map(|one| Some((one, one.deep? / one.first)));
    if let Some((one, ratio)) = deepest.max_by(|(_, a), (_, b)| a.total_cmp(b)) {
        report.add(
            Row::new(
                format!("GET /users among {users}, deepest page, worst of {lists} lists: {}", one.query.name),
                one.deep.unwrap_or_default(),
                "ms",
            )
            .beside("the first page", one.first, ratio)
            .wanted(Goal::AtMost(DEPTH)),
        );
    }
    for (kind, what) in [(Kind::List, "worst of the lists"), (Kind::Search, "worst of the searches")] {
        if let Some((one, ratio)) =
            of(kind).filter_map(|one| Some((one, one.growth()?))).max_by(|(_, a), (_, b)| a.total_cmp(b))
        {
            report.add(
                Row::new(format!("… {what}: {}", one.query.name), one.first, "ms")
                    .beside("among 1,000, as many on the page", one.few, ratio)
                    .wanted(Goal::AtMost(GROWTH)),
            );
        }
    }
    for (kind, what, most) in
        [(Kind::Search, "slowest of the searches", 10.0), (Kind::Count, "slowest count", 5.0)]
    {
        if let Some(one) = of(kind).max_by(|a, b| a.first.total_cmp(&b.first)) {
            report.add(
                Row::new(format!("… {what}: {}", one.query.name), one.first, "ms").wanted(Goal::Under(most)),
            );
        }
    }
}

/// What one query took, in milliseconds.
struct Measured {
    query: Query,
    first: f64,
    deep: Option<f64>,
    few: f64,
    /// Whether the small store's page has as many users.
    same: bool,
}

impl Measured {
    fn new(many: &mut Asker, few: &mut Asker, query: Query, times: usize) -> Self {
        let (mut first, mut deep, mut small) = (Vec::new(), Vec::new(), Vec::new());
        let (mut here, mut there) = (0, 0);
        let start = Instant::now();
        while first.len() < times && (first.is_empty() || start.elapsed() < BUDGET) {
            let (took, users) = many.ask(&query.path);
            first.push(took);
            here = users;
            if let Some(path) = &query.deep {
                deep.push(many.ask(path).0);
            }
            let (took, users) = few.ask(&query.path);
            small.push(took);
            there = users;
        }
        let deep = (!deep.is_empty()).then(|| median(deep));
        Self { query, first: median(first), deep, few: median(small), same: here == there }
    }

    /// How it stands to the small store, if that is the same work.
    fn growth(&self) -> Option<f64> {
        self.same.then(|| self.first / self.few)
    }

    /// Whether it misses a goal by so little that the machine may have done it.
    fn is_near_a_goal(&self) -> bool {
        let growth = self.growth().unwrap_or_default();
        let depth = self.deep.unwrap_or_default() / self.first;
        growth > GROWTH && growth < GROWTH * 2.0 || depth > DEPTH && depth < DEPTH * 2.0
    }

    fn cells(&self) -> Vec<String> {
        let few = if self.same { short(self.few) } else { format!("{} (fewer users)", short(self.few)) };
        vec![self.query.name.clone(), short(self.first), self.deep.map(short).unwrap_or_default(), few]
    }
}

/// An admin who asks for pages on one connection.
pub(super) struct Asker {
    client: Client,
    token: String,
}

impl Asker {
    pub(super) fn new(server: &Server) -> Self {
        Self { client: Client::new(server.address), token: server.log_in(&seed::admin().email()).access }
    }

    /// How long a page took in milliseconds, and how many users it has.
    pub(super) fn ask(&mut self, path: &str) -> (f64, usize) {
        let request = get(path, &self.token);
        let asked = Instant::now();
        let answer = self.client.ask(&request);
        let took = ms(asked.elapsed());
        (took, String::from_utf8_lossy(answer).matches(r#""created_at":"#).count())
    }
}
