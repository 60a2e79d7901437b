//! coffeeshop: user accounts for a small shop's own server, in one binary.
//!
//! The house, in reading order. Each rung uses only what stands above it here; `api`, `delivery` and `timers` never see
//! `store`. A user, a session, a code is called the same on every rung, from the SQL to the URL.

pub mod model; // VALUES: checked on the way in, no I/O

pub mod config; // settings: defaults, config.toml, environment

pub mod store; // SQL, no rules: one writer that groups commits, a few readers
pub mod accounts; // RULES: every use case, the only door to the store

mod files; // files and folders that are made, and who may open them
mod contained; // work that comes again and again: a run that panics ends alone

pub mod api; // HTTP: translate, call, translate
pub mod delivery; // MESSAGES out
pub mod timers; // what happens by the clock

pub mod server; // puts the pieces together
pub mod telemetry; // the log
pub mod cli; // the command line: the same door
