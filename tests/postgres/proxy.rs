//! A proxy in front of PostgreSQL that reads the protocol and cuts a connection at a given point of a transaction
//! (<https://www.postgresql.org/docs/current/protocol-message-formats.html>).

use std::{
    collections::HashMap,
    io::{self, Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
};

/// Where a connection is cut, in a transaction with a given statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    /// The statement does not arrive.
    Statement,
    /// The statement arrives, and is run; its answer does not.
    StatementAnswer,
    /// COMMIT does not arrive.
    Commit,
    /// The transaction is committed; the answer does not arrive.
    CommitAnswer,
    /// COMMIT does not arrive, and the connection stays open.
    SilentCommit,
}

/// A proxy in front of a port. It ends with this value.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

/// A transaction that is cut, once.
#[derive(Clone, Copy)]
struct Trap {
    /// A part of one of its statements.
    statement: &'static str,
    point: Point,
}

struct Shared {
    target: u16,
    armed: Mutex<Option<Trap>>,
    cuts: AtomicUsize,
    ended: AtomicBool,
}

impl Proxy {
    pub fn start(target: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            target,
            armed: Mutex::default(),
            cuts: AtomicUsize::new(0),
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
        Self { address, shared, accepting: Some(accepting) }
    }

    pub const fn port(&self) -> u16 {
        self.address.port()
    }

    /// Cuts the next transaction with a statement that has this part.
    pub fn arm(&self, statement: &'static str, point: Point) {
        *self.shared.armed.lock().unwrap() = Some(Trap { statement, point });
    }

    /// How many connections were cut so far.
    pub fn cuts(&self) -> usize {
        self.shared.cuts.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        let _ = self.accepting.take().unwrap().join();
    }
}

impl Shared {
    fn connect(self: Arc<Self>, client: &TcpStream) {
        let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, self.target)) else { return };
        let due = Arc::<Mutex<Option<Trap>>>::default();
        let answers = {
            let (this, due) = (Arc::clone(&self), Arc::clone(&due));
            let (from, to) = (server.try_clone().unwrap(), client.try_clone().unwrap());
            thread::spawn(move || {
                let _ = this.pass_answers(&from, &to, &due);
                end(&from, &to);
            })
        };
        let _ = self.pass_requests(client, &server, &due);
        end(client, &server);
        let _ = answers.join();
    }

    /// Passes on what the program sends until it is cut; `due` is what cuts the next answer.
    fn pass_requests(
        &self,
        mut client: &TcpStream,
        mut server: &TcpStream,
        due: &Mutex<Option<Trap>>,
    ) -> io::Result<()> {
        let mut start = [0; 4];
        client.read_exact(&mut start)?;
        let mut parameters = vec![0; length_of(start)];
        client.read_exact(&mut parameters)?;
        server.write_all(&[&start[..], &parameters].concat())?;
        let mut texts = HashMap::<Vec<u8>, Vec<u8>>::new();
        // Of the transaction that is open.
        let mut trap = None;
        loop {
            let (kind, message) = read_message(client)?;
            let mut parts = message[5..].split(|byte| *byte == 0);
            let (first, second) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
            let is_commit = kind == b'Q' && first.starts_with(b"COMMIT");
            match kind {
                b'P' => drop(texts.insert(first.to_vec(), second.to_vec())),
                b'B' if trap.is_none() => trap = texts.get(second).and_then(|text| self.fires(text)),
                // It was rolled back for another reason.
                b'Q' if !is_commit && trap.is_some() => *self.armed.lock().unwrap() = trap.take(),
                _ => {}
            }
            match trap.map(|Trap { point, .. }| point) {
                Some(Point::Statement) => return self.cut(),
                Some(Point::Commit) if is_commit => return self.cut(),
                Some(Point::SilentCommit) if is_commit => {
                    self.cut()?;
                    return io::copy(&mut client, &mut io::sink()).map(drop);
                }
                Some(Point::StatementAnswer) => *due.lock().unwrap() = trap.take(),
                Some(Point::CommitAnswer) if is_commit => *due.lock().unwrap() = trap.take(),
                _ => {}
            }
            server.write_all(&message)?;
        }
    }

    /// Passes answers on, until the one comes that is not to arrive: that a statement was run, or a transaction committed.
    fn pass_answers(
        &self,
        server: &TcpStream,
        mut client: &TcpStream,
        due: &Mutex<Option<Trap>>,
    ) -> io::Result<()> {
        loop {
            let (kind, message) = read_message(server)?;
            match kind {
                b'C' if due.lock().unwrap().is_some() => return self.cut(),
                // A conflict: the transaction is run again.
                b'E' => {
                    if let Some(trap) = due.lock().unwrap().take() {
                        *self.armed.lock().unwrap() = Some(trap);
                    }
                }
                _ => {}
            }
            client.write_all(&message)?;
        }
    }

    /// What is to become of a transaction with this statement; disarms it.
    fn fires(&self, text: &[u8]) -> Option<Trap> {
        let mut armed = self.armed.lock().unwrap();
        armed.take_if(|trap| String::from_utf8_lossy(text).contains(trap.statement))
    }

    #[expect(clippy::unnecessary_wraps, reason = "the end of a connection, as the others are")]
    fn cut(&self) -> io::Result<()> {
        self.cuts.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

/// The type of a message, and all its bytes.
fn read_message(mut stream: &TcpStream) -> io::Result<(u8, Vec<u8>)> {
    let mut head = [0; 5];
    stream.read_exact(&mut head)?;
    let mut message = head.to_vec();
    message.resize(5 + length_of([head[1], head[2], head[3], head[4]]), 0);
    stream.read_exact(&mut message[5..])?;
    Ok((head[0], message))
}

/// The bytes that follow a length, which counts itself.
fn length_of(bytes: [u8; 4]) -> usize {
    usize::try_from(u32::from_be_bytes(bytes)).unwrap().saturating_sub(4)
}

fn end(one: &TcpStream, other: &TcpStream) {
    let _ = (one.shutdown(Shutdown::Both), other.shutdown(Shutdown::Both));
}
