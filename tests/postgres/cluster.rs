//! PostgreSQL clusters for tests, each with a folder, a socket and a port of its own, from the programs of Debian's packages.

use std::{
    fs,
    io::Write,
    net::{Ipv4Addr, TcpListener},
    os::unix::{fs::chown, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Mutex, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use rustix::process::{Pid, Signal, geteuid, kill_process};

use crate::{random, shop::wait_for};

/// Ports from here on, so many, are none that the system gives to connections: a server that is stopped keeps its own.
const PORTS: u16 = 12_000;
const COUNT_OF_PORTS: u16 = 18_000;

/// Makes the synchronization of files free. What a killed server has written is there all the same.
const QUICK: &str = "/usr/bin/eatmydata";

/// The role that the program logs in as, without a password.
pub const OWNER: &str = "coffeeshop";
/// One that needs its password.
pub const GUARDED: &str = "guarded";
/// Its password, which may appear in no output.
pub const PASSWORD: &str = "cortado7Canary9ristretto";

/// Runs a server until its own standard input ends, and deletes the folder then: also if the tests are killed.
const KEEPER: &str = r#"
trap "" INT TERM HUP
"$@" >> "$0/log" 2>&1 < /dev/null &
read -r _
kill -CONT $! 2> /dev/null
kill -QUIT $! 2> /dev/null
wait
rm -rf "$0"
"#;

/// A cluster, deleted when this is dropped.
pub struct Cluster {
    folder: PathBuf,
    pub port: u16,
    keepers: Mutex<Vec<Child>>,
}

/// A database of a cluster.
#[derive(Clone, Copy)]
pub struct Database<'c> {
    pub cluster: &'c Cluster,
    number: usize,
}

impl Cluster {
    /// One that is shared by all tests that neither stop it nor change its settings.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Cluster> = OnceLock::new();
        SHARED.get_or_init(|| Self::start("max_connections = 300"))
    }

    /// A cluster that listens, with these lines in its configuration.
    pub fn start(settings: &str) -> Self {
        let cluster = Self::empty();
        let log_folder = cluster.folder.join("wal");
        let mut initdb = cluster.program("initdb");
        initdb.args(["-U", "postgres", "-A", "trust", "--locale=C.UTF-8", "-E", "UTF8", "-N", "-X"]);
        run(initdb.arg(log_folder).arg("-D").arg(cluster.data()));
        let hba = cluster.data().join("pg_hba.conf");
        let rules = fs::read_to_string(&hba).unwrap();
        let guarded = format!("host all {GUARDED} all scram-sha-256\n");
        fs::write(&hba, guarded + &rules).unwrap();
        cluster.configure(settings);
        cluster.resume();
        cluster.sql(
            "postgres",
            &format!("CREATE ROLE {OWNER} LOGIN; CREATE ROLE {GUARDED} LOGIN PASSWORD '{PASSWORD}'"),
        );
        cluster
    }

    /// A standby of this cluster, which listens.
    pub fn standby(&self) -> Self {
        let standby = Self::empty();
        standby.follow(self);
        standby
    }

    /// Becomes a standby of another cluster, and listens; it has ended, and all that it holds is deleted.
    pub fn follow(&self, primary: &Self) {
        let socket = format!(".s.PGSQL.{}", self.port);
        for name in ["data", "wal"] {
            let _ = fs::remove_dir_all(self.folder.join(name));
        }
        // A killed server leaves them behind, with the id of a process that its keeper holds on to.
        for name in [format!("{socket}.lock"), socket] {
            let _ = fs::remove_file(self.folder.join(name));
        }
        let mut backup = self.program("pg_basebackup");
        backup.args(["-h", "127.0.0.1", "-U", "postgres", "-R", "-N", "-c", "fast", "-p"]);
        run(backup.arg(primary.port.to_string()).arg("-D").arg(self.data()));
        self.resume();
    }

    /// Makes a standby the primary.
    pub fn promote(&self) {
        assert_eq!(self.sql("postgres", "SELECT pg_promote(wait_seconds => 90)"), "t");
    }

    fn empty() -> Self {
        let folder = tempfile::Builder::new().prefix("pg").tempdir().unwrap().keep();
        if let Some((user, group)) = user() {
            chown(&folder, Some(user), Some(group)).unwrap();
        }
        Self { folder, port: free_port(), keepers: Mutex::default() }
    }

    /// Adds lines to its configuration, for the next start or `reload`.
    pub fn configure(&self, settings: &str) {
        let mut file = fs::OpenOptions::new().append(true).open(self.data().join("postgresql.conf")).unwrap();
        writeln!(file, "{settings}").unwrap();
    }

    pub fn reload(&self) {
        self.signal(Signal::HUP);
    }

    /// Starts it, and waits until it answers.
    pub fn resume(&self) {
        let program = self.program("postgres");
        let mut keeper = Command::new("sh");
        keeper.args(["-c", KEEPER]).arg(&self.folder);
        if fs::exists(QUICK).is_ok_and(|exists| exists) {
            keeper.arg(QUICK);
        }
        keeper.arg(program.get_program()).arg("-D").arg(self.data());
        keeper.arg("-k").arg(&self.folder).args(["-p", &self.port.to_string(), "-h", "127.0.0.1"]);
        as_postgres(&mut keeper);
        let keeper = keeper.stdin(Stdio::piped()).current_dir("/").spawn().unwrap();
        self.keepers.lock().unwrap().push(keeper);
        wait_for("PostgreSQL", || self.try_sql("postgres", "SELECT 1").ok());
    }

    /// Stops it: `INT` in order, `QUIT` as in a crash.
    pub fn stop(&self, signal: Signal) {
        let pid = self.pid();
        kill_process(pid, signal).unwrap();
        wait_for("PostgreSQL to end", || (!is_running(pid)).then_some(()));
    }

    /// Kills all its processes at once, as a machine that is switched off does.
    pub fn crash(&self) {
        let pid = self.pid();
        // It starts no more processes then, and notices none that ends.
        kill_process(pid, Signal::STOP).unwrap();
        let processes = [children(pid), vec![pid]].concat();
        for process in &processes {
            let _ = kill_process(*process, Signal::KILL);
        }
        wait_for("PostgreSQL to end", || (!processes.iter().any(|pid| is_running(*pid))).then_some(()));
        // A killed server leaves a segment of shared memory behind, whose id is in its file, behind its key.
        let file = fs::read_to_string(self.data().join("postmaster.pid")).unwrap();
        let segment = file.lines().nth(6).and_then(|line| line.split_whitespace().last()).unwrap();
        let mut remove = Command::new("ipcrm");
        as_postgres(&mut remove);
        let _ = remove.args(["-m", segment]).output();
    }

    /// Sends its standbys nothing any more.
    pub fn hold_back_standbys(&self) {
        for sender in self.sql("postgres", "SELECT pid FROM pg_stat_replication").lines() {
            kill_process(Pid::from_raw(sender.parse().unwrap()).unwrap(), Signal::STOP).unwrap();
        }
    }

    /// Stops all its processes where they are; `Signal::CONT` lets them go on.
    pub fn signal_all(&self, signal: Signal) {
        let pid = self.pid();
        kill_process(pid, signal).unwrap();
        for child in children(pid) {
            let _ = kill_process(child, signal);
        }
    }

    fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    fn pid(&self) -> Pid {
        let file = fs::read_to_string(self.data().join("postmaster.pid")).unwrap();
        Pid::from_raw(file.lines().next().unwrap().parse().unwrap()).unwrap()
    }

    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// A file that the server can read, and it alone.
    pub fn put(&self, name: &str, content: &str) -> PathBuf {
        let path = self.folder.join(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        if let Some((user, group)) = user() {
            chown(&path, Some(user), Some(group)).unwrap();
        }
        path
    }

    /// A new database, with these words at the end of its statement.
    pub fn database_with(&self, words: &str) -> Database<'_> {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let database = Database { cluster: self, number: NUMBER.fetch_add(1, Ordering::Relaxed) };
        self.sql("postgres", &format!("CREATE DATABASE {} OWNER {OWNER} {words}", database.name()));
        database
    }

    pub fn database(&self) -> Database<'_> {
        self.database_with("")
    }

    /// What a statement answers, as its superuser: rows in lines, columns with bars between them.
    pub fn sql(&self, database: &str, sql: &str) -> String {
        self.try_sql(database, sql).unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    pub fn try_sql(&self, database: &str, sql: &str) -> Result<String, String> {
        let mut psql = self.program("psql");
        psql.args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-d", database, "-c", sql]);
        let ran = psql.arg("-h").arg(&self.folder).args(["-p", &self.port.to_string()]).output().unwrap();
        if ran.status.success() {
            Ok(String::from_utf8(ran.stdout).unwrap().trim_end().to_owned())
        } else {
            Err(String::from_utf8_lossy(&ran.stderr).into_owned())
        }
    }

    /// One of PostgreSQL's programs, to be run as the user that may.
    fn program(&self, name: &str) -> Command {
        let mut command = Command::new(folder_of_programs().join(name));
        as_postgres(&mut command);
        command.current_dir(&self.folder);
        command
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if fs::exists(self.data().join("postmaster.pid")).is_ok_and(|exists| exists) && is_running(self.pid())
        {
            self.signal_all(Signal::CONT);
        }
        for keeper in self.keepers.get_mut().unwrap() {
            drop(keeper.stdin.take());
            let _ = keeper.wait();
        }
    }
}

impl Database<'_> {
    /// The one of the same name in a copy of its cluster.
    pub const fn at(self, cluster: &Cluster) -> Database<'_> {
        Database { cluster, number: self.number }
    }

    pub fn name(self) -> String {
        format!("shop_{}", self.number)
    }

    /// The URL for the program.
    pub fn url(self) -> String {
        self.url_at(&format!("127.0.0.1:{}", self.cluster.port))
    }

    /// The URL with other hosts, or of other credentials.
    pub fn url_at(self, hosts: &str) -> String {
        let user = if hosts.contains('@') { String::new() } else { format!("{OWNER}@") };
        format!("postgres://{user}{hosts}/{}", self.name())
    }

    pub fn sql(self, sql: &str) -> String {
        self.cluster.sql(&self.name(), sql)
    }

    /// The one number that a query answers.
    #[track_caller]
    pub fn number(self, sql: &str) -> i64 {
        let text = self.sql(sql);
        text.parse().unwrap_or_else(|_| panic!("{sql}: {text}"))
    }

    /// Ends all connections of the program; answers how many there were.
    pub fn terminate(self) -> i64 {
        self.number(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
             WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
    }
}

/// A port on which nothing listens, another one each time.
pub fn free_port() -> u16 {
    static GIVEN: Mutex<Vec<u16>> = Mutex::new(Vec::new());
    let mut given = GIVEN.lock().unwrap();
    let port = wait_for("a free port", || {
        let port = PORTS + u16::try_from(random(usize::from(COUNT_OF_PORTS))).unwrap();
        let is_free = !given.contains(&port) && TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
        is_free.then_some(port)
    });
    given.push(port);
    port
}

/// The newest of the versions that Debian installs beside each other.
fn folder_of_programs() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
        let newest = versions.max_by_key(|version| version.file_name().to_string_lossy().parse::<u32>().ok());
        newest.map_or_else(|| PathBuf::from("/usr/bin"), |version| version.path().join("bin"))
    })
}

/// The user and the group `postgres`, since root may not run a server; none if the tests are run by another user.
pub fn user() -> Option<(u32, u32)> {
    if !geteuid().is_root() {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").unwrap();
    let user = users.lines().find_map(|line| line.strip_prefix("postgres:")).unwrap();
    let mut ids = user.split(':').skip(1).map(|id| id.parse().unwrap());
    Some((ids.next().unwrap(), ids.next().unwrap()))
}

fn as_postgres(command: &mut Command) {
    if let Some((user, group)) = user() {
        command.uid(user).gid(group);
    }
}

fn run(command: &mut Command) {
    let ran = command.output().unwrap();
    assert!(ran.status.success(), "{command:?}: {}", String::from_utf8_lossy(&ran.stderr));
}

fn is_running(pid: Pid) -> bool {
    stat(pid.as_raw_nonzero().get()).is_some_and(|(state, _)| state != "Z")
}

fn children(parent: Pid) -> Vec<Pid> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let ids = processes.filter_map(|process| process.file_name().to_str()?.parse::<i32>().ok());
    let is_child = |id: &i32| stat(*id).is_some_and(|(_, of)| of == parent.as_raw_nonzero().to_string());
    ids.filter(is_child).filter_map(Pid::from_raw).collect()
}

/// The state of a process, and its parent.
fn stat(pid: i32) -> Option<(String, String)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split(' ').map(str::to_owned);
    Some((fields.next()?, fields.next()?))
}
