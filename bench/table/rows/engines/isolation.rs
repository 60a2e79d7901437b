//! Login and refresh as they are, in SERIALIZABLE transactions, beside the same with a proxy that weakens them to READ COMMITTED.

use super::{
    super::super::{
        load::Exchange,
        postgres::{Cluster, Disk},
        proxy::{Proxy, Writes},
        report::{Goal, Report, Row},
        setting::Setting,
        shop::{BEHIND_A_PROXY, Server, Shop, from_client, login},
        turns::Taken,
    },
    super::{CONNECTIONS, many::InTurn, signup::WITHOUT_LIMITS},
    Engines, Work,
    small::{SHARE, Small},
    work,
};

/// What was done in one turn, and how many transactions were run again for each request.
struct Rounds {
    work: Work,
    again: f64,
}

impl Rounds {
    const fn rate(&self) -> f64 {
        self.work.rate()
    }

    /// In a hundred requests.
    const fn again(&self) -> f64 {
        self.again * 100.0
    }

    const fn database(&self) -> f64 {
        self.work.database()
    }
}

pub fn measure(_: &Engines, setting: &Setting, report: &mut Report) {
    let small = Small::new(Disk::Own);
    let cluster = &small.cluster;
    let [as_is, weakened] =
        [Writes::AsTheyAre, Writes::ReadCommitted].map(|writes| Proxy::start(cluster, writes));
    let shops = [(); 3].map(|()| Shop::new());
    let serve = |shop: &Shop, proxy: &Proxy, settings: &[(&str, &str)]| {
        let url = proxy.url();
        cluster.serve_with(shop, &[&[("DATABASE__URL", url.as_str())], settings].concat())
    };
    let serializable = serve(&shops[0], &as_is, &WITHOUT_LIMITS);
    let read_committed = serve(&shops[1], &weakened, &WITHOUT_LIMITS);
    let limited = serve(&shops[2], &as_is, &[BEHIND_A_PROXY]);

    let logins: Vec<_> = small.people().iter().map(|person| login(&person.email())).collect();
    let of_one_client: Vec<_> = logins.iter().map(Vec::as_slice).collect();
    let logins: Vec<_> =
        logins.iter().enumerate().map(|(number, login)| from_client(number / SHARE, login)).collect();
    let of_clients: Vec<_> = logins.iter().map(Vec::as_slice).collect();
    let log_in = |server: &Server, proxy: &Proxy, logins: &[&[u8]]| {
        let shares = logins.chunks(SHARE);
        let mut exchanges: Vec<_> = shares.map(|requests| InTurn { requests, next: 0 }).collect();
        rounds(cluster, server, proxy, &mut exchanges, setting)
    };
    let [this, beside, clients, one_client] = setting.turns.take([
        &mut || log_in(&serializable, &as_is, &of_clients),
        &mut || log_in(&read_committed, &weakened, &of_clients),
        &mut || log_in(&limited, &as_is, &of_clients),
        &mut || log_in(&limited, &as_is, &of_one_client),
    ]);
    compare(report, "POST /auth/login", [&this, &beside]);
    let again = |what: &str, taken: &Taken<Rounds>| Row::new(what, taken.median(Rounds::again), "");
    report.add(again("… run again in 100 requests, with rate limits", &clients).wanted(Goal::Under(15.0)));
    report.add(again("… the same, all from one client", &one_client));
    report.add(Row::new("… the rate, all from one client", one_client.median(Rounds::rate), "/s").beside(
        "each connection a client of its own",
        clients.median(Rounds::rate),
        one_client.ratio(Rounds::rate, &clients, Rounds::rate),
    ));

    let (mut here, mut there) = (small.refreshers(&serializable), small.refreshers(&read_committed));
    let [this, beside] =
        setting.turns.take([&mut || rounds(cluster, &serializable, &as_is, &mut here, setting), &mut || {
            rounds(cluster, &read_committed, &weakened, &mut there, setting)
        }]);
    compare(report, "POST /auth/refresh", [&this, &beside]);
}

fn rounds<T: Exchange>(
    cluster: &Cluster,
    server: &Server,
    proxy: &Proxy,
    exchanges: &mut [T],
    setting: &Setting,
) -> Rounds {
    let before = proxy.run_again();
    let (work, requests) = work(cluster, server, exchanges, setting.turns.length);
    Rounds { work, again: (proxy.run_again() - before) / requests }
}

fn compare(report: &mut Report, request: &str, [this, beside]: [&Taken<Rounds>; 2]) {
    let what = "READ COMMITTED";
    let rate = Row::new(
        format!("{request} at SERIALIZABLE, without rate limits, {CONNECTIONS} connections"),
        this.median(Rounds::rate),
        "/s",
    );
    let ratio = this.ratio(Rounds::rate, beside, Rounds::rate);
    report.add(rate.beside(what, beside.median(Rounds::rate), ratio).wanted(Goal::AtLeast(0.75)));
    let database = Row::new("… CPU of PostgreSQL for one", this.median(Rounds::database), "µs");
    let ratio = this.ratio(Rounds::database, beside, Rounds::database);
    report.add(database.beside(what, beside.median(Rounds::database), ratio));
    report.add(
        Row::new("… run again in 100 requests", this.median(Rounds::again), "").wanted(Goal::Under(5.0)),
    );
}
