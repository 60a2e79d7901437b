//! Data to standard output, messages to standard error.

use std::{
    fmt::Display,
    io::{self, IsTerminal, Write},
};

use comfy_table::{Table, presets};
use rustix::termios::tcgetwinsize;

use crate::app::StartError;
use crate::config::ConfigError;
use crate::core::Error;

/// An error with a hint at what to do next.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Hinted {
    message: String,
    hint: String,
}

impl Hinted {
    pub fn new(message: impl Display, hint: impl Into<String>) -> Self {
        Self { message: message.to_string(), hint: hint.into() }
    }
}

/// Prints what a script reads. A closed pipe is no error: its reader has read enough.
///
/// # Errors
/// If it cannot be written, such as to a full disk.
pub fn data(text: impl Display) -> io::Result<()> {
    match writeln!(io::stdout(), "{text}") {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}

/// Prints a table. On a terminal that is too narrow for it, each row becomes a block of lines: an id that is broken in two
/// cannot be copied.
///
/// # Errors
/// If it cannot be written.
pub fn table<const N: usize>(
    header: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> io::Result<()> {
    let rows: Vec<_> = rows.into_iter().collect();
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header).add_rows(&rows);
    let text = table.trim_fmt();
    let width = text.lines().map(|line| line.chars().count()).max().unwrap_or(0);
    if rows.is_empty() || terminal_width().is_none_or(|columns| width <= columns) {
        return data(text);
    }
    let longest = header.iter().map(|name| name.len()).max().unwrap_or(0);
    let blocks = rows.iter().map(|row| {
        let lines = header.iter().zip(row).map(|(name, value)| format!("{name:<longest$}  {value}"));
        lines.map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
    });
    data(blocks.collect::<Vec<_>>().join("\n\n"))
}

/// The width of the terminal on standard output, if it is one and tells its width.
fn terminal_width() -> Option<usize> {
    let stdout = io::stdout();
    let size = stdout.is_terminal().then(|| tcgetwinsize(&stdout).ok()).flatten()?;
    Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
}

/// Prints a line for a person.
pub fn message(text: impl Display) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Prints `warning: …`: the command succeeded, but perhaps not as intended.
pub fn warning(text: impl Display) {
    message(format_args!("warning: {text}"));
}

/// Prints `error: …` in one line, and `hint: …` if there is one.
pub fn failure(error: &anyhow::Error) {
    message(format_args!("error: {}", in_one_line(&in_full(error))));
    let hint = error.downcast_ref::<Hinted>().map(|hinted| hinted.hint.as_str());
    let hint = hint.or_else(|| error.downcast_ref::<StartError>().and_then(StartError::hint));
    if let Some(hint) = hint.or_else(|| error.downcast_ref::<ConfigError>().and_then(ConfigError::hint)) {
        message(format_args!("hint: {hint}"));
    }
}

/// The error and its causes, in terms of the command line: what is a field in the API is a flag here.
fn in_full(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain() {
        let cause = match cause.downcast_ref::<Error>() {
            Some(refusal) => refusal.in_full(),
            None => cause.to_string(),
        };
        // Some libraries repeat the cause in their own message.
        if text.is_empty() {
            text = cause;
        } else if !text.ends_with(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text.replace("The field email", "The address")
        .replace("The field first_name", "--first-name")
        .replace("The field last_name", "--last-name")
        .replace("The field password", "The password")
        .replace("; leave it out or send null instead", "; leave it out instead")
}

/// Shows a value within a sentence; an empty one as quotes.
pub fn quoted(value: &str) -> &str {
    if value.is_empty() { "\"\"" } else { value }
}

/// Joins lines, and drops the full stop: messages of a command end without one.
fn in_one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").trim_end_matches('.').to_owned()
}
