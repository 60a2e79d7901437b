//! The same work by what a shop would use instead, in turns: `bench/peer/run`.

use std::{
    fs,
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Barrier,
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use super::{
    figures::{mebibytes, median, ms, short},
    load::{Always, Client, Seen, drive, get, probe},
    process,
    report::{Goal, Report, Row},
    seed::{self, Person},
    setting::Setting,
    shop::{Shop, login},
};

const USERS: u32 = 100_000;
/// As far into the table as the page far into it is.
const FAR: u32 = 90_000;
const READERS: usize = 32;
const LOGINS: usize = 8;
/// How many ask who they are meanwhile, and how often each.
const LOOKERS: usize = 8;
const INTERVAL: Duration = Duration::from_millis(32);
const TIMEOUT: Duration = Duration::from_mins(1);

/// What is asked of a server.
struct Site {
    address: SocketAddr,
    me: Vec<u8>,
    first_page: Vec<u8>,
    far_page: Vec<u8>,
    logins: Vec<Vec<u8>>,
}

/// Measures both, in turns.
pub fn measure(python: &Path, setting: &Setting, report: &mut Report) {
    let shop = Shop::with_users(USERS);
    let peer = Peer::new(python);
    let starts = if setting.quick { 2 } else { 5 };
    let here: Vec<_> = (0..starts).map(|_| ms(shop.serve().ready_after)).collect();
    let there: Vec<_> = (0..starts).map(|_| ms(peer.serve().ready_after)).collect();
    let (server, other) = (shop.serve(), peer.serve());
    thread::sleep(Duration::from_secs(2));
    let memory = [server.pid(), other.child.id()].map(|pid| mebibytes(process::memory_of_all(pid)));
    let (this, that) = (our_site(&server), other.site());

    let length = setting.turns.length;
    let read = |site: &Site, request: &[u8]| {
        drive(site.address, &mut vec![Always(request.to_vec()); READERS], length)
    };
    let mut compare = |work: &str, request: fn(&Site) -> &[u8], goal: Goal| {
        let [ours, theirs] =
            setting.turns.take([&mut || read(&this, request(&this)), &mut || read(&that, request(&that))]);
        let ratio = ours.ratio(Seen::rate, &theirs, Seen::rate);
        report.add(
            Row::new(work, ours.median(Seen::rate), "/s")
                .beside("", theirs.median(Seen::rate), ratio)
                .wanted(goal),
        );
        let ratio = ours.ratio(Seen::p99, &theirs, Seen::p99);
        report.add(Row::new("… its p99", ours.median(Seen::p99), "ms").beside(
            "",
            theirs.median(Seen::p99),
            ratio,
        ));
    };
    compare("current user, 32 connections", |site| &site.me, Goal::AtLeast(50.0));
    compare("page of 50 users, 32 connections", |site| &site.first_page, Goal::None);
    compare(
        &format!("page of 50, {} users into the table", short(FAR.into())),
        |site| &site.far_page,
        Goal::None,
    );

    let log_in = |site: &Site| {
        let mut exchanges: Vec<_> = site.logins.iter().cloned().map(Always).collect();
        drive(site.address, &mut exchanges, length)
    };
    let [ours, theirs] = setting.turns.take([&mut || log_in(&this), &mut || log_in(&that)]);
    report.add(Row::new("login, 8 connections, each at its own hash", ours.median(Seen::rate), "/s").beside(
        "",
        theirs.median(Seen::rate),
        ours.ratio(Seen::rate, &theirs, Seen::rate),
    ));

    let [alone, alone_there, storm, storm_there] = setting.turns.take([
        &mut || look(&this, length, || ()),
        &mut || look(&that, length, || ()),
        &mut || look(&this, length, || drop(log_in(&this))),
        &mut || look(&that, length, || drop(log_in(&that))),
    ]);
    for (work, ours, theirs, goal) in [
        ("current user's p99, alone", &alone, &alone_there, Goal::None),
        ("current user's p99, while 8 log in", &storm, &storm_there, Goal::AtMost(0.1)),
    ] {
        let ratio = ours.ratio(Seen::p99, theirs, Seen::p99);
        report.add(
            Row::new(work, ours.median(Seen::p99), "ms")
                .beside("", theirs.median(Seen::p99), ratio)
                .wanted(goal),
        );
    }
    report.add(Row::new("memory, idle", memory[0], "MiB").beside("", memory[1], memory[0] / memory[1]));
    let (here, there) = (median(here), median(there));
    report.add(Row::new("start to first answer", here, "ms").beside("", there, here / there));
    report.note(format!(
        "Beside it: FastAPI, SQLAlchemy and fastapi-users as pinned in bench/peer/requirements.txt, uvicorn with a worker for \
         each core, both with {} users. Its hash is argon2id with 64 MiB, t=3, p=4, ours with 19 MiB, t=2, p=1.",
        short(USERS.into())
    ));
}

/// What several people see who ask now and then who they are, connected before `work` begins: a server of several
/// processes may be busy in one and idle in another.
fn look(site: &Site, length: Duration, work: impl FnOnce()) -> Seen {
    let ready = Barrier::new(LOOKERS + 1);
    thread::scope(|scope| {
        let lookers: Vec<_> = (0..LOOKERS)
            .map(|_| {
                scope.spawn(|| {
                    let mut client = Client::new(site.address);
                    client.ask(&site.me);
                    ready.wait();
                    probe(&mut client, &mut Always(site.me.clone()), INTERVAL, |past| past < length)
                })
            })
            .collect();
        ready.wait();
        work();
        Seen::all(lookers.into_iter().map(|looker| looker.join().unwrap()))
    })
}

fn our_site(server: &super::shop::Server) -> Site {
    let admin = server.log_in(&seed::admin().email()).access;
    let customer = server.log_in(&seed::customers().next().unwrap().email()).access;
    Site {
        address: server.address,
        me: get("/me", &customer),
        first_page: get("/users", &admin),
        far_page: get(&format!("/users?cursor={}", Person(USERS - FAR).cursor()), &admin),
        logins: seed::customers().skip(1).take(LOGINS).map(|person| login(&person.email())).collect(),
    }
}

/// The peer's program and its database, in a folder that is gone afterwards.
struct Peer {
    python: PathBuf,
    folder: TempDir,
}

/// The peer, serving.
struct Running {
    child: Child,
    address: SocketAddr,
    ready_after: Duration,
}

impl Peer {
    fn new(python: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("bench/peer");
        for name in ["app.py", "seed.py"] {
            fs::copy(sources.join(name), folder.path().join(name)).unwrap();
        }
        let peer = Self { python: python.to_owned(), folder };
        eprintln!("the peer makes {USERS} users");
        let seeded = peer.command(&["seed.py", &USERS.to_string(), seed::PASSWORD]).status().unwrap();
        assert!(seeded.success(), "the peer's database could not be made");
        peer
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.python);
        command.current_dir(self.folder.path()).args(args).env("PEER_DATABASE", "peer.db");
        command.stdin(Stdio::null());
        command
    }

    fn serve(&self) -> Running {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let (port, workers) =
            (address.port().to_string(), thread::available_parallelism().unwrap().to_string());
        let args = ["-m", "uvicorn", "app:app", "--port", &port, "--workers", &workers];
        let started = Instant::now();
        let mut command = self.command(&args);
        command.args(["--log-level", "warning", "--no-access-log"]);
        let child = command.spawn().unwrap();
        while TcpStream::connect(address).is_err() {
            assert!(started.elapsed() < TIMEOUT, "the peer does not listen");
            thread::sleep(Duration::from_millis(2));
        }
        // Its parent listens before its workers can answer: the first answer counts.
        Client::new(address).ask(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
        Running { child, address, ready_after: started.elapsed() }
    }
}

impl Running {
    fn site(&self) -> Site {
        let [admin, customer] = [0, 1].map(|number| self.log_in(number));
        Site {
            address: self.address,
            me: get("/users/me", &customer),
            first_page: get("/users", &admin),
            far_page: get(&format!("/users?offset={FAR}"), &admin),
            logins: (2..).take(LOGINS).map(form).collect(),
        }
    }

    fn log_in(&self, number: u32) -> String {
        let mut client = Client::new(self.address);
        let answer: Value = serde_json::from_slice(client.ask(&form(number))).unwrap();
        answer["access_token"].as_str().unwrap().to_owned()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Its workers end with it only if it is asked.
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let _ = self.child.wait();
    }
}

/// The request with which a user of the peer logs in.
fn form(number: u32) -> Vec<u8> {
    let email = format!("user.{number}@example.com");
    let body =
        serde_urlencoded::to_string([("username", email.as_str()), ("password", seed::PASSWORD)]).unwrap();
    format!(
        "POST /auth/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}
