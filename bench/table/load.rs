//! A cheap client: connections that send the next request as soon as one is answered, and one that sends now and then.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    num::NonZero,
    thread,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    task::LocalSet,
};

use super::figures::{float, ms, percentile};

/// One side of a conversation on one connection.
pub trait Exchange: Send {
    /// Appends the next request.
    fn ask(&mut self, request: &mut Vec<u8>);
    /// Takes the body of the answer.
    fn hear(&mut self, _body: &[u8]) {}
}

/// The same request again and again.
#[derive(Clone)]
pub struct Always(pub Vec<u8>);

impl Exchange for Always {
    fn ask(&mut self, request: &mut Vec<u8>) {
        request.extend_from_slice(&self.0);
    }
}

/// What the answers were like.
#[derive(Clone, Debug)]
pub struct Seen {
    rate: f64,
    /// How long each took, sorted.
    times: Vec<Duration>,
}

impl Seen {
    pub fn new(mut times: Vec<Duration>, in_time: usize, length: Duration) -> Self {
        times.sort_unstable();
        Self { rate: float(in_time as u64) / length.as_secs_f64(), times }
    }

    /// What several saw at the same time.
    pub fn all(seen: impl IntoIterator<Item = Self>) -> Self {
        let mut all = Self { rate: 0.0, times: Vec::new() };
        for Self { rate, times } in seen {
            all.rate += rate;
            all.times.extend(times);
        }
        all.times.sort_unstable();
        all
    }

    /// Answers per second.
    pub const fn rate(&self) -> f64 {
        self.rate
    }

    pub fn p50(&self) -> f64 {
        ms(percentile(&self.times, 50))
    }

    pub fn p99(&self) -> f64 {
        ms(percentile(&self.times, 99))
    }

    pub fn slowest(&self) -> f64 {
        ms(*self.times.last().unwrap())
    }

    /// How many there were.
    pub fn count(&self) -> f64 {
        float(self.times.len() as u64)
    }
}

/// Talks on one connection each, for so long, and waits for the last answers. Half the cores do it: it takes less than
/// what it asks.
pub fn drive<T: Exchange>(server: SocketAddr, exchanges: &mut [T], length: Duration) -> Seen {
    let threads = (thread::available_parallelism().map_or(1, NonZero::get) / 2).max(1);
    let share = exchanges.len().div_ceil(threads);
    let heard = thread::scope(|scope| {
        let threads: Vec<_> = exchanges
            .chunks_mut(share)
            .map(|exchanges| scope.spawn(move || converse_all(server, exchanges, length)))
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    let (times, in_time): (Vec<_>, Vec<_>) = heard.into_iter().unzip();
    Seen::new(times.into_iter().flatten().collect(), in_time.into_iter().sum(), length)
}

fn converse_all<T: Exchange>(
    server: SocketAddr,
    exchanges: &mut [T],
    length: Duration,
) -> (Vec<Duration>, usize) {
    let streams: Vec<_> = exchanges.iter().map(|_| connect(server)).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let end = Instant::now() + length;
    let (mut times, mut in_time) = (Vec::new(), 0);
    LocalSet::new().block_on(&runtime, async {
        let conversations =
            exchanges.iter_mut().zip(streams).map(|(exchange, stream)| converse(exchange, stream, end));
        for (own_times, own_in_time) in futures_util::future::join_all(conversations).await {
            times.extend(own_times);
            in_time += own_in_time;
        }
    });
    (times, in_time)
}

async fn converse<T: Exchange>(exchange: &mut T, stream: TcpStream, end: Instant) -> (Vec<Duration>, usize) {
    stream.set_nonblocking(true).unwrap();
    let mut stream = tokio::net::TcpStream::from_std(stream).unwrap();
    let (mut request, mut answer) = (Vec::new(), Vec::new());
    let (mut times, mut in_time) = (Vec::new(), 0);
    let mut asked = Instant::now();
    while asked < end {
        request.clear();
        exchange.ask(&mut request);
        stream.write_all(&request).await.unwrap();
        answer.clear();
        let body = loop {
            assert!(stream.read_buf(&mut answer).await.unwrap() > 0, "the server closed the connection");
            if let Some(body) = whole(&answer) {
                break body;
            }
        };
        let now = Instant::now();
        times.push(now - asked);
        in_time += usize::from(now <= end);
        exchange.hear(&answer[body..]);
        asked = now;
    }
    (times, in_time)
}

/// Asks on one connection at such intervals for as long as it is to go on, at the priority of any other program.
pub fn probe(
    client: &mut Client,
    exchange: &mut impl Exchange,
    interval: Duration,
    goes_on: impl Fn(Duration) -> bool,
) -> Seen {
    let mut request = Vec::new();
    let (start, mut times) = (Instant::now(), Vec::new());
    while goes_on(start.elapsed()) {
        request.clear();
        exchange.ask(&mut request);
        let asked = Instant::now();
        client.ask(&request);
        times.push(asked.elapsed());
        thread::sleep(interval);
    }
    let count = times.len();
    Seen::new(times, count, start.elapsed())
}

/// A connection that asks once in a while.
pub struct Client {
    stream: TcpStream,
    answer: Vec<u8>,
}

impl Client {
    pub fn new(server: SocketAddr) -> Self {
        Self { stream: connect(server), answer: Vec::new() }
    }

    /// The body of the answer.
    pub fn ask(&mut self, request: &[u8]) -> &[u8] {
        self.stream.write_all(request).unwrap();
        self.answer.clear();
        let mut chunk = [0; 16 * 1024];
        loop {
            let length = self.stream.read(&mut chunk).unwrap();
            assert!(length > 0, "the server closed the connection");
            self.answer.extend_from_slice(&chunk[..length]);
            if let Some(body) = whole(&self.answer) {
                return &self.answer[body..];
            }
        }
    }
}

fn connect(server: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(server).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
    stream
}

/// Where the body starts, once an answer is there to its end.
fn whole(answer: &[u8]) -> Option<usize> {
    let head = answer.windows(4).position(|four| four == b"\r\n\r\n")?;
    let body = head + 4;
    let head = &answer[..head];
    assert!(head.get(9) == Some(&b'2'), "{}", String::from_utf8_lossy(answer));
    let mut lines = head.split(|byte| *byte == b'\n');
    let name = b"content-length:";
    let length = lines.find_map(|line| {
        let (start, value) = line.split_at_checked(name.len())?;
        start.eq_ignore_ascii_case(name).then(|| std::str::from_utf8(value).unwrap().trim())
    });
    let length: usize = length.map_or(0, |length| length.parse().unwrap());
    (answer.len() >= body + length).then_some(body)
}

/// A request without a body.
pub fn get(path: &str, token: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n").into_bytes()
}

/// A request with JSON.
pub fn send(method: &str, path: &str, token: Option<&str>, json: &str) -> Vec<u8> {
    let token = token.map_or_else(String::new, |token| format!("Authorization: Bearer {token}\r\n"));
    format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{token}\
         Content-Length: {}\r\n\r\n{json}",
        json.len()
    )
    .into_bytes()
}
