//! A proxy between coffeeshop and PostgreSQL, which can weaken the isolation of writes on the way and counts how often
//! transactions were begun and committed (<https://www.postgresql.org/docs/current/protocol-message-formats.html>).

use std::{
    io::{self, Read, Write},
    net::Shutdown,
    os::unix::net::{UnixListener, UnixStream},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
};

use tempfile::TempDir;

use super::{
    figures::float,
    postgres::{Cluster, SOCKET, url},
};

/// What coffeeshop begins a write with, and what weakens it.
const SERIALIZABLE: &[u8] = b"BEGIN ISOLATION LEVEL SERIALIZABLE\0";
const READ_COMMITTED: &[u8] = b"BEGIN ISOLATION LEVEL READ COMMITTED\0";

/// What becomes of the isolation of writes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Writes {
    AsTheyAre,
    ReadCommitted,
}

/// A proxy with a Unix socket of its own; ends with this value.
pub struct Proxy {
    folder: TempDir,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

struct Shared {
    target: PathBuf,
    writes: Writes,
    begun: AtomicU64,
    committed: AtomicU64,
    ended: AtomicBool,
}

impl Proxy {
    pub fn start(cluster: &Cluster, writes: Writes) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join(SOCKET)).unwrap();
        let shared = Arc::new(Shared {
            target: cluster.socket(),
            writes,
            begun: AtomicU64::new(0),
            committed: AtomicU64::new(0),
            ended: AtomicBool::new(false),
        });
        let passing = Arc::clone(&shared);
        let accepting = thread::spawn(move || {
            for client in listener.incoming() {
                if passing.ended.load(Ordering::SeqCst) {
                    break;
                }
                let (passing, client) = (Arc::clone(&passing), client.unwrap());
                thread::spawn(move || passing.connect(&client));
            }
        });
        Self { folder, shared, accepting: Some(accepting) }
    }

    /// The database as it is reached through the proxy.
    pub fn url(&self) -> String {
        url(self.folder.path())
    }

    /// How many transactions did not end with a commit so far. Where no request is refused, each of them was run again.
    pub fn run_again(&self) -> f64 {
        let count = |of: &AtomicU64| float(of.load(Ordering::SeqCst));
        count(&self.shared.begun) - count(&self.shared.committed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        let _ = UnixStream::connect(self.folder.path().join(SOCKET));
        let _ = self.accepting.take().unwrap().join();
    }
}

impl Shared {
    fn connect(self: Arc<Self>, client: &UnixStream) {
        let Ok(server) = UnixStream::connect(&self.target) else { return };
        let answers = {
            let this = Arc::clone(&self);
            let (server, client) = (server.try_clone().unwrap(), client.try_clone().unwrap());
            thread::spawn(move || {
                let _ = pass(&server, &client, |message| this.note_answer(message));
                end(&server, &client);
            })
        };
        let _ = start(client, &server).and_then(|()| pass(client, &server, |message| self.note(message)));
        end(client, &server);
        let _ = answers.join();
    }

    /// Changes what coffeeshop sends.
    fn note(&self, message: &mut Vec<u8>) {
        if message[0] != b'Q' || !message[5..].starts_with(b"BEGIN") {
            return;
        }
        self.begun.fetch_add(1, Ordering::SeqCst);
        if self.writes == Writes::ReadCommitted && &message[5..] == SERIALIZABLE {
            message.truncate(1);
            message.extend(u32::try_from(READ_COMMITTED.len() + 4).unwrap().to_be_bytes());
            message.extend_from_slice(READ_COMMITTED);
        }
    }

    /// After a failed statement the answer to a COMMIT is ROLLBACK.
    fn note_answer(&self, message: &[u8]) {
        if message[0] == b'C' && &message[5..] == b"COMMIT\0" {
            self.committed.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// Passes the first message on, which has no type.
fn start(mut client: &UnixStream, mut server: &UnixStream) -> io::Result<()> {
    let mut length = [0; 4];
    client.read_exact(&mut length)?;
    let mut message = vec![0; length_of(length)];
    message[..4].copy_from_slice(&length);
    client.read_exact(&mut message[4..])?;
    server.write_all(&message)
}

/// Passes all messages on that have arrived together, each after a look at it.
fn pass(mut from: &UnixStream, mut to: &UnixStream, look: impl Fn(&mut Vec<u8>)) -> io::Result<()> {
    let (mut chunk, mut arrived, mut passed) = (vec![0; 64 * 1024], Vec::new(), Vec::new());
    loop {
        let length = from.read(&mut chunk)?;
        if length == 0 {
            return Ok(());
        }
        arrived.extend_from_slice(&chunk[..length]);
        let mut rest = arrived.as_slice();
        while let Some(message) = first(rest) {
            rest = &rest[message.len()..];
            let mut message = message.to_vec();
            look(&mut message);
            passed.append(&mut message);
        }
        let done = arrived.len() - rest.len();
        arrived.drain(..done);
        to.write_all(&passed)?;
        passed.clear();
    }
}

/// The first message, if it is there to its end.
fn first(bytes: &[u8]) -> Option<&[u8]> {
    let (head, _) = bytes.split_first_chunk::<5>()?;
    bytes.get(..1 + length_of([head[1], head[2], head[3], head[4]]))
}

/// A length, which counts itself.
fn length_of(bytes: [u8; 4]) -> usize {
    usize::try_from(u32::from_be_bytes(bytes)).unwrap()
}

fn end(one: &UnixStream, other: &UnixStream) {
    let _ = (one.shutdown(Shutdown::Both), other.shutdown(Shutdown::Both));
}
