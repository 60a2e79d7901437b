//! coffeeshop: user accounts for a small shop's own server, in one binary.
//!
//! The layers, in reading order. Each uses only those above it; `api`, `messaging` and `jobs` never see `store`. A user, a
//! session, a code has the same name on every layer, from the SQL to the URL.

pub mod domain; // VALUES: checked on the way in, no I/O

pub mod config; // settings: defaults, config.toml, environment

pub mod store; // SQL, no rules: one writer that groups commits, a few readers
mod crypto; // hashing, sealing, tokens
mod core; // what every use case shares
mod auth; // sessions
mod operations; // the clean-up
pub mod accounts; // RULES: every use case, the only way to the store

mod files; // files and folders that are made, and who may open them
mod isolate_panics; // work that comes again and again: a run that panics ends alone

pub mod http; // connections and requests: listener, limits and timeouts, middleware, refusals
pub mod api; // JSON: parse, call, present
pub mod web; // pages for people
pub mod messaging; // messages to users: the outbox worker and its transports
pub mod jobs; // what runs on a schedule

pub mod server; // puts the pieces together
pub mod telemetry; // the log
pub mod cli; // the command line: the same use cases
