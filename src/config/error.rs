//! The error of a setting that cannot be used.

use std::fmt::Display;

/// A setting that cannot be used: one line that names its file or variable.
#[derive(Debug, thiserror::Error)]
#[error("{at}: {why}")]
pub struct ConfigError {
    at: String,
    why: String,
}

impl ConfigError {
    pub(super) fn new(at: impl Into<String>, why: impl Display) -> Self {
        // The other lines of a TOML error quote the source.
        Self { at: at.into(), why: why.to_string().lines().next().unwrap_or_default().to_owned() }
    }

    pub(super) fn unknown(at: impl Into<String>, meant: Option<String>) -> Self {
        match meant {
            Some(meant) => Self::new(at, format_args!("there is no such setting; did you mean {meant}?")),
            None => Self::new(at, "there is no such setting"),
        }
    }
}
