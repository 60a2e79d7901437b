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
}

impl Name {
    const fn measure(self) -> fn(&Setting, &mut Report) {
        match self {
            Self::Start => start::measure,
            Self::Me => me::measure,
            Self::Login => login::measure,
            Self::Storm => storm::measure,
            Self::Refresh => refresh::measure,
            Self::List => list::measure,
            Self::Many => many::measure,
            Self::Signup => signup::measure,
            Self::Purge => purge::measure,
        }
    }
}

impl Name {
    /// How it is measured on PostgreSQL beside SQLite, if it is.
    const fn measure_engines(self) -> Option<fn(&Engines, &Setting, &mut Report)> {
        match self {
            Self::Me => Some(engines::me),
            Self::Login => Some(engines::log_in),
            Self::Refresh => Some(engines::refresh),
            Self::List => Some(engines::list),
            Self::Signup => Some(engines::sign_up),
            Self::Start | Self::Storm | Self::Many | Self::Purge => None,
        }
    }
}

/// Measures these, or all that there are, on PostgreSQL beside SQLite.
pub fn measure_engines(names: &[Name], setting: &Setting, report: &mut Report) {
    let engines = Engines::new(setting);
    for name in Name::value_variants().iter().filter(|name| names.is_empty() || names.contains(name)) {
        match name.measure_engines() {
            Some(measure) => measure(&engines, setting, report),
            None if names.is_empty() => {}
            None => report.note("One of these rows is about SQLite alone.".to_owned()),
        }
    }
}

/// Measures these, or everything.
pub fn measure(names: &[Name], setting: &Setting, report: &mut Report) {
    for name in Name::value_variants().iter().filter(|name| names.is_empty() || names.contains(name)) {
        name.measure()(setting, report);
    }
}
