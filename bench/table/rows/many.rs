//! `GET /me` and `POST /auth/login` of users from all over a large store, beside a small one.

use std::time::Duration;

use super::{
    super::{
        figures::Pace,
        load::{Exchange, drive, get},
        process,
        report::{Goal, Report, Row},
        seed::{self, Person},
        setting::Setting,
        shop::{Server, login},
        turns::Taken,
    },
    CONNECTIONS,
};

/// How many sessions are asked about in turn.
const SESSIONS: usize = 96;
/// How many log in at once: enough to keep the hashing threads busy.
const LOGINS: usize = 8;

pub fn measure(setting: &Setting, report: &mut Report) {
    let (few, many) = (setting.few(), setting.many());
    let (few, many) = (few.serve(), many.serve());
    let here = Side::new(&many, setting.how_many());
    let there = Side::new(&few, 1000);
    let length = setting.turns.length;
    let [this, that] = setting.turns.take([&mut || here.ask_who(length), &mut || there.ask_who(length)]);
    add(report, &format!("GET /me among {}", setting.many_users()), [&this, &that]);
    let [this, that] = setting.turns.take([&mut || here.log_in(length), &mut || there.log_in(length)]);
    add(report, &format!("POST /auth/login among {}", setting.many_users()), [&this, &that]);
}

fn add(report: &mut Report, work: &str, [this, that]: [&Taken<Pace>; 2]) {
    let what = "among 1,000";
    report.add(Row::new(format!("{work}, rate"), this.median(Pace::rate), "/s").beside(
        what,
        that.median(Pace::rate),
        this.ratio(Pace::rate, that, Pace::rate),
    ));
    report.add(
        Row::new(format!("{work}, CPU of the server for one"), this.median(Pace::cpu), "µs")
            .beside(what, that.median(Pace::cpu), this.ratio(Pace::cpu, that, Pace::cpu))
            .wanted(Goal::AtMost(1.05)),
    );
}

/// A server with sessions of users from all over its store.
struct Side<'a> {
    server: &'a Server,
    people: Vec<Person>,
    requests: Vec<Vec<u8>>,
}

impl<'a> Side<'a> {
    fn new(server: &'a Server, users: u32) -> Self {
        // Some 700 of them, from the oldest to the newest.
        let all: Vec<_> = seed::customers().take_while(|person| person.0 < users).collect();
        let people: Vec<_> = all.iter().step_by((all.len() / 700).max(1)).copied().collect();
        let some = people.iter().step_by(people.len() / SESSIONS).take(SESSIONS);
        let requests = some.map(|person| get("/me", &server.log_in(&person.email()).access)).collect();
        Self { server, people, requests }
    }

    fn ask_who(&self, length: Duration) -> Pace {
        let requests: Vec<_> = self.requests.iter().map(Vec::as_slice).collect();
        self.drive(&requests, CONNECTIONS, length)
    }

    fn log_in(&self, length: Duration) -> Pace {
        let requests: Vec<_> = self.people.iter().map(|person| login(&person.email())).collect();
        let requests: Vec<_> = requests.iter().map(Vec::as_slice).collect();
        self.drive(&requests, LOGINS, length)
    }

    /// Each connection goes through its own share of the requests, again and again.
    fn drive(&self, requests: &[&[u8]], connections: usize, length: Duration) -> Pace {
        let shares = requests.chunks(requests.len() / connections).take(connections);
        let mut exchanges: Vec<_> = shares.map(|requests| InTurn { requests, next: 0 }).collect();
        let (seen, cpu) =
            process::cpu_of(self.server.pid(), || drive(self.server.address, &mut exchanges, length));
        Pace::new(seen.rate(), seen.count(), cpu)
    }
}

/// One request after the other, and from the start again.
pub(super) struct InTurn<'a> {
    pub(super) requests: &'a [&'a [u8]],
    pub(super) next: usize,
}

impl Exchange for InTurn<'_> {
    fn ask(&mut self, request: &mut Vec<u8>) {
        request.extend_from_slice(self.requests[self.next]);
        self.next = (self.next + 1) % self.requests.len();
    }
}
