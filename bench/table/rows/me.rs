//! `GET /me` with a valid token, beside a handler that answers the same bytes without a check.

use super::{
    super::{
        bare::Pair,
        figures::Pace,
        load::{Always, Client, drive, get},
        process,
        report::{Goal, Report, Row},
        setting::Setting,
    },
    CONNECTIONS,
};

pub fn measure(setting: &Setting, report: &mut Report) {
    let (turns, shop) = (&setting.turns, setting.few());
    let pair = Pair::start(&shop.database());
    let request = get("/me", &pair.token);
    let (answer, other) =
        (Client::new(pair.api).ask(&request).to_vec(), Client::new(pair.bare).ask(&request).to_vec());
    assert_eq!(String::from_utf8_lossy(&answer), String::from_utf8_lossy(&other), "two different answers");
    let load = |server| {
        let mut exchanges = vec![Always(request.clone()); CONNECTIONS];
        let (seen, cpu) = process::cpu_of(pair.pid(), || drive(server, &mut exchanges, turns.length));
        Pace::new(seen.rate(), seen.count(), cpu)
    };
    let [this, bare, at_ours] =
        turns.take([&mut || load(pair.api), &mut || load(pair.bare), &mut || load(pair.bare_at_ours)]);
    let what = "a poem-openapi handler, same bytes, no check";
    report.add(
        Row::new(format!("GET /me, {CONNECTIONS} connections"), this.median(Pace::rate), "/s")
            .beside(what, bare.median(Pace::rate), this.ratio(Pace::rate, &bare, Pace::rate))
            .wanted(Goal::AtLeast(0.85)),
    );
    report.add(Row::new("… the same", this.median(Pace::rate), "/s").beside(
        "that handler behind our listener",
        at_ours.median(Pace::rate),
        this.ratio(Pace::rate, &at_ours, Pace::rate),
    ));
    report.add(Row::new("… CPU of the process for one", this.median(Pace::cpu), "µs").beside(
        what,
        bare.median(Pace::cpu),
        this.ratio(Pace::cpu, &bare, Pace::cpu),
    ));
}
