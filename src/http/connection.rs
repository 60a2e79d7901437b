//! What a connection is doing and since when, and a stream that ends once the connection was asked to close.
//!
//! By hand, because no library does it. hyper's `header_read_timeout` is one duration for a head that has begun and for
//! an idle connection, which have two here, and it arms a timer for each request. `tokio-io-timeout` starts anew with
//! each byte: a head that drips and an answer that is read steadily would not end. The limiter, too, must know which
//! connection stalls, and for how long; what it is told is enough to hold the deadlines.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::Instant,
};

use crate::config;

/// How long a head or a body may take before the connection counts as stalled.
pub const GRACE: Duration = Duration::from_millis(500);
/// The same for the reader of an answer that is larger than the buffers of the system.
const READER_GRACE: Duration = Duration::from_secs(5);

/// Shared by the stream, the requests on it and the limiter.
#[derive(Clone)]
pub struct ConnectionState(Arc<Mutex<Progress>>);

struct Progress {
    step: Step,
    since: Instant,
    close_requested: bool,
    task: Waker,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Head,
    Body,
    /// The endpoint is at work.
    Request,
    /// The answer waits for its reader.
    Answer,
    Idle,
}

impl ConnectionState {
    /// A new step is progress, which withdraws a request to close.
    pub fn enter(&self, step: Step) {
        let mut progress = self.progress();
        (progress.step, progress.since, progress.close_requested) = (step, Instant::now(), false);
    }

    /// Ends the connection, unless it makes progress first.
    pub fn request_close(&self) {
        let mut progress = self.progress();
        progress.close_requested = true;
        progress.task.wake_by_ref();
    }

    pub fn is_closing(&self) -> bool {
        let progress = self.progress();
        progress.close_requested && progress.step != Step::Request
    }

    /// How long the client has kept the server waiting, less its grace. None while the endpoint is at work, and if the
    /// connection is closing.
    pub fn stalled_for(&self, now: Instant) -> Option<Duration> {
        let progress = self.progress();
        let grace = match progress.step {
            Step::Request => return None,
            Step::Head | Step::Body => GRACE,
            Step::Answer => READER_GRACE,
            Step::Idle => Duration::ZERO,
        };
        (now - progress.since).checked_sub(grace).filter(|_| !progress.close_requested)
    }

    /// Whether a step takes longer than the settings allow. An answer has one deadline from when it first waits for its
    /// reader, however steadily it is read; a request has a deadline of its own in the middleware, its body included.
    pub fn is_overdue(&self, settings: &config::Server, now: Instant) -> bool {
        let progress = self.progress();
        let deadline = match progress.step {
            Step::Body | Step::Request => return false,
            Step::Head => settings.head_timeout,
            Step::Answer => settings.request_timeout,
            Step::Idle => settings.idle_timeout,
        };
        now - progress.since >= deadline.get()
    }

    fn advance(&self, from: Step, to: Step) {
        if self.progress().step == from {
            self.enter(to);
        }
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection that records its progress, and fails with `TimedOut` once it was asked to close.
pub struct TimeoutStream {
    stream: TcpStream,
    state: ConnectionState,
}

impl TimeoutStream {
    pub fn new(stream: TcpStream) -> (Self, ConnectionState) {
        let (step, since, task) = (Step::Head, Instant::now(), Waker::noop().clone());
        let progress = Progress { step, since, close_requested: false, task };
        let state = ConnectionState(Arc::new(Mutex::new(progress)));
        (Self { stream, state: state.clone() }, state)
    }

    /// There is nothing to read, or no room to write.
    fn poll_closing<T>(&self, cx: &Context<'_>) -> Poll<io::Result<T>> {
        self.state.progress().task.clone_from(cx.waker());
        if self.state.is_closing() { Poll::Ready(Err(io::ErrorKind::TimedOut.into())) } else { Poll::Pending }
    }
}

impl AsyncRead for TimeoutStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.state.advance(Step::Idle, Step::Head);
        }
        if read.is_pending() { self.poll_closing(cx) } else { read }
    }
}

impl AsyncWrite for TimeoutStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        if written.is_ready() {
            return written;
        }
        self.state.advance(Step::Idle, Step::Answer);
        self.poll_closing(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// hyper flushes when it has written all of an answer.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.state.advance(Step::Answer, Step::Idle);
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

    const LARGE: usize = 32 << 20;

    /// Both ends of a connection on which a request was answered.
    async fn answered() -> (TcpStream, TimeoutStream, ConnectionState) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let client = TcpStream::connect(listener.local_addr().expect("bound")).await.expect("connected");
        let (stream, state) = TimeoutStream::new(listener.accept().await.expect("accepted").0);
        state.enter(Step::Request);
        assert!(state.stalled_for(Instant::now()).is_none(), "it waits for the endpoint");
        state.enter(Step::Idle);
        assert!(state.stalled_for(Instant::now()).is_some(), "it is idle");
        (client, stream, state)
    }

    #[tokio::test]
    async fn a_connection_whose_answer_was_read_is_idle() {
        let (mut client, mut stream, state) = answered().await;
        let mut answering = JoinSet::new();
        answering.spawn(async move {
            stream.write_all(&vec![0; LARGE]).await.expect("written");
            stream.flush().await.expect("flushed");
            stream
        });
        sleep(Duration::from_millis(100)).await;
        assert_eq!(state.progress().step, Step::Answer);
        client.read_exact(&mut vec![0; LARGE]).await.expect("read");
        let mut stream = answering.join_next().await.expect("one").expect("ended");
        assert_eq!(state.progress().step, Step::Idle);
        client.write_all(b"GET").await.expect("sent");
        stream.read_exact(&mut [0; 3]).await.expect("read");
        assert_eq!(state.progress().step, Step::Head);
    }

    #[tokio::test]
    async fn an_answer_has_one_deadline_however_steadily_it_is_read() {
        let (mut client, mut stream, state) = answered().await;
        let request_timeout = serde_json::from_value("1s".into()).expect("a period");
        let settings = config::Server { request_timeout, ..config::Server::default() };
        let mut answering = JoinSet::new();
        answering.spawn(async move { stream.write_all(&vec![0; 16 * LARGE]).await });
        sleep(Duration::from_millis(100)).await;
        assert!(state.stalled_for(Instant::now()).is_none(), "its reader has some time");
        assert!(!state.is_overdue(&settings, Instant::now()));
        let start = Instant::now();
        let mut piece = vec![0; 64 << 10];
        while client.read_exact(&mut piece).await.is_ok() {
            if state.is_overdue(&settings, Instant::now()) {
                state.request_close();
            }
            sleep(Duration::from_millis(5)).await;
            assert!(start.elapsed() < Duration::from_secs(10), "the deadline starts anew");
        }
        assert!(answering.join_next().await.expect("one").expect("ended").is_err());
    }

    #[tokio::test]
    async fn a_request_that_comes_in_time_withdraws_the_request_to_close() {
        let (mut client, mut stream, state) = answered().await;
        client.write_all(b"GET").await.expect("sent");
        stream.stream.readable().await.expect("it came");
        state.request_close();
        assert!(state.is_closing());
        stream.read_exact(&mut [0; 3]).await.expect("read");
        assert!(!state.is_closing());
        state.request_close();
        assert!(stream.read_exact(&mut [0; 1]).await.is_err(), "nothing more came");
    }
}
