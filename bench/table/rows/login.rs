//! `POST /auth/login` beside argon2id and nothing else, at the same parameters on the same cores.

use super::{
    super::{
        figures::Pace,
        load::{Always, drive},
        neighbours::Neighbour,
        process,
        report::{Goal, Report, Row},
        seed,
        setting::Setting,
        shop::login,
    },
    CONNECTIONS,
};

pub fn measure(setting: &Setting, report: &mut Report) {
    let (turns, shop) = (&setting.turns, setting.few());
    let server = shop.serve();
    let mut raw = Neighbour::hashing();
    // Each connection logs another user in: attempts on one account are rate limited.
    let logins = |connections: usize| {
        let mut exchanges: Vec<_> =
            seed::customers().take(connections).map(|person| Always(login(&person.email()))).collect();
        let (seen, cpu) =
            process::cpu_of(server.pid(), || drive(server.address, &mut exchanges, turns.length));
        Pace::new(seen.rate(), seen.count(), cpu)
    };
    logins(8); // memory is taken at the first hash, and not given back
    raw.hash_for(turns.length / 10);
    let [eight, many, alone] =
        turns.take([&mut || logins(8), &mut || logins(CONNECTIONS), &mut || raw.hash_for(turns.length)]);
    let what = "argon2id alone";
    for (connections, taken) in [(8, &eight), (CONNECTIONS, &many)] {
        let ratio = taken.ratio(Pace::rate, &alone, Pace::rate);
        report.add(
            Row::new(format!("POST /auth/login, {connections} connections"), taken.median(Pace::rate), "/s")
                .beside(what, alone.median(Pace::rate), ratio)
                .wanted(Goal::AtLeast(0.97)),
        );
    }
    let ms = |pace: &Pace| pace.cpu / 1e3;
    report.add(Row::new("… CPU of the server for one", many.median(ms), "ms").beside(
        what,
        alone.median(ms),
        many.ratio(ms, &alone, ms),
    ));
}
