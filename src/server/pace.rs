//! A connection that must make progress: whoever sends or reads too slowly, or nothing at all, is hung up on.

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, Sleep, sleep_until},
};

/// How long each step of a conversation may take.
#[derive(Clone, Copy, Debug)]
pub struct Deadlines {
    /// The head of a request, from its first byte, or from the connection's first moment.
    pub head: Duration,
    /// Nothing, between two requests.
    pub idle: Duration,
    /// A reader that reads nothing of an answer that waits for it.
    pub write: Duration,
}

/// Where a connection is in its conversation: `http` says when it is in a request, the bytes say the rest.
#[derive(Clone, Debug)]
pub struct Talk(Arc<AtomicU8>);

const IN_HEAD: u8 = 0;
const IN_REQUEST: u8 = 1;
const IS_IDLE: u8 = 2;

impl Talk {
    /// The head was read; the request itself has a deadline of its own.
    pub fn begin_request(&self) {
        self.0.store(IN_REQUEST, Ordering::Relaxed);
    }

    /// The request was answered. Whoever reads the connection is to look at its clock once more: without a byte to read it
    /// would not by itself.
    pub async fn end_request(&self) {
        self.0.store(IS_IDLE, Ordering::Relaxed);
        poll_fn(|cx| {
            cx.waker().wake_by_ref();
            Poll::Ready(())
        })
        .await;
    }
}

/// A connection with deadlines.
pub struct Paced {
    stream: TcpStream,
    talk: Talk,
    deadlines: Deadlines,
    /// What the reader's clock was set for.
    reading: u8,
    read_by: Pin<Box<Sleep>>,
    /// Running while an answer cannot be written.
    write_by: Option<Pin<Box<Sleep>>>,
}

impl Paced {
    /// The connection, from its first moment.
    pub fn new(stream: TcpStream, deadlines: Deadlines) -> (Self, Talk) {
        let talk = Talk(Arc::new(AtomicU8::new(IN_HEAD)));
        let read_by = Box::pin(sleep_until(Instant::now() + deadlines.head));
        (Self { stream, talk: talk.clone(), deadlines, reading: IN_HEAD, read_by, write_by: None }, talk)
    }

    /// Sets the reader's clock when the conversation has moved on.
    fn set_clock(&mut self) {
        let now_in = self.talk.0.load(Ordering::Relaxed);
        if now_in == self.reading {
            return;
        }
        self.reading = now_in;
        let time = match now_in {
            IS_IDLE => self.deadlines.idle,
            _ => self.deadlines.head,
        };
        self.read_by.as_mut().reset(Instant::now() + time);
    }

    fn writes(&mut self, wrote: Poll<io::Result<usize>>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if wrote.is_ready() {
            self.write_by = None;
            return wrote;
        }
        let longest = self.deadlines.write;
        let write_by = self.write_by.get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + longest)));
        ready!(write_by.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Paced {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        if let Poll::Ready(read) = Pin::new(&mut self.stream).poll_read(cx, buffer) {
            if buffer.filled().len() > before && self.talk.0.load(Ordering::Relaxed) == IS_IDLE {
                self.talk.0.store(IN_HEAD, Ordering::Relaxed); // the next request begins
            }
            self.set_clock();
            return Poll::Ready(read);
        }
        self.set_clock();
        if self.reading == IN_REQUEST {
            return Poll::Pending;
        }
        ready!(self.read_by.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncWrite for Paced {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.writes(wrote, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        self.writes(wrote, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
