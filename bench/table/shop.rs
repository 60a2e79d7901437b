//! The real server on a database of its own, in a temporary folder.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::PathBuf,
    process::{Child, ChildStderr, Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use super::{
    load::{Client, send},
    seed,
};

/// The binary that is measured.
pub const BINARY: &str = env!("CARGO_BIN_EXE_coffeeshop");
/// Longer than anything takes; only what is broken waits for so long.
const TIMEOUT: Duration = Duration::from_mins(2);

/// A folder for a server.
pub struct Shop {
    folder: TempDir,
}

impl Shop {
    /// An empty folder.
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// A folder with a store of so many users.
    pub fn with_users(count: u32) -> Self {
        let shop = Self::new();
        fs::create_dir(shop.folder.path().join("data")).unwrap();
        seed::make(&shop.database(), count);
        shop
    }

    /// A folder with a copy of this store, which must not be in use.
    pub fn copy(&self) -> Self {
        let copy = Self::new();
        fs::create_dir(copy.folder.path().join("data")).unwrap();
        for entry in fs::read_dir(self.folder.path().join("data")).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), copy.folder.path().join("data").join(entry.file_name())).unwrap();
        }
        copy
    }

    pub fn database(&self) -> PathBuf {
        self.folder.path().join("data/coffeeshop.db")
    }

    /// Starts the server; returns once it answers.
    pub fn serve(&self) -> Server {
        self.serve_with(&[])
    }

    /// The same with other settings than the defaults, named without `COFFEESHOP_`.
    pub fn serve_with(&self, settings: &[(&str, &str)]) -> Server {
        let started = Instant::now();
        let mut command = Command::new(BINARY);
        command.current_dir(self.folder.path()).env_clear();
        let settings = [("SERVER__LISTEN", "127.0.0.1:0")].iter().chain(settings);
        command.envs(settings.map(|(name, value)| (format!("COFFEESHOP_{name}"), value)));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let log = Log::of(child.stderr.take().unwrap());
        let line = log.wait_for("listening on http://");
        let (_, address) = line.split_once("listening on http://").unwrap();
        let end = address.find(|c: char| !(c.is_ascii_digit() || ".:".contains(c))).unwrap_or(address.len());
        let address = address[..end].parse().unwrap();
        Client::new(address).ask(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n");
        Server { child, address, log, ready_after: started.elapsed() }
    }
}

/// A server that listens.
pub struct Server {
    child: Child,
    pub address: SocketAddr,
    log: Log,
    /// How long it took from the start of the process to its first answer.
    pub ready_after: Duration,
}

/// The two tokens of a session.
pub struct Session {
    pub access: String,
    pub refresh: String,
}

impl Server {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Logs a seeded user in.
    pub fn log_in(&self, email: &str) -> Session {
        let mut client = Client::new(self.address);
        let answer: Value = serde_json::from_slice(client.ask(&login(email))).unwrap();
        let text = |name: &str| answer[name].as_str().unwrap().to_owned();
        Session { access: text("access_token"), refresh: text("refresh_token") }
    }

    /// Waits until it logs something.
    pub fn wait_for(&self, text: &str) -> String {
        self.log.wait_for(text)
    }

    /// Sends a signal and waits for the end.
    pub fn end(mut self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The lines that a server logs.
struct Log(mpsc::Receiver<String>);

impl Log {
    fn of(pipe: ChildStderr) -> Self {
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                // It goes on reading without a receiver: a full pipe would block the server.
                let _ = sender.send(line);
            }
        });
        Self(lines)
    }

    fn wait_for(&self, text: &str) -> String {
        let mut said = Vec::new();
        loop {
            let Ok(line) = self.0.recv_timeout(TIMEOUT) else {
                panic!("waited in vain for {text:?} among: {said:#?}");
            };
            if line.contains(text) {
                return line;
            }
            said.push(line);
        }
    }
}

/// The request with which a seeded user logs in.
pub fn login(email: &str) -> Vec<u8> {
    let body = format!(r#"{{"email":"{email}","password":"{}"}}"#, seed::PASSWORD);
    send("POST", "/auth/login", None, &body)
}

/// A server that believes a proxy on this machine.
pub const BEHIND_A_PROXY: (&str, &str) = ("SERVER__TRUSTED_PROXIES", "127.0.0.1");

/// A request as a proxy passes it on, from another client for each number.
pub fn from_client(number: usize, request: &[u8]) -> Vec<u8> {
    let request = String::from_utf8(request.to_vec()).unwrap();
    let header = format!("Host: localhost\r\nX-Forwarded-For: 198.51.100.{number}\r\n");
    request.replacen("Host: localhost\r\n", &header, 1).into_bytes()
}
