//! Requests of many clients: with a number of connections, or at a fixed rate whatever the answers.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpSocket,
    task::JoinSet,
    time::{sleep_until, timeout},
};

/// Longer than a server may take for anything.
const TIMEOUT: Duration = Duration::from_mins(1);
/// From how many addresses they come.
const ADDRESSES: usize = 100;

/// A request, again and again.
#[derive(Clone)]
pub struct Request {
    /// What it is called in a report.
    pub kind: &'static str,
    bytes: Vec<u8>,
}

impl Request {
    pub fn new(kind: &'static str, line: &str, token: &str, body: Option<&Value>) -> Self {
        let body = body.map(Value::to_string).unwrap_or_default();
        let token =
            if token.is_empty() { String::new() } else { format!("Authorization: Bearer {token}\r\n") };
        let text = format!(
            "{line} HTTP/1.1\r\nHost: shop\r\nConnection: close\r\nContent-Type: application/json\r\n{token}\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        Self { kind, bytes: text.into_bytes() }
    }
}

/// What came of a request.
#[derive(Clone, Debug)]
pub struct Answer {
    pub kind: &'static str,
    pub asked: Instant,
    pub took: Duration,
    /// The whole answer, or why there is none.
    pub text: Result<String, String>,
}

impl Answer {
    /// 0 if there is none.
    pub fn status(&self) -> u16 {
        let text = self.text.as_deref().unwrap_or_default();
        text.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
    }

    /// Whether it says that there is too much to do, and when to come again.
    pub fn is_put_off(&self) -> bool {
        matches!(self.status(), 429 | 503)
            && self.text.as_ref().is_ok_and(|text| text.to_lowercase().contains("\r\nretry-after: "))
    }
}

/// So many requests at a time, each as soon as one was answered.
pub fn at_once(server: SocketAddr, requests: &[Request], count: usize, length: Duration) -> Vec<Answer> {
    let (next, end) = (AtomicUsize::new(0), Instant::now() + length);
    let ask_on = || async {
        let mut answers = Vec::new();
        while Instant::now() < end {
            let number = next.fetch_add(1, Ordering::Relaxed);
            answers.push(ask(server, &requests[number % requests.len()], number).await);
        }
        answers
    };
    let asking = (0..count).map(|_| ask_on());
    runtime().block_on(futures_util::future::join_all(asking)).into_iter().flatten().collect()
}

/// So many requests a second, however many of them wait.
pub fn at_rate(server: SocketAddr, requests: &[Request], rate: f64, length: Duration) -> Vec<Answer> {
    let interval = Duration::from_secs_f64(1.0 / rate);
    runtime().block_on(async {
        let (start, mut asking) = (tokio::time::Instant::now(), JoinSet::new());
        for number in 0.. {
            let due = interval.mul_f64(f64::from(number));
            if due >= length {
                break;
            }
            sleep_until(start + due).await;
            let number = usize::try_from(number).unwrap();
            let request = requests[number % requests.len()].clone();
            asking.spawn(async move { ask(server, &request, number).await });
        }
        asking.join_all().await
    })
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

async fn ask(server: SocketAddr, request: &Request, number: usize) -> Answer {
    let asked = Instant::now();
    let text = match timeout(TIMEOUT, converse(server, &request.bytes, number)).await {
        Ok(Ok(text)) => Ok(text),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("no answer".to_owned()),
    };
    Answer { kind: request.kind, asked, took: asked.elapsed(), text }
}

async fn converse(server: SocketAddr, request: &[u8], number: usize) -> io::Result<String> {
    let socket = TcpSocket::new_v4()?;
    let last = u8::try_from(number % ADDRESSES).unwrap();
    socket.bind((Ipv4Addr::new(127, 0, 1, last + 1), 0).into())?;
    let mut stream = socket.connect(server).await?;
    stream.write_all(request).await?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await?;
    if text.is_empty() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(text)
}
