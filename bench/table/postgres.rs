//! A PostgreSQL of its own in a temporary folder, behind a Unix socket, as durable as the server asks for.

mod programs;

use std::{
    fs::{self, Permissions},
    io::{BufWriter, Write},
    os::unix::fs::{PermissionsExt, chown},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;

pub use self::programs::{Plan, Statement};
use super::{
    seed::{self, Person},
    shop::{BINARY, Server, Shop},
};

/// Debian's folder of each version, unless the programs are in PATH.
const VERSIONS: &str = "/usr/lib/postgresql";
/// Whom PostgreSQL runs as, since it refuses root.
const USER: &str = "postgres";
/// The name of a Unix socket of PostgreSQL at its default port.
pub const SOCKET: &str = ".s.PGSQL.5432";

/// What its files are on.
#[derive(Clone, Copy)]
pub enum Disk {
    /// The disk of the temporary folder, as it is.
    Own,
    /// The same, with each flush made longer by so much: `strace` holds back the answer of the system call.
    Slow(Duration),
}

/// A running PostgreSQL with one database; stopped when dropped.
pub struct Cluster {
    programs: PathBuf,
    folder: TempDir,
}

impl Cluster {
    /// Starts one with so many users.
    pub fn with_users(count: u32, disk: Disk) -> Self {
        let cluster = Self::start(disk);
        let started = Instant::now();
        let mut migrate = Command::new(BINARY);
        migrate.arg("migrate").current_dir(cluster.folder.path()).env_clear();
        migrate.envs(cluster.settings().iter().map(|(name, value)| (format!("COFFEESHOP_{name}"), value)));
        run(migrate.stdout(Stdio::null()));
        cluster.fill(count);
        cluster.sql("VACUUM ANALYZE");
        eprintln!("made {count} users in PostgreSQL in {:.1?}", started.elapsed());
        cluster
    }

    fn start(disk: Disk) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let cluster = Self { programs: programs(), folder };
        if is_root() {
            let id = |flag| {
                let said = Command::new("id").args([flag, USER]).output().unwrap();
                String::from_utf8(said.stdout).unwrap().trim().parse().unwrap()
            };
            chown(cluster.folder.path(), Some(id("-u")), Some(id("-g"))).unwrap();
            // bench/run made the folder above for root alone.
            fs::set_permissions(cluster.folder.path().parent().unwrap(), Permissions::from_mode(0o711))
                .unwrap();
        }
        // The server comes as another user.
        fs::set_permissions(cluster.folder.path(), Permissions::from_mode(0o711)).unwrap();
        let data = cluster.data();
        let mut initdb = cluster.program("initdb");
        run(initdb.args(["--auth=trust", "--locale=C.UTF-8", "--username=postgres", "--pgdata"]).arg(&data));
        let options = format!(
            "-c listen_addresses='' -c unix_socket_directories='{}' -c max_connections=200",
            cluster.folder.path().display()
        );
        let mut start = cluster.program("pg_ctl");
        start.args(["start", "--wait", "--silent", "--options", &options]);
        if let Disk::Slow(flush) = disk {
            start.arg("-p").arg(cluster.slowed(flush));
        }
        run(start.arg("--log").arg(cluster.folder.path().join("log")).arg("--pgdata").arg(&data));
        cluster
    }

    /// A program that runs the server and has each flush take so much longer; everything else is as quick as ever.
    fn slowed(&self, flush: Duration) -> PathBuf {
        let program = self.folder.path().join("slowed");
        let script = format!(
            "#!/bin/sh\n\
             exec strace -D -f --seccomp-bpf -o /dev/null -e trace=fsync,fdatasync \
             -e inject=fsync,fdatasync:delay_exit={}ms '{}' \"$@\"\n",
            flush.as_millis(),
            self.programs.join("postgres").display()
        );
        fs::write(&program, script).unwrap();
        fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
        program
    }

    /// Inserts the users as `seed::make` does.
    fn fill(&self, count: u32) {
        let columns = seed::COLUMNS;
        let mut psql = self.psql();
        psql.args(["--command", &format!("COPY users ({columns}) FROM STDIN")]);
        let mut child = psql.stdin(Stdio::piped()).spawn().unwrap();
        let mut input = BufWriter::new(child.stdin.take().unwrap());
        copy(count, &mut input);
        input.flush().unwrap();
        drop(input);
        assert!(child.wait().unwrap().success(), "the users were not inserted");
    }

    /// Adds sessions that nothing uses, as old as those that begin now: two conflict if they are on one page of an index, which
    /// those of a shop, begun over weeks, hardly are.
    pub fn add_sessions(&self) {
        let far_away = seed::FAR_AWAY;
        self.sql(&format!(
            "INSERT INTO sessions (id, user_id, refresh_hash, created_at, last_used_at, expires_at) \
             SELECT (lpad(to_hex(floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint), 12, '0') || '7000' || \
             substr(md5(random()::text), 1, 16))::uuid, id, sha256(email::bytea), created_at, created_at, {far_away} \
             FROM (SELECT * FROM users WHERE status = 'verified' ORDER BY seq DESC LIMIT 500) AS users"
        ));
    }

    /// Adds a session of each of so many users, and writes the ids of some of them into a file, in no order.
    pub fn add_sessions_of(&self, users: u32) -> PathBuf {
        let far_away = seed::FAR_AWAY;
        self.sql(&format!(
            "INSERT INTO sessions (id, user_id, refresh_hash, created_at, last_used_at, expires_at) \
             SELECT gen_random_uuid(), id, sha256(email::bytea), created_at, created_at, {far_away} \
             FROM users WHERE status = 'verified' AND NOT disabled ORDER BY seq LIMIT {users}"
        ));
        self.sql("VACUUM ANALYZE");
        let mut psql = self.psql();
        psql.args(["--tuples-only", "--no-align", "--command"]);
        psql.arg("SELECT id FROM sessions WHERE created_at = last_used_at ORDER BY random() LIMIT 32000");
        let path = self.folder.path().join("sessions");
        fs::write(&path, psql.output().unwrap().stdout).unwrap();
        path
    }

    /// Starts a server on it, with these settings besides; returns once it answers.
    pub fn serve_with(&self, shop: &Shop, settings: &[(&str, &str)]) -> Server {
        let own = self.settings();
        let own = own.iter().map(|(name, value)| (*name, value.as_str()));
        shop.serve_with(&own.chain(settings.iter().copied()).collect::<Vec<_>>())
    }

    /// The database, by a socket in its own folder.
    pub fn url(&self) -> String {
        url(self.folder.path())
    }

    pub fn socket(&self) -> PathBuf {
        self.folder.path().join(SOCKET)
    }

    fn settings(&self) -> [(&'static str, String); 3] {
        [
            ("DATABASE__URL", self.url()),
            ("DATABASE__TLS", "off".to_owned()),
            ("AUTH__SECRET", "0123456789abcdef".repeat(4)),
        ]
    }

    /// The process that starts all others.
    pub fn pid(&self) -> u32 {
        let file = fs::read_to_string(self.data().join("postmaster.pid")).unwrap();
        file.lines().next().unwrap().parse().unwrap()
    }

    fn sql(&self, sql: &str) {
        run(self.psql().args(["--command", sql]));
    }

    fn psql(&self) -> Command {
        let mut psql = self.program("psql");
        psql.args(["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--username=postgres", "--host"]);
        psql.arg(self.folder.path()).arg("postgres");
        psql
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn program(&self, name: &str) -> Command {
        let path = self.programs.join(name);
        let mut command = if is_root() {
            let mut command = Command::new("runuser");
            command.args(["--user", USER, "--"]).arg(path);
            command
        } else {
            Command::new(path)
        };
        command.current_dir("/");
        command
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let mut stop = self.program("pg_ctl");
        let _ = stop
            .args(["stop", "--wait", "--silent", "--mode=immediate", "--pgdata"])
            .arg(self.data())
            .status();
    }
}

/// The database by a socket in this folder.
pub fn url(folder: &Path) -> String {
    format!("postgres://postgres@/postgres?host={}", folder.display())
}

/// Writes the users as PostgreSQL's COPY reads them (<https://www.postgresql.org/docs/current/sql-copy.html>, text format).
fn copy(count: u32, into: &mut impl Write) {
    let hash = seed::hash();
    let or_null = |time: Option<i64>| time.map_or_else(|| "\\N".to_owned(), |time| time.to_string());
    for person in (0..count).map(Person) {
        let email = person.email();
        let created_at = person.created_at().to_string();
        let (status, verified_at, expires_at) = person.verification();
        let cells: [&str; 14] = [
            &person.id().to_string(),
            &email,
            &email.to_lowercase(),
            person.first_name(),
            person.last_name(count),
            &person.search_text(count).replace('\n', "\\n"),
            &hash,
            person.role(),
            status,
            if person.is_disabled() { "t" } else { "f" },
            &created_at,
            &created_at,
            &or_null(verified_at),
            &or_null(expires_at),
        ];
        writeln!(into, "{}", cells.join("\t")).unwrap();
    }
}

/// The folder with PostgreSQL's programs of the newest version.
fn programs() -> PathBuf {
    let versions = fs::read_dir(VERSIONS).into_iter().flatten().filter_map(Result::ok);
    let newest = versions.filter_map(|entry| {
        let version: u32 = entry.file_name().to_str()?.parse().ok()?;
        Some((version, entry.path().join("bin")))
    });
    newest
        .filter(|(_, path)| path.join("initdb").exists())
        .max()
        .map_or_else(|| Path::new("").to_owned(), |(_, path)| path)
}

fn is_root() -> bool {
    rustix::process::getuid().is_root()
}

fn run(command: &mut Command) {
    let done = command.stdin(Stdio::null()).output();
    let done = done.unwrap_or_else(|error| panic!("PostgreSQL must be installed: {command:?}: {error}"));
    assert!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
}
