//! Look-ups of sessions by the store alone: those that wait together in one query, beside a query each.

use std::time::Duration;

use super::{
    super::super::{
        look_ups::{LookUps, Queries, WAITING},
        process,
        report::{Goal, Report, Row},
        setting::Setting,
    },
    Engines,
};

/// What was done in one turn.
struct Done {
    rate: f64,
    /// The median, in milliseconds.
    p50: f64,
    /// CPU time for one, in microseconds: of the process with the store, and of PostgreSQL.
    own: f64,
    database: f64,
}

pub fn measure(engines: &Engines, setting: &Setting, report: &mut Report) {
    let sessions = engines.cluster.add_sessions_of(engines.users / 2);
    let look_ups = std::cell::RefCell::new(LookUps::start(&engines.cluster.url(), &sessions));
    let run = |queries: Queries, length: Duration| {
        let mut look_ups = look_ups.borrow_mut();
        let pid = look_ups.pid();
        let run = || process::cpu_of(pid, || look_ups.run(queries, length));
        let (((count, p50), own), database) = process::cpu_of_all(engines.cluster.pid(), run);
        let for_one = |time: Duration| time.as_secs_f64() * 1e6 / count;
        Done { rate: count / length.as_secs_f64(), p50, own: for_one(own), database: for_one(database) }
    };
    // Connections are made, and statements prepared.
    for queries in [Queries::Together, Queries::Each] {
        run(queries, setting.turns.length / 3);
    }
    let [together, each] =
        setting.turns.take([&mut || run(Queries::Together, setting.turns.length), &mut || {
            run(Queries::Each, setting.turns.length)
        }]);
    let what = "a query each, 4 connections";
    let add = |report: &mut Report, name: String, unit, figure: fn(&Done) -> f64, goal| {
        let ratio = together.ratio(figure, &each, figure);
        let row = Row::new(name, together.median(figure), unit);
        report.add(row.beside(what, each.median(figure), ratio).wanted(goal));
    };
    let name = format!("look-ups of sessions put together, {WAITING} waiting, without HTTP");
    add(report, name, "/s", |done| done.rate, Goal::AtLeast(2.0));
    add(
        report,
        "… CPU of both sides for one".into(),
        "µs",
        |done| done.own + done.database,
        Goal::AtMost(0.5),
    );
    add(report, "… CPU of the process for one".into(), "µs", |done| done.own, Goal::None);
    add(report, "… CPU of PostgreSQL for one".into(), "µs", |done| done.database, Goal::None);
    add(report, "… the median wait".into(), "ms", |done| done.p50, Goal::None);
}
