//! What must be fast, each beside what its parts can do at best, in one run: `cargo bench`.
//!
//! Every pair is measured in turns, and the median of the turns counts: a shared machine drifts, a ratio does not.
//! `cargo bench -- million` lists and purges among a million users instead.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a program that measures and prints")]

mod million;

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use argon2::{Algorithm, Argon2, Block, Params, Version};
use coffeeshop::{
    accounts::{Accounts, Actor, Admin, SignupDraft},
    api,
    config::Config,
    model::{Change, Clock, Email, Name, Origin, Password, ProfileChange},
    store::{Missing, Store},
};
use poem::{Server, listener::TcpAcceptor};
use poem_openapi::{OpenApi, OpenApiService, payload::PlainText};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

const TURNS: usize = 5;
const TURN: Duration = Duration::from_secs(3);
const EMAIL: &str = "ann@example.com";
const PASSWORD: &str = "mocha stirs slowly";

fn main() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    if std::env::args().any(|arg| arg == "million") {
        runtime.block_on(million::run());
    } else {
        runtime.block_on(run());
    }
}

async fn run() {
    let folder = tempfile::tempdir().unwrap();
    let shop = Shop::open(folder.path()).await;
    println!("{:<48}{:>12}{:>12}{:>9}", "", "this", "beside", "ratio");

    let one = || async { shop.commits(1).await };
    let many = || async { shop.commits(32).await };
    row("durable commits/s, 32 callers beside 1", many, one).await;
    let slowest = || async { shop.slowest_commit(32).await };
    let of_one = || async { shop.slowest_commit(1).await };
    row("slowest commit in ms, 32 callers beside 1", slowest, of_one).await;

    let logins = || async { shop.logins(32).await };
    let threads = thread::available_parallelism().unwrap().get();
    let raw = || async move { tokio::task::spawn_blocking(move || raw_hashes(threads)).await.unwrap() };
    row("logins/s beside argon2id alone", logins, raw).await;

    let (me, bare) = (shop.serve().await, serve_bare(shop.me().await).await);
    let request = format!("GET /me HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\r\n", shop.token);
    let get_me = || requests(me, request.clone());
    let get_bare = || requests(bare, request.clone());
    row("GET /me /s beside a handler without checks", get_me, get_bare).await;

    let storm = || async {
        let (logins, p99) = tokio::join!(shop.logins(32), p99(me, &request));
        assert!(logins > 0.0);
        p99
    };
    row("GET /me p99 in ms, under logins beside at rest", storm, || p99(me, &request)).await;
}

/// Measures a pair in turns and prints its medians.
async fn row<A: Future<Output = f64>, B: Future<Output = f64>>(
    name: &str,
    this: impl Fn() -> A,
    beside: impl Fn() -> B,
) {
    let (mut here, mut there, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..TURNS {
        let (this, that) = (this().await, beside().await);
        here.push(this);
        there.push(that);
        ratios.push(this / that);
    }
    println!("{name:<48}{:>12.1}{:>12.1}{:>9.2}", median(here), median(there), median(ratios));
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// A shop with one user, signed in.
struct Shop {
    accounts: Accounts,
    config: Config,
    token: String,
    actor: Actor,
}

impl Shop {
    /// The shop in this folder; the user is an admin.
    async fn open(folder: &std::path::Path) -> Self {
        let mut config = Config::default();
        config.database.path = folder.join("coffeeshop.db");
        config.rate_limit.enabled = false;
        let (store, _) = Store::open(&config.database.path, Missing::Create).await.unwrap();
        let accounts = Accounts::open(&config, store, Clock::system()).await.unwrap();
        let draft = SignupDraft { email: EMAIL.into(), password: PASSWORD.into(), ..SignupDraft::default() };
        accounts.create_admin(&Admin::at_console(), accounts.check_signup(&draft).unwrap()).await.unwrap();
        let token = log_in(&accounts).await;
        let actor = accounts.authenticate(&token, Origin::default()).await.unwrap();
        Self { accounts, config, token, actor }
    }

    /// Changes of the profile per second, each acknowledged after its fsync.
    async fn commits(&self, callers: usize) -> f64 {
        let change = |accounts: Accounts, number: u64| {
            let actor = self.actor.clone();
            async move {
                let name = Name::parse("first_name", &format!("Ann {number}")).unwrap();
                let change = ProfileChange { first_name: Change::Set(Some(name)), last_name: Change::Keep };
                accounts.edit_profile(&actor, change).await.unwrap();
            }
        };
        rate(callers, &self.accounts, change).await
    }

    /// The longest that one of many waited for its commit, in ms.
    async fn slowest_commit(&self, callers: usize) -> f64 {
        let mut slowest = 0.0_f64;
        let mut rounds = JoinSet::new();
        for caller in 0..callers {
            let (accounts, actor) = (self.accounts.clone(), self.actor.clone());
            rounds.spawn(async move {
                let (start, mut slowest) = (Instant::now(), Duration::ZERO);
                for number in 0.. {
                    let name = Name::parse("first_name", &format!("Ann {caller} {number}")).unwrap();
                    let change =
                        ProfileChange { first_name: Change::Set(Some(name)), last_name: Change::Keep };
                    let asked = Instant::now();
                    accounts.edit_profile(&actor, change).await.unwrap();
                    slowest = slowest.max(asked.elapsed());
                    if start.elapsed() > TURN {
                        break;
                    }
                }
                slowest
            });
        }
        while let Some(one) = rounds.join_next().await {
            slowest = slowest.max(one.unwrap().as_secs_f64() * 1e3);
        }
        slowest
    }

    async fn logins(&self, callers: usize) -> f64 {
        rate(callers, &self.accounts, |accounts, _| async move { drop(log_in(&accounts).await) }).await
    }

    async fn serve(&self) -> SocketAddr {
        serve(api::endpoint(self.accounts.clone(), &self.config)).await
    }

    async fn me(&self) -> String {
        api::user_json(self.accounts.authenticate(&self.token, Origin::default()).await.unwrap().user())
            .to_string()
    }
}

async fn log_in(accounts: &Accounts) -> String {
    let (email, password) = (Email::parse("", EMAIL).unwrap(), Password::parse("", PASSWORD).unwrap());
    accounts.login(email, password, Origin::default()).await.unwrap().access_token
}

/// How often per second `callers` at once get an answer.
async fn rate<F: Future<Output = ()> + Send + 'static>(
    callers: usize,
    accounts: &Accounts,
    call: impl Fn(Accounts, u64) -> F,
) -> f64 {
    let mut running = JoinSet::new();
    let (start, mut done) = (Instant::now(), 0);
    for _ in 0..callers {
        running.spawn(call(accounts.clone(), done));
    }
    while start.elapsed() < TURN {
        running.join_next().await.unwrap().unwrap();
        done += 1;
        running.spawn(call(accounts.clone(), done));
    }
    let took = start.elapsed().as_secs_f64();
    running.join_all().await;
    #[expect(clippy::cast_precision_loss, reason = "a count of seconds' worth")]
    let done = done as f64;
    done / took
}

/// argon2id at the default parameters on `threads` threads that keep their memory, and nothing else.
fn raw_hashes(threads: usize) -> f64 {
    let (stop, done) = (AtomicBool::new(false), AtomicU64::new(0));
    let params = Params::new(19_456, 2, 1, Some(32)).unwrap();
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut memory = vec![Block::new(); params.block_count()];
                let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone());
                while !stop.load(Ordering::Relaxed) {
                    let mut output = [0; 32];
                    argon2
                        .hash_password_into_with_memory(
                            PASSWORD.as_bytes(),
                            &[7; 16],
                            &mut output,
                            &mut memory,
                        )
                        .unwrap();
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        thread::sleep(TURN);
        stop.store(true, Ordering::Relaxed);
    });
    #[expect(clippy::cast_precision_loss, reason = "a count of seconds' worth")]
    let done = done.load(Ordering::Relaxed) as f64;
    done / TURN.as_secs_f64()
}

struct Bare(Arc<str>);

#[OpenApi]
impl Bare {
    #[oai(path = "/me", method = "get")]
    async fn me(&self) -> PlainText<String> {
        PlainText(self.0.to_string())
    }
}

/// A handler that answers the same bytes to anybody.
async fn serve_bare(answer: String) -> SocketAddr {
    serve(OpenApiService::new(Bare(answer.into()), "", "")).await
}

async fn serve<E>(endpoint: E) -> SocketAddr
where
    E: poem::IntoEndpoint + Send + 'static,
    E::Endpoint: 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = Server::new_with_acceptor(TcpAcceptor::from_tokio(listener).unwrap()).run(endpoint);
    thread::spawn(move || tokio::runtime::Runtime::new().unwrap().block_on(server));
    address
}

/// What 99 of 100 answers take at most, in ms, for a client that asks every four.
async fn p99(server: SocketAddr, request: &str) -> f64 {
    let mut stream = TcpStream::connect(server).await.unwrap();
    let (start, mut times, mut answer) = (Instant::now(), Vec::new(), [0; 4096]);
    while start.elapsed() < TURN {
        let asked = Instant::now();
        stream.write_all(request.as_bytes()).await.unwrap();
        assert!(stream.read(&mut answer).await.unwrap() > 0);
        times.push(asked.elapsed().as_secs_f64() * 1e3);
        tokio::time::sleep(Duration::from_millis(4)).await;
    }
    times.sort_by(f64::total_cmp);
    times[times.len() * 99 / 100]
}

/// Answers per second to 32 connections that ask again as soon as they are answered.
async fn requests(server: SocketAddr, request: String) -> f64 {
    let request: Arc<str> = request.into();
    let stop = Arc::new(AtomicBool::new(false));
    let mut connections = JoinSet::new();
    for _ in 0..32 {
        let (request, stop) = (Arc::clone(&request), Arc::clone(&stop));
        connections.spawn(async move {
            let mut stream = TcpStream::connect(server).await.unwrap();
            let (mut answer, mut done) = ([0; 4096], 0_u32);
            while !stop.load(Ordering::Relaxed) {
                stream.write_all(request.as_bytes()).await.unwrap();
                // An answer is smaller than a segment: it comes whole.
                let length = stream.read(&mut answer).await.unwrap();
                assert!(
                    answer[..length].starts_with(b"HTTP/1.1 200"),
                    "{}",
                    String::from_utf8_lossy(&answer[..length])
                );
                done += 1;
            }
            done
        });
    }
    tokio::time::sleep(TURN).await;
    stop.store(true, Ordering::Relaxed);
    f64::from(connections.join_all().await.into_iter().sum::<u32>()) / TURN.as_secs_f64()
}
