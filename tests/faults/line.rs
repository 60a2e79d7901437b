//! A proxy that simulates a bad network: latency, lost requests and answers, connection resets.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use rustix::net::sockopt::set_socket_linger;

use crate::random;

/// One connection in so many is treated badly in each of these ways.
const ONE_IN: usize = 20;
const WAYS: [Way; 5] =
    [Way::LosesRequest, Way::ResetsRequest, Way::LosesAnswer, Way::ResetsAnswer, Way::CutsAnswer];

/// What becomes of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// All that is sent arrives.
    Good,
    /// The request never arrives, without an error.
    LosesRequest,
    /// The connection is reset once half of the request is under way.
    ResetsRequest,
    /// The answer never arrives, without an error.
    LosesAnswer,
    /// The connection is reset when the request has arrived, and the answer is due.
    ResetsAnswer,
    /// The connection ends in the middle of the answer.
    CutsAnswer,
}

/// A line to a server. It ends with this value.
pub struct Line {
    pub address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

struct Shared {
    target: SocketAddr,
    delay: Duration,
    /// How often each way was gone, in the order of `WAYS`.
    gone: [AtomicUsize; WAYS.len()],
    ended: AtomicBool,
}

impl Line {
    /// A line to this address, on which each way takes so long.
    pub fn to(target: SocketAddr, delay: Duration) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let shared =
            Arc::new(Shared { target, delay, gone: Default::default(), ended: AtomicBool::new(false) });
        let passing = Arc::clone(&shared);
        let accepting = thread::spawn(move || {
            for client in listener.incoming() {
                if passing.ended.load(Ordering::SeqCst) {
                    break;
                }
                let (passing, client) = (Arc::clone(&passing), client.unwrap());
                thread::spawn(move || passing.pass(client));
            }
        });
        Self { address, shared, accepting: Some(accepting) }
    }

    /// How often connections were treated in this way.
    pub fn times(&self, way: Way) -> usize {
        let index = WAYS.iter().position(|other| *other == way).unwrap();
        self.shared.gone[index].load(Ordering::SeqCst)
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        let _ = self.accepting.take().unwrap().join();
    }
}

impl Shared {
    /// Passes a request on, and its answer, as far as they get.
    fn pass(&self, mut client: TcpStream) {
        let choice = random(ONE_IN);
        let way = WAYS.get(choice).copied().unwrap_or(Way::Good);
        if way != Way::Good {
            self.gone[choice].fetch_add(1, Ordering::SeqCst);
        }
        let Some(request) = read_request(&mut client) else { return };
        thread::sleep(self.delay);
        if way == Way::LosesRequest {
            return wait_for_end(client);
        }
        let Ok(mut server) = TcpStream::connect(self.target) else { return };
        if way == Way::ResetsRequest {
            let _ = server.write_all(&request[..request.len() / 2]);
            reset(server);
            return reset(client);
        }
        if server.write_all(&request).is_err() {
            return;
        }
        if way == Way::ResetsAnswer {
            // The server may be at work on it, or done.
            thread::sleep(Duration::from_millis(random(60) as u64));
            reset(server);
            return reset(client);
        }
        let mut answer = Vec::new();
        let _ = server.read_to_end(&mut answer);
        thread::sleep(self.delay);
        match way {
            Way::LosesAnswer => wait_for_end(client),
            Way::CutsAnswer => drop(client.write_all(&answer[..random(answer.len().max(1))])),
            _ => drop(client.write_all(&answer)),
        }
    }
}

/// A whole request; none if its client has gone away.
fn read_request(client: &mut TcpStream) -> Option<Vec<u8>> {
    let (mut request, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        let text = String::from_utf8_lossy(&request);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let (_, length) = head.split_once("Content-Length: ")?;
            if body.len() >= length.lines().next()?.parse().ok()? {
                return Some(request);
            }
        }
        let length = client.read(&mut piece).ok().filter(|length| *length > 0)?;
        request.extend(&piece[..length]);
    }
}

/// Says nothing until the other side gives up.
fn wait_for_end(mut stream: TcpStream) {
    let _ = stream.read_to_end(&mut Vec::new());
    let _ = stream.shutdown(Shutdown::Both);
}

/// Ends a connection without a farewell.
fn reset(stream: TcpStream) {
    let _ = set_socket_linger(&stream, Some(Duration::ZERO));
    drop(stream);
}
