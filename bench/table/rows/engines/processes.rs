//! Two processes on one PostgreSQL beside one, all on the same cores: what a request costs in all.

use std::{thread, time::Duration};

use super::{
    super::super::{
        load::{Always, Exchange, Seen, drive, get},
        process,
        report::{Goal, Report, Row},
        seed,
        setting::Setting,
        shop::{Server, Shop, login},
    },
    super::{
        CONNECTIONS,
        refresh::Refresher,
        signup::{Newcomers, WITHOUT_LIMITS},
    },
    Engines, NEWCOMERS,
};

/// What was done in one turn.
struct Done {
    rate: f64,
    /// CPU time for one, of all processes, in microseconds.
    cpu: f64,
}

/// Two servers on one database.
struct Two<'a> {
    engines: &'a Engines,
    servers: [Server; 2],
}

/// How many of them are asked.
#[derive(Clone, Copy)]
enum Asked {
    One,
    Both,
}

pub fn measure(engines: &Engines, setting: &Setting, report: &mut Report) {
    let shops = [Shop::new(), Shop::new()];
    let servers = shops.each_ref().map(|shop| engines.cluster.serve_with(shop, &WITHOUT_LIMITS));
    let two = Two { engines, servers };
    let people: Vec<_> = seed::customers().take(CONNECTIONS).collect();

    let first = &two.servers[0];
    let mut me: Vec<_> =
        people.iter().map(|person| Always(get("/me", &first.log_in(&person.email()).access))).collect();
    two.compare("GET /me", &mut me, setting, report);
    let refreshers = people.iter().map(|person| {
        engines.cluster.add_sessions();
        Refresher::new(first, *person)
    });
    two.compare("POST /auth/refresh", &mut refreshers.collect::<Vec<_>>(), setting, report);
    let mut logins: Vec<_> = people.iter().map(|person| Always(login(&person.email()))).collect();
    two.compare("POST /auth/login", &mut logins, setting, report);
    let mut newcomers: Vec<_> =
        (0..NEWCOMERS).map(|number| Newcomers { prefix: format!("both.{number}"), number: 0 }).collect();
    two.compare("POST /auth/signup", &mut newcomers, setting, report);
}

impl Two<'_> {
    fn compare<T: Exchange>(
        &self,
        request: &str,
        exchanges: &mut [T],
        setting: &Setting,
        report: &mut Report,
    ) {
        let exchanges = std::cell::RefCell::new(exchanges);
        let drive = |asked| self.drive(asked, &mut exchanges.borrow_mut(), setting.turns.length);
        let [both, one] = setting.turns.take([&mut || drive(Asked::Both), &mut || drive(Asked::One)]);
        let connections = exchanges.borrow().len();
        let add = |report: &mut Report, name: String, unit, figure: fn(&Done) -> f64, goal| {
            let row = Row::new(name, both.median(figure), unit);
            let ratio = both.ratio(figure, &one, figure);
            report.add(row.beside("one process", one.median(figure), ratio).wanted(goal));
        };
        let name =
            format!("{request}, {connections} connections, CPU of two processes and PostgreSQL for one");
        add(report, name, "µs", |done| done.cpu, Goal::AtMost(1.1));
        add(report, "… the rate".to_owned(), "/s", |done| done.rate, Goal::None);
    }

    /// Drives one server by all connections, or both by half of them each.
    fn drive<T: Exchange>(&self, asked: Asked, exchanges: &mut [T], length: Duration) -> Done {
        let [first, second] = &self.servers;
        let drive = || match asked {
            Asked::One => drive(first.address, exchanges, length),
            Asked::Both => {
                let (half, rest) = exchanges.split_at_mut(exchanges.len() / 2);
                let address = second.address;
                thread::scope(|scope| {
                    let other = scope.spawn(move || drive(address, rest, length));
                    let seen = drive(first.address, half, length);
                    Seen::all([seen, other.join().unwrap()])
                })
            }
        };
        let of_servers = || process::cpu_of(first.pid(), || process::cpu_of(second.pid(), drive));
        let (((seen, one), other), database) = process::cpu_of_all(self.engines.cluster.pid(), of_servers);
        let cpu = (one + other + database).as_secs_f64() * 1e6 / seen.count();
        Done { rate: seen.rate(), cpu }
    }
}
