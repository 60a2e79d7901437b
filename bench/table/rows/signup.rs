//! `POST /auth/signup` in a large store, beside the same store without what keeps its search up to date.

use std::cell::Cell;

use rusqlite::Connection;

use super::super::{
    figures::Pace,
    load::{Exchange, drive, send},
    process,
    report::{Goal, Report, Row},
    seed,
    setting::Setting,
    shop::{Server, Shop},
};

/// How many sign up at once: enough to keep the hashing threads busy.
const CONNECTIONS: usize = 8;
/// One client may not cause as many messages as it likes.
pub(super) const WITHOUT_LIMITS: [(&str, &str); 1] = [("RATE_LIMIT__ENABLED", "false")];

pub fn measure(setting: &Setting, report: &mut Report) {
    let (with, without) = (setting.many(), setting.many().copy());
    forget_search(&without);
    let (with, without) = (with.serve_with(&WITHOUT_LIMITS), without.serve_with(&WITHOUT_LIMITS));
    let turn = Cell::new(0);
    let sign_up = |server: &Server| {
        turn.set(turn.get() + 1);
        let prefix = |connection| format!("{}.{connection}", turn.get());
        let mut exchanges: Vec<_> =
            (0..CONNECTIONS).map(|connection| Newcomers { prefix: prefix(connection), number: 0 }).collect();
        let (seen, cpu) =
            process::cpu_of(server.pid(), || drive(server.address, &mut exchanges, setting.turns.length));
        Pace::new(seen.rate(), seen.count(), cpu)
    };
    let [this, that] = setting.turns.take([&mut || sign_up(&with), &mut || sign_up(&without)]);
    let work = format!("POST /auth/signup among {}", setting.many_users());
    let what = "without the search";
    report.add(Row::new(format!("{work}, rate"), this.median(Pace::rate), "/s").beside(
        what,
        that.median(Pace::rate),
        this.ratio(Pace::rate, &that, Pace::rate),
    ));
    let ms = |pace: &Pace| pace.cpu / 1e3;
    report.add(
        Row::new(format!("{work}, CPU of the server for one"), this.median(ms), "ms")
            .beside(what, that.median(ms), this.ratio(ms, &that, ms))
            .wanted(Goal::AtMost(1.1)),
    );
}

/// Drops what keeps the search up to date.
fn forget_search(shop: &Shop) {
    let connection = Connection::open(shop.database()).unwrap();
    let mut triggers = connection
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'trigger' AND name LIKE 'users_search%'")
        .unwrap();
    let names: Vec<String> =
        triggers.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap();
    assert!(!names.is_empty(), "the search is kept up to date by something else than triggers");
    for name in names {
        connection.execute_batch(&format!("DROP TRIGGER {name}")).unwrap();
    }
}

/// People who sign up, one after the other.
pub(super) struct Newcomers {
    pub(super) prefix: String,
    pub(super) number: u32,
}

impl Exchange for Newcomers {
    fn ask(&mut self, request: &mut Vec<u8>) {
        self.number += 1;
        let Self { prefix, number } = self;
        let body = format!(
            r#"{{"email":"new.{prefix}.{number}@example.com","password":"{}","first_name":"Ann","last_name":"Smith"}}"#,
            seed::PASSWORD
        );
        request.extend(send("POST", "/auth/signup", None, &body));
    }
}
