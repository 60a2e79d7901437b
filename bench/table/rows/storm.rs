//! `GET /me` while others log in without pause, beside a server at rest and beside a neighbour that only spins; and what
//! memory such a storm takes.

use std::{net::SocketAddr, thread, time::Duration};

use super::{
    super::{
        figures::{float, mebibytes},
        load::{Always, Client, Seen, drive, get, probe},
        neighbours::Neighbour,
        process,
        report::{Goal, Report, Row},
        seed,
        setting::Setting,
        shop::login,
    },
    CONNECTIONS,
};

/// How often a user requests `/me`.
const INTERVAL: Duration = Duration::from_millis(4);
/// What one hash takes, and what everything else may.
const HASH_MIB: f64 = 19.0;
const REST_MIB: f64 = 32.0;

pub fn measure(setting: &Setting, report: &mut Report) {
    let (turns, shop) = (&setting.turns, setting.few());
    let server = shop.serve();
    thread::sleep(Duration::from_secs(1));
    let idle = mebibytes(process::memory(server.pid(), "VmRSS"));
    let session = server.log_in(&seed::customers().next().unwrap().email());
    let request = Always(get("/me", &session.access));
    let look = || {
        probe(&mut Client::new(server.address), &mut request.clone(), INTERVAL, |past| past < turns.length)
    };
    let mut memory = Vec::new();
    let in_storm = || {
        let seen = under_logins(server.address, turns.length, &look);
        memory.push(mebibytes(process::memory(server.pid(), "VmRSS")));
        seen
    };
    let spinning = || {
        let neighbour = Neighbour::spinning();
        let seen = look();
        drop(neighbour);
        seen
    };
    let [storm, rest, spin] = turns.take([&mut { in_storm }, &mut { look }, &mut { spinning }]);
    let ms = |seen: &Seen| seen.p99();
    let calm = storm.0.iter().zip(&rest.0).filter(|(storm, rest)| storm.p99() <= rest.p99() + 1.0).count();
    report.add(
        Row::new(format!("GET /me p99 while {CONNECTIONS} connections log in"), storm.median(ms), "ms")
            .beside(
                format!("at rest (at most 1 ms over it in {calm} of {} turns)", turns.count),
                rest.median(ms),
                storm.ratio(ms, &rest, ms),
            )
            .met(calm * 2 > turns.count),
    );
    report.add(Row::new("… the same", storm.median(ms), "ms").beside(
        "while a neighbour spins on every core, nice 10",
        spin.median(ms),
        storm.ratio(ms, &spin, ms),
    ));
    let threads = float(thread::available_parallelism().unwrap().get() as u64);
    let (first, last) = (memory.first().unwrap(), memory.last().unwrap());
    report.add(Row::new("memory after the last storm", *last, "MiB").beside(
        "after the first",
        *first,
        last / first,
    ));
    let most = mebibytes(process::memory(server.pid(), "VmHWM"));
    report.add(
        Row::new(format!("memory at most ({idle:.0} MiB before, {threads} hashes at a time)"), most, "MiB")
            .wanted(Goal::Under(idle + HASH_MIB * threads + REST_MIB)),
    );
}

/// What a user sees while many log in.
fn under_logins(server: SocketAddr, length: Duration, look: &(impl Fn() -> Seen + Sync)) -> Seen {
    let others = seed::customers().skip(1).take(CONNECTIONS);
    let mut exchanges: Vec<_> = others.map(|person| Always(login(&person.email()))).collect();
    thread::scope(|scope| {
        // The storm begins before the measurement, and lasts longer.
        let lead = Duration::from_millis(300);
        scope.spawn(move || drive(server, &mut exchanges, length + lead * 2));
        thread::sleep(lead);
        look()
    })
}
