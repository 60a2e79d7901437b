//! The log: lines on standard error, by way of a queue, so that nobody waits for whoever reads them.

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

/// How many lines wait, at most.
const WAITING: usize = 1000;

/// How long the end of the program waits for the log, at most.
const FAREWELL: Duration = Duration::from_millis(500);

/// The log. It ends with this value, once what waits is written.
#[must_use]
pub struct Log {
    lines: Sender<Line>,
    /// Gone when the log is.
    _open: Arc<()>,
}

enum Line {
    Text(Vec<u8>),
    /// The last one: whoever waits at the other end is told by its being dropped.
    End(Sender<()>),
}

impl Log {
    /// Starts the log. A second one gets no lines.
    ///
    /// # Errors
    /// If no thread can be had.
    pub fn start(settings: &config::Log) -> io::Result<Self> {
        let (lines, waiting) = bounded(WAITING);
        let queue = Queue { lines: lines.clone(), lost: Arc::default() };
        let lost = Arc::clone(&queue.lost);
        thread::Builder::new().name("log".to_owned()).spawn(move || write(&waiting, &lost))?;

        let level = level(settings.level);
        // Of the libraries only warnings: what they say at their lower levels may hold what ours never does.
        let filter =
            Targets::new().with_default(level.min(LevelFilter::WARN)).with_target("coffeeshop", level);
        let layer = fmt::layer().with_writer(move || queue.clone()).with_target(false);
        let layer = match settings.format {
            LogFormat::Text => layer.with_ansi(io::IsTerminal::is_terminal(&io::stderr())).boxed(),
            LogFormat::Json => layer.json().flatten_event(true).boxed(),
        };
        let open = Arc::new(());
        if tracing_subscriber::registry().with(layer.with_filter(filter)).try_init().is_ok() {
            take_panics(Arc::downgrade(&open));
        }
        Ok(Self { lines, _open: open })
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        let (written, last) = bounded(0);
        if self.lines.send_timeout(Line::End(written), FAREWELL).is_ok() {
            let _ = last.recv_timeout(FAREWELL);
        }
    }
}

/// The end of the queue that takes lines, and loses them rather than wait.
#[derive(Clone)]
struct Queue {
    lines: Sender<Line>,
    /// How many were lost since the start.
    lost: Arc<AtomicU64>,
}

impl Write for Queue {
    /// Takes one line whole: the layer gives it in one piece.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.lines.try_send(Line::Text(line.to_vec())).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes what comes, until the end. Nobody could be told that a line cannot be written.
fn write(lines: &Receiver<Line>, lost: &AtomicU64) {
    let mut told = 0;
    for line in lines {
        let text = match line {
            Line::Text(text) => text,
            Line::End(written) => return drop(written),
        };
        let _ = io::stderr().write_all(&text);
        // What tells of it can be lost, too; then it is one more.
        let lost = lost.load(Ordering::Relaxed);
        if lost > told {
            told = lost;
            tracing::warn!(lost, "lines of the log were lost: it was not read fast enough");
        }
    }
}

/// Has panics told by the log for as long as it is open. The standard library would have whoever panics wait for whoever
/// reads standard error.
fn take_panics(open: Weak<()>) {
    let by_standard = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        if open.strong_count() == 0 {
            return by_standard(panic);
        }
        let at = panic.location().map(tracing::field::display);
        tracing::error!(at, why = why(panic), "panicked");
    }));
}

/// What a panic says. A library may have put anything into its words, a password even: of the libraries only words that are
/// always the same.
fn why<'a>(panic: &'a PanicHookInfo<'_>) -> Option<&'a str> {
    // The compiler knows our own files by where they are in the repository.
    let is_ours = panic.location().is_some_and(|at| Path::new(at.file()).is_relative());
    let fixed = panic.payload().downcast_ref::<&str>().copied();
    fixed.or_else(|| panic.payload_as_str().filter(|_| is_ours))
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
