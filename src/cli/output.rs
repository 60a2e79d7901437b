//! Data to standard output, words to standard error.

use std::{
    fmt::Display,
    io::{self, Write},
};

use comfy_table::{Table, presets};

use crate::accounts::{Error, StartError};

/// A refusal with a hint at what to do instead.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Hinted {
    message: String,
    hint: String,
}

impl Hinted {
    /// A refusal.
    pub fn new(message: impl Display, hint: impl Into<String>) -> Self {
        Self { message: message.to_string(), hint: hint.into() }
    }
}

/// Data: what a script reads. A reader that went away has read enough.
///
/// # Errors
/// If it cannot be written, to a full disk for one.
pub fn data(text: impl Display) -> io::Result<()> {
    match writeln!(io::stdout(), "{text}") {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}

/// A table for people, without lines.
pub fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header);
    table
}

/// Words: what a person reads.
pub fn words(text: impl Display) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// `error: …` in one line, perhaps a `hint: …`.
pub fn failure(error: &anyhow::Error) {
    words(format_args!("error: {}", in_one_line(&in_full(error))));
    let hint = error.downcast_ref::<Hinted>().map(|hinted| hinted.hint.as_str());
    if let Some(hint) = hint.or_else(|| error.downcast_ref::<StartError>().and_then(StartError::hint)) {
        words(format_args!("hint: {hint}"));
    }
}

/// What went wrong and why, one after the other.
fn in_full(error: &anyhow::Error) -> String {
    let causes = error.chain().map(|cause| match cause.downcast_ref::<Error>() {
        Some(refusal) => refusal.in_full(),
        None => cause.to_string(),
    });
    causes.collect::<Vec<_>>().join(": ")
}

/// A sentence of ours ends in a full stop; a line of a command does not.
fn in_one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").trim_end_matches('.').to_owned()
}
