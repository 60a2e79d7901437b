//! A connection that must make progress: whoever sends or reads too slowly, or nothing at all, is hung up on.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use futures_util::task::AtomicWaker;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, Sleep, sleep_until},
};

/// How often a quiet connection's clock is looked at, at most and at least: by so much a deadline may be exceeded.
const SHORTEST_TICK: Duration = Duration::from_millis(10);
const LONGEST_TICK: Duration = Duration::from_secs(1);
/// For so long a client may keep the server waiting, whoever else comes: enough for a head or a body on its way.
pub const PATIENCE: Duration = Duration::from_millis(500);
/// The same for the reader of an answer that does not fit into the system's buffers.
const PATIENCE_WITH_READERS: Duration = Duration::from_secs(5);

/// How long each step of a conversation may take.
#[derive(Clone, Copy, Debug)]
pub struct Deadlines {
    /// The head of a request, from its first byte, or from the connection's first moment.
    pub head: Duration,
    /// Nothing, between two requests.
    pub idle: Duration,
    /// An answer, from when it first waits for its reader until all of it is read.
    pub write: Duration,
}

/// Where a connection is in its conversation, and whether it is to end once there is nothing to read.
#[derive(Clone, Debug)]
pub struct ConnectionState(Arc<State>);

#[derive(Debug, Default)]
struct State {
    /// Where it is, and since when: `http` says when it is in a request, the bytes say the rest. One number, so that a
    /// request costs two stores and no timer is touched.
    step: AtomicU64,
    close_requested: AtomicBool,
    task: AtomicWaker,
}

/// Where a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Head,
    Body,
    Request,
    /// The answer waits for its reader.
    Answer,
    Idle,
}

impl ConnectionState {
    /// The head was read, and there is a body behind it; the request itself has a deadline of its own.
    pub fn begin_body(&self) {
        self.set(Step::Body);
    }

    /// All of the request was read.
    pub fn begin_request(&self) {
        self.set(Step::Request);
        self.0.close_requested.store(false, Ordering::Relaxed);
    }

    /// Ends the connection, unless there is something to read after all: its client has not kept the server waiting then.
    pub fn request_close(&self) {
        self.0.close_requested.store(true, Ordering::Release);
        self.0.task.wake();
    }

    /// The request was answered. Whoever was asked to leave just as it began has something to read first.
    pub fn end_request(&self) {
        self.set(Step::Idle);
        self.0.close_requested.store(false, Ordering::Relaxed);
    }

    /// For how long it has kept the server waiting past what it may: a head, a body and the reader of an answer have their
    /// time, who is idle has none. Nothing, if the server has something to do for it, or it leaves already.
    pub fn stalled_for(&self) -> Option<Duration> {
        let (step, time) = self.step();
        let may = match step {
            Step::Request => return None,
            Step::Head | Step::Body => PATIENCE,
            Step::Answer => PATIENCE_WITH_READERS,
            Step::Idle => Duration::ZERO,
        };
        time.checked_sub(may).filter(|_| !self.is_closing())
    }

    /// Whether it ends as soon as there is nothing to read.
    pub fn is_closing(&self) -> bool {
        self.0.close_requested.load(Ordering::Acquire) && !self.is_at(Step::Request)
    }

    fn set(&self, step: Step) {
        self.0.step.store(millis(Instant::now()) << 3 | step as u64, Ordering::Relaxed);
    }

    /// Where it is, and for how long.
    fn step(&self) -> (Step, Duration) {
        let both = self.0.step.load(Ordering::Relaxed);
        let step = match both & 7 {
            0 => Step::Head,
            1 => Step::Body,
            2 => Step::Request,
            3 => Step::Answer,
            _ => Step::Idle,
        };
        (step, Duration::from_millis(millis(Instant::now()).saturating_sub(both >> 3)))
    }

    /// Whether it is there; the clock is not asked.
    fn is_at(&self, step: Step) -> bool {
        self.0.step.load(Ordering::Relaxed) & 7 == step as u64
    }
}

/// Milliseconds since some instant of this process.
fn millis(now: Instant) -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    let start = *START.get_or_init(|| now);
    u64::try_from(now.saturating_duration_since(start).as_millis()).unwrap_or(u64::MAX >> 3)
}

/// A connection with deadlines.
pub struct TimeoutStream {
    stream: TcpStream,
    state: ConnectionState,
    deadlines: Deadlines,
    /// Ticks while nothing can be read or written: then the clock is looked at.
    tick: Pin<Box<Sleep>>,
    every: Duration,
}

impl TimeoutStream {
    /// The connection, from its first moment.
    pub fn new(stream: TcpStream, deadlines: Deadlines) -> (Self, ConnectionState) {
        let state = ConnectionState(Arc::default());
        state.set(Step::Head);
        let every = (deadlines.head.min(deadlines.idle) / 8).clamp(SHORTEST_TICK, LONGEST_TICK);
        let tick = Box::pin(sleep_until(Instant::now() + every));
        (Self { stream, state: state.clone(), deadlines, tick, every }, state)
    }

    /// Whether whoever is at the other end has taken too long.
    fn is_overdue(&self) -> bool {
        match self.state.step() {
            (Step::Head, time) => time >= self.deadlines.head,
            (Step::Answer, time) => time >= self.deadlines.write,
            (Step::Idle, time) => time >= self.deadlines.idle,
            (Step::Body | Step::Request, _) => false,
        }
    }

    /// Waits until something can be read or written; or ends it, if it is late, or was asked to leave.
    fn poll_deadline<T>(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        self.state.0.task.register(cx.waker());
        let mut ends = self.state.is_closing();
        while !ends && self.tick.as_mut().poll(cx).is_ready() {
            ends = self.is_overdue();
            let next = Instant::now() + self.every;
            self.tick.as_mut().reset(next);
        }
        if ends { Poll::Ready(Err(io::ErrorKind::TimedOut.into())) } else { Poll::Pending }
    }

    fn poll_written(
        &mut self,
        wrote: Poll<io::Result<usize>>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if wrote.is_ready() {
            return wrote;
        }
        if self.state.is_at(Step::Idle) {
            self.state.set(Step::Answer); // from now until all of it is read
        }
        self.poll_deadline(cx)
    }
}

impl AsyncRead for TimeoutStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        if let Poll::Ready(read) = Pin::new(&mut self.stream).poll_read(cx, buffer) {
            if buffer.filled().len() > before && self.state.is_at(Step::Idle) {
                self.state.set(Step::Head); // the next request begins
                self.state.0.close_requested.store(false, Ordering::Relaxed);
            }
            return Poll::Ready(read);
        }
        self.poll_deadline(cx)
    }
}

impl AsyncWrite for TimeoutStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.poll_written(wrote, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        self.poll_written(wrote, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// Asked for once everything is written.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.state.is_at(Step::Answer) {
            self.state.set(Step::Idle); // all of it is read, or on its way
        }
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
        task::JoinSet,
        time::sleep,
    };

    use super::*;

    #[tokio::test]
    async fn whoever_has_read_a_slow_answer_is_idle() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let mut client = TcpStream::connect(listener.local_addr().expect("bound")).await.expect("connected");
        let (stream, _) = listener.accept().await.expect("accepted");
        let minute = Duration::from_mins(1);
        let (mut paced, state) =
            TimeoutStream::new(stream, Deadlines { head: minute, idle: minute, write: minute });
        state.begin_request();
        state.end_request();
        let mut answering = JoinSet::new();
        answering.spawn(async move {
            paced.write_all(&vec![0; 32 << 20]).await.expect("written");
            paced.flush().await.expect("flushed");
            paced
        });
        sleep(Duration::from_millis(100)).await;
        assert_eq!(state.step().0, Step::Answer);
        let mut all = vec![0; 32 << 20];
        client.read_exact(&mut all).await.expect("read");
        let mut paced = answering.join_next().await.expect("one").expect("ended");
        assert_eq!(state.step().0, Step::Idle);
        client.write_all(b"GET").await.expect("sent");
        paced.read_exact(&mut [0; 3]).await.expect("read");
        assert_eq!(state.step().0, Step::Head);
    }

    #[tokio::test]
    async fn an_answer_has_one_deadline_however_steadily_it_is_read() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let mut client = TcpStream::connect(listener.local_addr().expect("bound")).await.expect("connected");
        let (stream, _) = listener.accept().await.expect("accepted");
        let (second, minute) = (Duration::from_secs(1), Duration::from_mins(1));
        let (mut paced, state) =
            TimeoutStream::new(stream, Deadlines { head: minute, idle: minute, write: second });
        state.begin_request();
        assert!(state.stalled_for().is_none(), "it poll_deadline for us");
        state.end_request();
        assert!(state.stalled_for().is_some(), "it is idle");
        let start = Instant::now();
        let mut answering = JoinSet::new();
        answering.spawn(async move { paced.write_all(&vec![0; 512 << 20]).await });
        sleep(Duration::from_millis(100)).await;
        assert!(state.stalled_for().is_none(), "its reader has some time");
        let mut piece = vec![0; 64 << 10];
        while client.read_exact(&mut piece).await.is_ok() {
            sleep(Duration::from_millis(5)).await;
        }
        assert!(answering.join_next().await.expect("one").expect("ended").is_err());
        assert!(start.elapsed() >= second);
    }
}
