//! A page of users by the API on PostgreSQL, beside its statement in psql.

use super::{
    super::super::{
        figures::{median, short},
        postgres::{Plan, Statement},
        report::{Goal, Report, Row},
        setting::Setting,
    },
    super::list::Asker,
    Engines,
};

const PATH: &str = "/users?limit=50";
/// What only this statement has: it reads the rows of a page by their keys.
const PART: &str = " k JOIN users u ON ";

pub fn measure(engines: &Engines, asker: &mut Asker, setting: &Setting, report: &mut Report) {
    let times = if setting.quick { 5 } else { 31 };
    let sent = engines.cluster.statements(|| {
        asker.ask(PATH);
    });
    let page: Vec<Statement> = sent.into_iter().filter(|statement| statement.contains(PART)).collect();
    let [page] = &page[..] else { panic!("a page took {} statements", page.len()) };
    let psql = |plan| median(engines.cluster.psql_times(page, plan, times));
    let [here, planned, prepared] = setting.turns.take([
        &mut || median((0..times).map(|_| asker.ask(PATH).0)),
        &mut || psql(Plan::EachTime),
        &mut || psql(Plan::Prepared),
    ]);
    let time = |time: &f64| *time;
    let users = short(engines.users.into());
    report.add(
        Row::new(format!("GET /users, 50 among {users}, PostgreSQL"), here.median(time), "ms")
            .beside("its statement in psql", planned.median(time), here.ratio(time, &planned, time))
            .wanted(Goal::AtMost(1.5)),
    );
    report.add(Row::new("… the same", here.median(time), "ms").beside(
        "its statement in psql, prepared",
        prepared.median(time),
        here.ratio(time, &prepared, time),
    ));
}
