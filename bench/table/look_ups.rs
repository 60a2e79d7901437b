//! Look-ups of sessions on PostgreSQL by the store alone, in a process of its own: as the program makes them, those that wait
//! together in one query, and a query each.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use coffeeshop::{
    config::{Database, Tls},
    domain::SessionId,
    store::{OpenMode, Store},
};
use tokio::{runtime::Runtime, sync::Mutex, task::JoinSet};

use super::load::Seen;

/// How many look-ups wait at any time.
pub const WAITING: usize = 32;
/// How many connections have a query each at the same time.
const APART: usize = 4;
/// Of a process, as it is by default, and the fewest that a store can have.
const CONNECTIONS: u16 = 16;
const FEWEST_CONNECTIONS: u16 = 4;

/// How look-ups become queries.
#[derive(Clone, Copy)]
pub enum Queries {
    /// Those that wait are one query.
    Together,
    /// The same statement with one session each time: stores that are each asked by one caller at a time.
    Each,
}

impl Queries {
    const fn name(self) -> &'static str {
        match self {
            Self::Together => "together",
            Self::Each => "each",
        }
    }
}

/// The process.
pub struct LookUps {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl LookUps {
    /// Starts it on a database; the file has the ids of sessions, one on a line.
    pub fn start(url: &str, sessions: &Path) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.arg("look-ups").arg(url).arg(sessions);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (input, output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, input, output }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How many it makes in such a time, and the median of what each takes in milliseconds.
    pub fn run(&mut self, queries: Queries, length: Duration) -> (f64, f64) {
        writeln!(self.input, "{} {}", queries.name(), length.as_millis()).unwrap();
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        let (count, p50) = line.trim().split_once(' ').unwrap_or_else(|| panic!("it ended: {line:?}"));
        (count.parse().unwrap(), p50.parse().unwrap())
    }
}

impl Drop for LookUps {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads how to look sessions up and for how many milliseconds, does it, and prints how many that were and their median.
pub fn look_up(url: &str, sessions: &Path) {
    let sessions = fs::read_to_string(sessions).unwrap();
    let sessions: Vec<_> = sessions.lines().map(|line| SessionId::from_uuid(line.parse().unwrap())).collect();
    let runtime = Runtime::new().unwrap();
    let open = |connections| {
        let database =
            Database { url: Some(url.parse().unwrap()), tls: Tls::Off, connections, ..Database::default() };
        runtime.block_on(Store::open(&database, OpenMode::RequireCurrent)).unwrap().0
    };
    let together = [open(CONNECTIONS)].map(Asked::ByMany);
    let each = [(); APART].map(|()| Asked::ByOne(Arc::new(Mutex::new(open(FEWEST_CONNECTIONS)))));
    for line in std::io::stdin().lines().map_while(Result::ok) {
        let (queries, length) = line.split_once(' ').unwrap();
        let stores: &[Asked] = if queries == Queries::Each.name() { &each } else { &together };
        let length = Duration::from_millis(length.parse().unwrap());
        let times = runtime.block_on(ask(stores, &sessions, length));
        let seen = Seen::new(times, 0, length);
        println!("{} {}", seen.count(), seen.p50());
    }
}

/// A store, and by how many it is asked at once.
#[derive(Clone)]
enum Asked {
    ByMany(Store),
    ByOne(Arc<Mutex<Store>>),
}

impl Asked {
    async fn look_up(&self, id: SessionId) {
        let found = match self {
            Self::ByMany(store) => store.session_with_user(id).await,
            Self::ByOne(store) => store.lock().await.session_with_user(id).await,
        };
        assert!(found.unwrap().is_some(), "a session is missing");
    }
}

/// So many tasks ask one store each, about one session after the other; returns how long each look-up took.
async fn ask(stores: &[Asked], sessions: &[SessionId], length: Duration) -> Vec<Duration> {
    let mut tasks = JoinSet::new();
    for (number, share) in sessions.chunks(sessions.len() / WAITING).take(WAITING).enumerate() {
        let (store, share) = (stores[number % stores.len()].clone(), share.to_vec());
        tasks.spawn(async move {
            let (begun, mut times) = (Instant::now(), Vec::new());
            for id in share.into_iter().cycle().take_while(|_| begun.elapsed() < length) {
                let asked = Instant::now();
                store.look_up(id).await;
                times.push(asked.elapsed());
            }
            times
        });
    }
    tasks.join_all().await.into_iter().flatten().collect()
}
