//! The log: lines on standard error through a bounded queue, so that a slow or stuck reader never blocks a request.
//!
//! `tracing-appender` has such a queue, but at the end it cannot be used: when its queue is full, its guard prints an error
//! to standard output, where data goes, and blocks there. With both streams in one pipe that is not read, or with standard
//! output closed, a program was still running 8 s after its guard was dropped. This one ends within a second.

use std::{
    io::{self, Write},
    panic::{self, PanicHookInfo},
    path::Path,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use crossbeam_channel::{Receiver, Sender, bounded};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::{Layer, filter::Targets, fmt, layer::SubscriberExt, util::SubscriberInitExt};

use crate::config::{self, LogFormat, LogLevel};

/// Lines in the queue; beyond that lines are lost.
const CAPACITY: usize = 1000;

/// At the end, the longest wait for room in the queue, and then for its last line to be written.
const FLUSH_TIMEOUT: Duration = Duration::from_millis(500);

/// The running log. Dropping it writes what is queued.
#[must_use]
pub struct Log {
    queue: Sender<Entry>,
    /// The panic hook watches this: after the log, panics are reported by the standard library again.
    _is_open: Arc<()>,
}

enum Entry {
    Line(Vec<u8>),
    /// The last entry. Dropping the sender tells the other end that every line before it is written.
    End(Sender<()>),
}

impl Log {
    /// Starts the log. In a process that has one already, the second one gets no lines.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub fn start(settings: &config::Log) -> io::Result<Self> {
        let (queue, entries) = bounded(CAPACITY);
        let writer = QueueWriter { queue: queue.clone(), lost: Arc::default() };
        let lost = Arc::clone(&writer.lost);
        thread::Builder::new().name("log".to_owned()).spawn(move || write_entries(&entries, &lost))?;

        let level = level(settings.level);
        // Libraries only from warnings up: at lower levels they may log passwords and tokens, which our own code never does.
        let filter =
            Targets::new().with_default(level.min(LevelFilter::WARN)).with_target("coffeeshop", level);
        let layer = fmt::layer().with_writer(move || writer.clone()).with_target(false);
        let layer = match settings.format {
            LogFormat::Text => layer.with_ansi(io::IsTerminal::is_terminal(&io::stderr())).boxed(),
            LogFormat::Json => layer.json().flatten_event(true).boxed(),
        };
        let is_open = Arc::new(());
        if tracing_subscriber::registry().with(layer.with_filter(filter)).try_init().is_ok() {
            log_panics(Arc::downgrade(&is_open));
        }
        Ok(Self { queue, _is_open: is_open })
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        let (written, all_written) = bounded(0);
        if self.queue.send_timeout(Entry::End(written), FLUSH_TIMEOUT).is_ok() {
            let _ = all_written.recv_timeout(FLUSH_TIMEOUT);
        }
    }
}

/// Puts lines into the queue, and drops them rather than wait for room.
#[derive(Clone)]
struct QueueWriter {
    queue: Sender<Entry>,
    /// Lines dropped since the start.
    lost: Arc<AtomicU64>,
}

impl Write for QueueWriter {
    /// Takes a whole line: the formatter writes each event at once.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.queue.try_send(Entry::Line(line.to_vec())).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes to standard error until the last entry, and reports lost lines. A line that cannot be written is dropped: there is
/// no other place to report it.
fn write_entries(entries: &Receiver<Entry>, lost: &AtomicU64) {
    let mut reported = 0;
    for entry in entries {
        let line = match entry {
            Entry::Line(line) => line,
            Entry::End(written) => return drop(written),
        };
        let _ = io::stderr().write_all(&line);
        // This warning may be lost as well; the next one then counts it.
        let lost = lost.load(Ordering::Relaxed);
        if lost > reported {
            reported = lost;
            tracing::warn!(lost, "log lines were lost: standard error was not read fast enough");
        }
    }
}

/// Reports panics in the log while it is open. The standard library writes to standard error itself, and a panicking thread
/// would block until that is read.
fn log_panics(is_open: Weak<()>) {
    let default_hook = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        if is_open.strong_count() == 0 {
            return default_hook(panic);
        }
        let at = panic.location().map(tracing::field::display);
        tracing::error!(at, why = safe_message(panic), "panicked");
    }));
}

/// The message of a panic. A library may format anything into its message, even a password, so of libraries only messages
/// that are constant.
fn safe_message<'a>(panic: &'a PanicHookInfo<'_>) -> Option<&'a str> {
    // The compiler records our own files by their path in the repository, those of libraries by absolute paths.
    let is_ours = panic.location().is_some_and(|at| Path::new(at.file()).is_relative());
    let constant = panic.payload().downcast_ref::<&str>().copied();
    constant.or_else(|| panic.payload_as_str().filter(|_| is_ours))
}

const fn level(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}
