//! The error of a setting that cannot be used.

use std::fmt::Display;

/// A setting that cannot be used: one line that names its file or variable.
#[derive(Debug, thiserror::Error)]
#[error("{at}: {why}")]
pub struct ConfigError {
    at: String,
    why: String,
    hint: Option<&'static str>,
}

impl ConfigError {
    pub(super) fn new(at: impl Into<String>, why: impl Display) -> Self {
        // The other lines of a TOML error quote the source.
        let why = why.to_string().lines().next().unwrap_or_default().to_owned();
        Self { at: at.into(), why, hint: None }
    }

    pub(super) fn with_hint(self, hint: &'static str) -> Self {
        Self { hint: Some(hint), ..self }
    }

    /// What the operator can do about it.
    #[must_use]
    pub const fn hint(&self) -> Option<&'static str> {
        self.hint
    }

    pub(super) fn unknown(at: impl Into<String>, meant: Option<String>) -> Self {
        match meant {
            Some(meant) => Self::new(at, format_args!("there is no such setting; did you mean {meant}?")),
            None => Self::new(at, "there is no such setting"),
        }
    }
}
