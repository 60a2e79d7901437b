//! coffeeshop: user accounts for a small shop's own server, in one binary.
//!
//! The layers, in reading order. Each uses only those above it; `api`, `web`, `jobs` and `cli` never see `store`. A user, a
//! session, a code has the same name on every layer, from the SQL to the URL.

pub mod domain; // VALUES: checked on the way in, no I/O

pub mod config; // settings: defaults, config.toml, environment
mod files; // files and folders that are made, and who may open them
mod isolate_panics; // catches and logs a panic so that a periodic task goes on

pub mod store; // SQL, no rules: one writer that groups commits, a few readers
mod crypto; // secrets: hashing, sealing, tokens
pub mod core; // what every use case shares: errors, who asks, rate limits, codes, the audit

pub mod accounts; // USE CASES: registration, verification, profile, users, passwords
pub mod auth; // USE CASES: sessions and signing keys
pub mod messaging; // USE CASES: the outbox, its worker and transports
pub mod operations; // USE CASES: purge, health
pub mod app; // the list of all use cases, built in one place

pub mod http; // connections and requests: listener, limits and timeouts, middleware, refusals
pub mod api; // JSON: parse, call, present
pub mod web; // pages for people
pub mod jobs; // what runs on a schedule

pub mod server; // puts the pieces together
pub mod telemetry; // the log
pub mod cli; // the command line: the same use cases
