//! The log: lines on standard error.

use std::io;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::{Layer, filter::Targets, fmt, layer::SubscriberExt, util::SubscriberInitExt};

use crate::config::{Log, LogFormat, LogLevel};

/// Starts the log. A second call changes nothing.
pub fn start(settings: &Log) {
    let level = level(settings.level);
    // Of the libraries only warnings: what they say at their lower levels may hold what ours never does.
    let filter = Targets::new().with_default(level.min(LevelFilter::WARN)).with_target("coffeeshop", level);
    let lines = fmt::layer().with_writer(io::stderr).with_target(false);
    let lines = match settings.format {
        LogFormat::Text => lines.with_ansi(io::IsTerminal::is_terminal(&io::stderr())).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    let _ = tracing_subscriber::registry().with(lines.with_filter(filter)).try_init();
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
