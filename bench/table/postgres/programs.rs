//! What PostgreSQL's own programs measure, pgbench and psql, and what its log tells.

use std::{fmt::Write as _, fs, path::PathBuf, process::Command, time::Duration};

use super::{super::seed::FAR_AWAY, Cluster};

/// A statement as coffeeshop sent it.
pub struct Statement {
    /// With `$1`, `$2` … for its values.
    text: String,
    /// As literals of SQL.
    values: Vec<String>,
}

/// How many sessions each client inserts.
const INSERTS: u32 = 40;

/// Inserts a session of any user.
const INSERT_SESSION: &str = "INSERT INTO sessions (id, user_id, created_at, last_used_at, expires_at, user_agent, ip, refresh_hash) \
     SELECT gen_random_uuid(), id, 1, 1, {far_away}, NULL, '127.0.0.1', sha256(CAST(email AS BYTEA)) \
     FROM users WHERE seq = :user;";

impl Cluster {
    /// What a `SELECT 1` takes on one connection, in milliseconds.
    pub fn round_trip(&self, length: Duration) -> f64 {
        let said = self.pgbench("SELECT 1;\n", &format!("--time={}", length.as_secs().max(1)));
        figure(&said, "latency average = ", " ms")
    }

    /// How many sessions so many clients insert in a second, each in a SERIALIZABLE transaction of its own.
    pub fn insert_sessions(&self, clients: usize, users: u32) -> f64 {
        let insert = INSERT_SESSION.replace("{far_away}", &FAR_AWAY.to_string());
        let script = format!(
            "\\set user random(1, {users})\nBEGIN ISOLATION LEVEL SERIALIZABLE;\n{insert}\nCOMMIT;\n"
        );
        // Not for a time, in which pgbench connects, too.
        let said = self.pgbench(&script, &format!("--client={clients} --transactions={INSERTS}"));
        figure(&said, "tps = ", " (")
    }

    /// What pgbench says after it has run a script.
    fn pgbench(&self, script: &str, options: &str) -> String {
        let path = self.folder.path().join("script");
        fs::write(&path, script).unwrap();
        let mut pgbench = self.program("pgbench");
        pgbench.args(["--no-vacuum", "--protocol=prepared", "--username=postgres", "--host"]);
        pgbench.arg(self.folder.path()).args(options.split(' ')).arg("--file").arg(path);
        said(pgbench.arg("postgres"))
    }

    /// The statements that it is sent meanwhile.
    pub fn statements(&self, meanwhile: impl FnOnce()) -> Vec<Statement> {
        let log = || fs::read_to_string(self.folder.path().join("log")).unwrap();
        let configure = |log_statement: &str| {
            self.sql(&format!("ALTER SYSTEM SET log_statement = {log_statement}"));
            self.sql("SELECT pg_reload_conf()");
            // Each process of the server reads it by itself.
            std::thread::sleep(Duration::from_millis(500));
        };
        configure("'all'");
        let before = log().len();
        meanwhile();
        configure("'none'");
        let log = log()[before..].to_owned();
        let mut lines = log.lines().peekable();
        let mut statements = Vec::new();
        while let Some(line) = lines.next() {
            // LOG:  execute s1: SELECT …
            let Some((_, text)) =
                line.split_once("LOG:  execute ").and_then(|(_, text)| text.split_once(": "))
            else {
                continue;
            };
            // DETAIL:  parameters: $1 = '50', $2 = …
            let detail = lines.peek().and_then(|line| line.split_once("DETAIL:  parameters: "));
            let values = detail.map_or_else(Vec::new, |(_, values)| {
                values.split(", $").map(|value| value.split_once(" = ").unwrap().1.to_owned()).collect()
            });
            statements.push(Statement { text: text.to_owned(), values });
        }
        statements
    }

    /// What a statement takes in psql in milliseconds, each time: planned for its values each time, or prepared.
    pub fn psql_times(&self, statement: &Statement, plan: Plan, times: usize) -> Vec<f64> {
        let (before, each) = match plan {
            Plan::EachTime => (String::new(), statement.with_values()),
            Plan::Prepared => (
                format!("PREPARE asked AS {};\n", statement.text),
                format!("EXECUTE asked ({})", statement.values.join(", ")),
            ),
        };
        let mut script = format!("{before}\\timing on\n\\o /dev/null\n");
        for _ in 0..times {
            writeln!(script, "{each};").unwrap();
        }
        let path = self.folder.path().join("script");
        fs::write(&path, script).unwrap();
        let said = said(self.psql().arg("--file").arg(PathBuf::from(&path)));
        let times = said.lines().filter_map(|line| line.strip_prefix("Time: ")?.strip_suffix(" ms"));
        times.map(|time| time.parse().unwrap()).collect()
    }
}

/// How psql has a statement planned.
#[derive(Clone, Copy)]
pub enum Plan {
    /// For its values, each time.
    EachTime,
    /// Once for any values, after the first five times.
    Prepared,
}

impl Statement {
    pub fn contains(&self, text: &str) -> bool {
        self.text.contains(text)
    }

    fn with_values(&self) -> String {
        let mut text = self.text.clone();
        for (index, value) in self.values.iter().enumerate().rev() {
            text = text.replace(&format!("${}", index + 1), value);
        }
        text
    }
}

fn said(command: &mut Command) -> String {
    let done = command.output().unwrap();
    assert!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

/// The number in the line that begins like this, up to its unit.
fn figure(said: &str, start: &str, end: &str) -> f64 {
    let rest = said.lines().find_map(|line| line.strip_prefix(start)).unwrap_or_else(|| panic!("{said}"));
    rest.split_once(end).map_or(rest, |(number, _)| number).parse().unwrap()
}
