//! A proxy between a shop and its mail server: slow, unresponsive or hostile. It records what the shop sent.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

/// How it treats connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Passes everything on.
    Honest,
    /// Passes everything on, each piece after a pause.
    Slow(Duration),
    /// Takes connections, and says nothing at all.
    Silent,
    /// Swallows this command and all that comes after it.
    SilentFrom(&'static str),
    /// Hides that the server offers STARTTLS.
    WithoutStartTls,
    /// Cuts the connection at this command.
    CutsFrom(&'static str),
    /// Has no room for mails for now.
    Full,
    /// Answers STARTTLS itself, and says no.
    RefusesStartTls,
    /// Lets a mail through and cuts the connection before the shop hears that it was taken.
    CutsAfterMail,
    /// Cuts the connection when a mail has come through in part.
    CutsWithinMail,
}

/// A proxy in front of a listener. It ends with this value.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

struct Shared {
    target: u16,
    manner: Mutex<Manner>,
    heard: Mutex<Vec<u8>>,
    connections: AtomicUsize,
    cuts: AtomicUsize,
    ended: AtomicBool,
}

impl Proxy {
    /// One in front of this port.
    pub fn start(target: u16, manner: Manner) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            target,
            manner: Mutex::new(manner),
            heard: Mutex::default(),
            connections: AtomicUsize::new(0),
            cuts: AtomicUsize::new(0),
            ended: AtomicBool::new(false),
        });
        let accepting = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                for stream in listener.incoming() {
                    if shared.ended.load(Ordering::SeqCst) {
                        break;
                    }
                    shared.connections.fetch_add(1, Ordering::SeqCst);
                    let (shared, shop) = (Arc::clone(&shared), stream.unwrap());
                    thread::spawn(move || shared.connect(shop));
                }
            })
        };
        Self { address, shared, accepting: Some(accepting) }
    }

    pub const fn port(&self) -> u16 {
        self.address.port()
    }

    /// Treats connections differently from now on.
    pub fn becomes(&self, manner: Manner) {
        *self.shared.manner.lock().unwrap() = manner;
    }

    /// Everything that the shop said so far.
    pub fn heard(&self) -> Vec<u8> {
        self.shared.heard.lock().unwrap().clone()
    }

    /// How often the shop connected so far.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// How often a connection was cut so far.
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
    fn manner(&self) -> Manner {
        *self.manner.lock().unwrap()
    }

    fn connect(self: Arc<Self>, shop: TcpStream) {
        if self.manner() == Manner::Silent {
            self.listen(shop);
            return;
        }
        let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, self.target)) else { return };
        let cut = Arc::new(AtomicBool::new(false));
        let answers = {
            let (this, cut) = (Arc::clone(&self), Arc::clone(&cut));
            let (from, to) = (server.try_clone().unwrap(), shop.try_clone().unwrap());
            thread::spawn(move || this.pass_answers(from, to, &cut))
        };
        self.pass_commands(shop, server, &cut);
        let _ = answers.join();
    }

    /// Hears all, and answers nothing.
    fn listen(&self, mut shop: TcpStream) {
        let mut bytes = [0; 4096];
        while let Ok(length @ 1..) = shop.read(&mut bytes) {
            self.heard.lock().unwrap().extend(&bytes[..length]);
        }
    }

    fn pass_commands(&self, mut shop: TcpStream, mut server: TcpStream, cut: &AtomicBool) {
        let mut bytes = [0; 4096];
        let mut tail = Vec::new();
        while let Ok(length @ 1..) = shop.read(&mut bytes) {
            let piece = &bytes[..length];
            self.heard.lock().unwrap().extend(piece);
            tail.extend(piece);
            tail.drain(..tail.len().saturating_sub(5000));
            match self.manner() {
                Manner::Slow(pause) => thread::sleep(pause),
                Manner::SilentFrom(command) if piece.starts_with(command.as_bytes()) => {
                    self.listen(shop);
                    return;
                }
                Manner::RefusesStartTls if piece.starts_with(b"STARTTLS") => {
                    let _ = shop.write_all(b"454 4.7.0 TLS not available\r\n");
                    continue;
                }
                Manner::CutsAfterMail if tail.ends_with(b"\r\n.\r\n") => cut.store(true, Ordering::SeqCst),
                Manner::Full if piece.starts_with(b"MAIL FROM") => {
                    let _ = shop.write_all(b"452 4.3.1 Insufficient system storage\r\n");
                    continue;
                }
                Manner::CutsFrom(command) if piece.starts_with(command.as_bytes()) => {
                    self.cuts.fetch_add(1, Ordering::SeqCst);
                    break;
                }
                Manner::CutsWithinMail if tail.ends_with(b"\r\n.\r\n") => {
                    self.cuts.fetch_add(1, Ordering::SeqCst);
                    break;
                }
                _ => {}
            }
            if server.write_all(piece).is_err() {
                break;
            }
        }
        let _ = (shop.shutdown(Shutdown::Both), server.shutdown(Shutdown::Both));
    }

    fn pass_answers(&self, mut server: TcpStream, mut shop: TcpStream, cut: &AtomicBool) {
        let mut bytes = [0; 4096];
        while let Ok(length @ 1..) = server.read(&mut bytes) {
            let mut piece = bytes[..length].to_vec();
            if cut.load(Ordering::SeqCst) {
                assert!(piece.starts_with(b"250 "), "{:?}", String::from_utf8_lossy(&piece));
                self.cuts.fetch_add(1, Ordering::SeqCst);
                break;
            }
            match self.manner() {
                Manner::Slow(pause) => thread::sleep(pause),
                Manner::WithoutStartTls => hide(&mut piece, b"STARTTLS"),
                _ => {}
            }
            if shop.write_all(&piece).is_err() {
                break;
            }
        }
        let _ = (shop.shutdown(Shutdown::Both), server.shutdown(Shutdown::Both));
    }
}

fn hide(piece: &mut [u8], word: &[u8]) {
    if let Some(at) = piece.windows(word.len()).position(|found| found == word) {
        piece[at..at + word.len()].fill(b'X');
    }
}
