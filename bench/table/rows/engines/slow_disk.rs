//! What many connections gain over one by sharing flushes, on disks where a flush takes long.

use std::time::Duration;

use super::{
    super::super::{
        load::{Exchange, drive},
        postgres::Disk,
        report::{Goal, Report, Row},
        setting::Setting,
        shop::{BEHIND_A_PROXY, Server, Shop, from_client, login},
        turns::Taken,
    },
    super::{CONNECTIONS, many::InTurn},
    Engines,
    small::{SHARE, Small},
};

/// A network disk.
const FLUSH: Duration = Duration::from_millis(20);
/// So long that what is bound by the hash elsewhere is bound by the disk.
const LONG_FLUSH: Duration = Duration::from_millis(60);
/// Flushes are shared by as many as have a connection: one for each of 32, and a few more.
const DATABASE_CONNECTIONS: (&str, &str) = ("DATABASE__CONNECTIONS", "40");
/// How much longer turns take on the slowest disk, so that one connection does something in each.
const LONGER: u32 = 4;

pub fn measure(_: &Engines, setting: &Setting, report: &mut Report) {
    without_hash(setting, report);
    with_hash(setting, report);
}

/// What takes the processor next to no time.
fn without_hash(setting: &Setting, report: &mut Report) {
    let length = setting.turns.length;
    let small = Small::new(Disk::Slow(FLUSH));
    let (cluster, users) = (&small.cluster, small.users);
    let shops = [Shop::new(), Shop::new()];
    let server = cluster.serve_with(&shops[0], &[DATABASE_CONNECTIONS]);
    let by_default = cluster.serve_with(&shops[1], &[]);
    let [mut many, mut sixteen] = [&server, &by_default].map(|server| small.refreshers(server));
    let mut one = small.refreshers(&server);
    let [insert, inserts, alone, together, in_sixteen] = setting.turns.take([
        &mut || cluster.insert_sessions(1, users),
        &mut || cluster.insert_sessions(CONNECTIONS, users),
        &mut || rate(&server, &mut one[..1], length),
        &mut || rate(&server, &mut many, length),
        &mut || rate(&by_default, &mut sixteen, length),
    ]);
    let what = format!("sessions inserted by pgbench, {} more a flush, {CONNECTIONS} clients", ms(FLUSH));
    gain(report, what, [&inserts, &insert], "one client", Goal::AtLeast(15.0));
    let what = format!("POST /auth/refresh on the same disk, {CONNECTIONS} connections");
    gain(report, what, [&together, &alone], "one connection", Goal::AtLeast(15.0));
    let what = "… with 16 connections to PostgreSQL, the default".to_owned();
    gain(report, what, [&in_sixteen, &alone], "one connection", Goal::None);
}

/// What is bound by the hash on a quicker disk.
///
/// Simplified: sign-ups are left out. On such a disk 32 at a time are in conflict on the pages of `codes` and `outbox`, and the
/// load, which takes a 503 for a defect, ends. With more time it would count them.
fn with_hash(setting: &Setting, report: &mut Report) {
    let length = setting.turns.length * LONGER;
    let small = Small::new(Disk::Slow(LONG_FLUSH));
    let cluster = &small.cluster;
    let shop = Shop::new();
    let server = cluster.serve_with(&shop, &[DATABASE_CONNECTIONS, BEHIND_A_PROXY]);
    // Attempts of one client are charged one after the other.
    let people = small.people().into_iter().enumerate();
    let logins: Vec<_> =
        people.map(|(number, person)| from_client(number / SHARE, &login(&person.email()))).collect();
    let logins: Vec<_> = logins.iter().map(Vec::as_slice).collect();
    let mut by_turns: Vec<_> = logins.chunks(SHARE).map(|requests| InTurn { requests, next: 0 }).collect();
    let [alone, together] = setting
        .turns
        .take([&mut || rate(&server, &mut [InTurn { requests: &logins, next: 0 }], length), &mut || {
            rate(&server, &mut by_turns, length)
        }]);
    let what = format!("POST /auth/login, {} more a flush, {CONNECTIONS} connections", ms(LONG_FLUSH));
    gain(report, what, [&together, &alone], "one connection", Goal::AtLeast(10.0));
}

fn rate<T: Exchange>(server: &Server, exchanges: &mut [T], length: Duration) -> f64 {
    drive(server.address, exchanges, length).rate()
}

fn gain(report: &mut Report, what: String, [many, one]: [&Taken<f64>; 2], beside: &str, goal: Goal) {
    let rate = |rate: &f64| *rate;
    let row = Row::new(what, many.median(rate), "/s");
    report.add(row.beside(beside, one.median(rate), many.ratio(rate, one, rate)).wanted(goal));
}

fn ms(time: Duration) -> String {
    format!("{} ms", time.as_millis())
}
