//! What is measured: one file for each kind of work.

mod engines;
mod list;
mod login;
mod many;
mod me;
mod purge;
mod refresh;
mod signup;
mod start;
mod storm;

use clap::ValueEnum;

use self::engines::Engines;
use super::{report::Report, setting::Setting};

/// How many connections ask at once where it is not said otherwise.
const CONNECTIONS: usize = 32;

/// A kind of work.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Name {
    /// From the start of the process to its first answer, its memory, its size.
    Start,
    /// GET /me beside a handler without a check.
    Me,
    /// POST /auth/login beside argon2id alone.
    Login,
    /// GET /me while others log in, and the memory that this takes.
    Storm,
    /// POST /auth/refresh by many beside one, and beside SQLite alone.
    Refresh,
    /// GET /users among a million, whatever is asked for, beside a thousand.
    List,
    /// GET /me and POST /auth/login among a million users beside a thousand.
    Many,
    /// POST /auth/signup among a million users, beside a store without the search.
    Signup,
    /// The clean-up of 200,000 of a million users, and a writer meanwhile.
    Purge,
    /// Look-ups of sessions put together, beside a query each (PostgreSQL).
    LookUps,
    /// Login and refresh at SERIALIZABLE beside READ COMMITTED (PostgreSQL).
    Isolation,
    /// What many connections gain over one on a disk with slow flushes (PostgreSQL).
    SlowDisk,
    /// Two processes beside one, on the same cores (PostgreSQL).
    Processes,
}

impl Name {
    /// How it is measured on SQLite, if it is.
    const fn measure(self) -> Option<fn(&Setting, &mut Report)> {
        match self {
            Self::Start => Some(start::measure),
            Self::Me => Some(me::measure),
            Self::Login => Some(login::measure),
            Self::Storm => Some(storm::measure),
            Self::Refresh => Some(refresh::measure),
            Self::List => Some(list::measure),
            Self::Many => Some(many::measure),
            Self::Signup => Some(signup::measure),
            Self::Purge => Some(purge::measure),
            Self::LookUps | Self::Isolation | Self::SlowDisk | Self::Processes => None,
        }
    }

    /// How it is measured on PostgreSQL, if it is.
    const fn measure_engines(self) -> Option<fn(&Engines, &Setting, &mut Report)> {
        match self {
            Self::Me => Some(engines::me),
            Self::Login => Some(engines::log_in),
            Self::Refresh => Some(engines::refresh),
            Self::List => Some(engines::list),
            Self::Signup => Some(engines::sign_up),
            Self::LookUps => Some(engines::look_ups),
            Self::Isolation => Some(engines::isolation),
            Self::SlowDisk => Some(engines::slow_disk),
            Self::Processes => Some(engines::processes),
            Self::Start | Self::Storm | Self::Many | Self::Purge => None,
        }
    }
}

/// Measures these, or all that there are, on PostgreSQL, where it can be beside SQLite.
pub fn measure_engines(names: &[Name], setting: &Setting, report: &mut Report) {
    let engines = Engines::new(setting);
    for name in wanted(names) {
        match name.measure_engines() {
            Some(measure) => measure(&engines, setting, report),
            None if names.is_empty() => {}
            None => report.note("One of these rows is about SQLite alone.".to_owned()),
        }
    }
}

/// Measures these, or everything that there is on SQLite.
pub fn measure(names: &[Name], setting: &Setting, report: &mut Report) {
    for name in wanted(names) {
        match name.measure() {
            Some(measure) => measure(setting, report),
            None if names.is_empty() => {}
            None => report.note("One of these rows needs --engine postgres.".to_owned()),
        }
    }
}

fn wanted(names: &[Name]) -> impl Iterator<Item = &'static Name> {
    Name::value_variants().iter().filter(|name| names.is_empty() || names.contains(name))
}
