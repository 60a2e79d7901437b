//! The real binary in a temporary folder: its commands, its server, and a client that speaks just enough HTTP.

use std::{
    ffi::OsStr,
    fs,
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use coffeeshop::{
    app::App,
    config::Config,
    domain::Clock,
    store::{OpenMode, Store},
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::sql::Sql;

/// A password that meets the policy.
pub const PASSWORD: &str = "mocha stirs slowly";

/// Longer than anything takes on the slowest machine; only a test that fails waits for so long.
const TIMEOUT: Duration = Duration::from_secs(90);

/// The binary that is tested: the one that was built with the tests, unless `TESTED_BINARY` names another.
fn binary() -> PathBuf {
    let built = Path::new(env!("CARGO_BIN_EXE_coffeeshop"));
    #[expect(clippy::disallowed_methods, reason = "a setting of tests, and none of the program")]
    let named = std::env::var_os("TESTED_BINARY");
    named.map_or_else(|| built.to_owned(), |named| fs::canonicalize(named).unwrap())
}

/// A folder to run the binary in, and the settings that its environment brings.
pub struct Shop {
    folder: TempDir,
    settings: Vec<(String, String)>,
    pub sql: Sql,
}

impl Shop {
    /// An empty folder. A server in it takes any free port.
    pub fn new() -> Self {
        Self::using(Sql::empty)
    }

    /// An empty folder whose store is a file in it, on whichever engine the tests run.
    pub fn on_sqlite() -> Self {
        Self::using(Sql::Sqlite)
    }

    /// An empty folder with this database.
    pub fn on(sql: &Sql) -> Self {
        let shop = Self::using(|_| sql.clone());
        match sql {
            Sql::Sqlite(file) => shop.with("DATABASE__PATH", file.to_str().unwrap()),
            Sql::Postgres(_) => shop,
        }
    }

    fn using(sql: impl FnOnce(PathBuf) -> Sql) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let sql = sql(folder.path().join("data/coffeeshop.db"));
        let shop = Self { folder, settings: sql.settings(), sql };
        shop.with("SERVER__LISTEN", "127.0.0.1:0")
    }

    /// A folder with an empty store in it.
    pub fn with_store() -> Self {
        let shop = Self::new();
        shop.run(&["migrate"]).is(0);
        shop
    }

    /// A folder with a store in it, and the admin `boss@example.com`.
    pub fn with_admin() -> Self {
        let shop = Self::new();
        shop.create_admin("boss@example.com").is(0);
        shop
    }

    /// The same, with one more setting: the name without `COFFEESHOP_`.
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.set(name, value);
        self
    }

    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        if name.starts_with("AUTH__SECRET") {
            // Either the secret or its file, once.
            self.settings.retain(|(name, _)| !name.contains("AUTH__SECRET"));
        }
        self.settings.push((format!("COFFEESHOP_{name}"), value.into()));
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn database(&self) -> PathBuf {
        self.path("data/coffeeshop.db")
    }

    pub fn secret(&self) -> PathBuf {
        self.path("data/coffeeshop.secret")
    }

    /// The names of everything in a folder, sorted.
    pub fn names_in(&self, folder: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(folder)).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Puts the binary into the folder, for users who cannot look into where it was built. By another process: a file that
    /// this one holds open for writing cannot be run, and a process that another test starts meanwhile would hold it, too.
    pub fn copy_binary(&self) {
        let copied = Command::new("cp").arg(binary()).arg(self.path("coffeeshop")).status().unwrap();
        assert!(copied.success());
    }

    /// Runs a command to its end, with nothing to read.
    pub fn run(&self, args: &[&str]) -> Ran {
        self.run_with_input(args, "")
    }

    /// Runs a command to its end, with this on standard input.
    pub fn run_with_input(&self, args: &[&str], input: impl Into<Vec<u8>>) -> Ran {
        let mut command = assert_cmd::Command::from_std(self.command(binary()));
        Ran::read(command.args(args).write_stdin(input).timeout(TIMEOUT).output().unwrap())
    }

    /// Runs a line of shell, in which `"$0"` is the binary.
    pub fn run_in_shell(&self, line: &str) -> Ran {
        let mut command = assert_cmd::Command::from_std(self.command("sh"));
        Ran::read(command.args(["-c", line]).arg(binary()).timeout(TIMEOUT).output().unwrap())
    }

    pub fn create_admin(&self, email: &str) -> Ran {
        self.run_with_input(&["create-admin", "--email", email, "--password-stdin", "--json"], PASSWORD)
    }

    /// The accounts in the store of this folder, by another clock than the machine's and with cheap hashing.
    pub async fn app(&self, clock: Clock) -> App {
        let mut config = Config::default();
        self.sql.configure(&mut config);
        (config.password.memory_kib, config.password.iterations) = (64, 1);
        let (store, _) = Store::open(&config.database, OpenMode::CreateOrMigrate).await.unwrap();
        App::open(&config, store, clock).await.unwrap()
    }

    /// How many rows a table has.
    pub fn count(&self, table: &str) -> i64 {
        self.sql.count(table)
    }

    /// Starts a server and waits until it listens.
    pub fn serve(&self) -> Server {
        let server = self.start(&["serve"]);
        server.wait_until_it_listens()
    }

    /// Starts a server and does not wait.
    pub fn start(&self, args: &[&str]) -> Starting {
        let mut command = self.command(binary());
        command.args(args).stdin(Stdio::null());
        Self::spawn(command)
    }

    /// Starts a server by a line of shell, in which `"$0"` is the binary.
    pub fn start_in_shell(&self, line: &str) -> Starting {
        let mut command = self.command("sh");
        command.args(["-c", line]).arg(binary()).stdin(Stdio::null());
        Self::spawn(command)
    }

    /// Starts a command at a terminal, on which all that it says is standard output.
    pub fn at_terminal(&self, command: &str) -> Terminal {
        self.line_at_terminal(&format!("\"$0\" {command}"))
    }

    /// Runs a line of shell at a terminal, in which `"$0"` is the binary.
    pub fn line_at_terminal(&self, line: &str) -> Terminal {
        let mut script = self.command("script");
        let line = line.replace("\"$0\"", &binary().display().to_string());
        script.args(["-qec", &line, "/dev/null"]).stdin(Stdio::piped());
        let Starting(mut process) = Self::spawn(script);
        Terminal { keys: process.child.stdin.take().unwrap(), process }
    }

    fn spawn(mut command: Command) -> Starting {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (out, err) =
            (Heard::from(child.stdout.take().unwrap()), Heard::from(child.stderr.take().unwrap()));
        Starting(Process { child, out, err })
    }

    fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.folder.path()).env_clear().env("PATH", "/usr/bin:/bin");
        command.envs(self.settings.iter().map(|(name, value)| (name, value)));
        command
    }
}

/// What a command did.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Ran {
    fn read(output: std::process::Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// The same, if it ended with this code.
    #[track_caller]
    pub fn is(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        self
    }

    /// The same, if it was refused in one line that says this, without any data.
    #[track_caller]
    pub fn refused(self, why: &str) -> Self {
        let ran = self.is(1);
        let errors: Vec<_> = ran.err.lines().filter(|line| line.starts_with("error: ")).collect();
        assert!(matches!(errors[..], [line] if line.contains(why)), "not refused with {why:?}: {ran:?}");
        assert_eq!(ran.out, "", "{ran:?}");
        ran
    }

    /// The same, if the last line is a hint that says this.
    #[track_caller]
    pub fn hint(self, hint: &str) -> Self {
        let last = self.err.lines().last().unwrap_or_default();
        assert!(last.starts_with("hint: ") && last.contains(hint), "no hint with {hint:?}: {self:?}");
        self
    }

    /// The JSON on standard output.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// What a process printed so far.
struct Heard {
    text: Arc<Mutex<String>>,
    listener: Option<JoinHandle<()>>,
}

impl Heard {
    fn from(mut pipe: impl Read + Send + 'static) -> Self {
        let text = Arc::<Mutex<String>>::default();
        let heard = Arc::clone(&text);
        let listener = thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(length @ 1..) = pipe.read(&mut bytes) {
                heard.lock().unwrap().push_str(&String::from_utf8_lossy(&bytes[..length]));
            }
        });
        Self { text, listener: Some(listener) }
    }

    fn text(&self) -> String {
        self.text.lock().unwrap().clone()
    }

    /// Everything, once the process has ended.
    fn all(&mut self) -> String {
        self.listener.take().unwrap().join().unwrap();
        self.text()
    }
}

/// A process that is ended with the test, whatever comes of it.
struct Process {
    child: Child,
    out: Heard,
    err: Heard,
}

impl Process {
    fn ended(&mut self) -> ExitStatus {
        wait_for("the process to end", || self.child.try_wait().unwrap())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A process that was started: a server that may not listen yet, or a command.
pub struct Starting(Process);

impl Starting {
    pub fn wait_until_it_listens(self) -> Server {
        self.listens_or_ends().unwrap_or_else(|ran| panic!("the server did not start: {ran:?}"))
    }

    /// The server as soon as it listens, or what it did if it ended instead.
    pub fn listens_or_ends(mut self) -> Result<Server, Ran> {
        let address = wait_for("the server to listen or to end", || {
            if self.0.child.try_wait().unwrap().is_some() {
                return Some(None);
            }
            let log = self.0.err.text();
            let (_, rest) = log.split_once("listening on http://")?;
            let end = rest.find(|c: char| !(c.is_ascii_digit() || ".:".contains(c)))?;
            rest[..end].parse().ok().map(Some)
        });
        match address {
            Some(address) => Ok(Server { process: self.0, address }),
            None => Err(self.ended()),
        }
    }

    /// What it did, if it does not serve but ends.
    pub fn ended(mut self) -> Ran {
        let code = self.0.ended().code();
        Ran { code, out: self.0.out.all(), err: self.0.err.all() }
    }
}

/// A command at a terminal.
pub struct Terminal {
    process: Process,
    keys: ChildStdin,
}

impl Terminal {
    /// Types an answer as soon as there is the question.
    pub fn answer(&mut self, question: &str, answer: &str) {
        wait_for(question, || self.process.out.text().contains(question).then_some(()));
        thread::sleep(Duration::from_millis(100)); // it is asked just before what is typed is hidden
        writeln!(self.keys, "{answer}").unwrap();
    }

    /// What came of it.
    pub fn ended(self) -> Ran {
        Starting(self.process).ended()
    }
}

/// A server that listens.
pub struct Server {
    process: Process,
    pub address: SocketAddr,
}

impl Server {
    /// Asks it to stop, and waits until it has.
    pub fn stop(mut self, signal: Signal) -> Ran {
        self.signal(signal);
        self.ended()
    }

    /// Ends it without a warning; answers what it printed.
    pub fn kill(mut self) -> String {
        self.process.child.kill().unwrap();
        self.ended().out
    }

    pub fn signal(&mut self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// What it did, once it has ended.
    pub fn ended(self) -> Ran {
        Starting(self.process).ended()
    }

    /// The id of the process.
    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.process.child)
    }

    /// What it logged so far.
    pub fn logged(&self) -> String {
        self.process.err.text()
    }

    /// What it printed so far.
    pub fn printed(&self) -> String {
        self.printed_after(0)
    }

    /// What it printed so far, but for its first bytes, so many of them.
    pub fn printed_after(&self, bytes: usize) -> String {
        self.process.out.text.lock().unwrap()[bytes..].to_owned()
    }

    /// The latest message to this address, as soon as it is printed.
    pub fn message(&self, to: &str) -> String {
        wait_for("a message", || {
            let printed = self.printed();
            let start = printed.rfind(&format!("--- message to {to} ---\n"))?;
            let end = printed[start..].find("\n---\n")?;
            Some(printed[start..start + end].to_owned())
        })
    }

    pub fn get(&self, path: &str) -> Reply {
        self.ask("GET", path, "", None).unwrap()
    }

    pub fn get_as(&self, token: &str, path: &str) -> Reply {
        self.ask("GET", path, &format!("Authorization: Bearer {token}\r\n"), None).unwrap()
    }

    pub fn post(&self, path: &str, body: &Value) -> Reply {
        self.post_with("", path, body)
    }

    /// With more headers, each line of them ended.
    pub fn post_with(&self, headers: &str, path: &str, body: &Value) -> Reply {
        self.ask("POST", path, headers, Some(body)).unwrap()
    }

    pub fn sign_up(&self, email: &str) -> Reply {
        try_to_sign_up(self.address, email).unwrap()
    }

    pub fn log_in(&self, email: &str) -> Reply {
        self.post("/auth/login", &json!({ "email": email, "password": PASSWORD }))
    }

    /// The access token of a new login.
    pub fn token(&self, email: &str) -> String {
        self.log_in(email).is(200).json()["access_token"].as_str().unwrap().to_owned()
    }

    pub fn ask(&self, method: &str, path: &str, headers: &str, body: Option<&Value>) -> io::Result<Reply> {
        ask(self.address, method, path, headers, body)
    }
}

/// Signs up at a server that may be killed meanwhile.
pub fn try_to_sign_up(server: SocketAddr, email: &str) -> io::Result<Reply> {
    ask(server, "POST", "/auth/signup", "", Some(&json!({ "email": email, "password": PASSWORD })))
}

/// Asks a server for a path, as any client.
pub fn get_from(server: SocketAddr, path: &str) -> io::Result<Reply> {
    ask(server, "GET", path, "", None)
}

/// One request on a connection of its own.
fn ask(
    server: SocketAddr,
    method: &str,
    path: &str,
    headers: &str,
    body: Option<&Value>,
) -> io::Result<Reply> {
    let body = body.map(Value::to_string).unwrap_or_default();
    let mut stream = TcpStream::connect_timeout(&server, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\nContent-Type: application/json\r\n\
         {headers}Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes())?;
    Reply::read(stream)
}

/// An answer over HTTP.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Reply {
    /// Reads to the end of the connection; an answer that was cut off is an error.
    pub fn read(mut stream: TcpStream) -> io::Result<Self> {
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        let cut_off = || io::Error::from(io::ErrorKind::UnexpectedEof);
        let (head, body) = text.split_once("\r\n\r\n").ok_or_else(cut_off)?;
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(cut_off)?;
        let head = head.to_lowercase();
        let length =
            head.split_once("content-length: ").map(|(_, rest)| rest.lines().next().unwrap_or_default());
        if length.is_some_and(|length| length.parse() != Ok(body.len())) {
            return Err(cut_off());
        }
        Ok(Self { status, head, body: body.to_owned() })
    }

    /// The answer, if it has this status.
    #[track_caller]
    pub fn is(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Looks again and again until there is something to see.
#[track_caller]
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(start.elapsed() < TIMEOUT, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// The access rights of a file.
pub fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// Sets the access rights of a file.
pub fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}
