//! Data to standard output, words to standard error.

use std::{
    fmt::Display,
    io::{self, IsTerminal, Write},
};

use comfy_table::{Table, presets};
use rustix::termios::tcgetwinsize;

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

/// A table for people, without lines; on a terminal that is too narrow for it, a block for each row: an id that is broken in
/// two can be neither read nor copied.
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

/// How many columns the terminal has that data goes to; none if it is no terminal, or does not say.
fn terminal_width() -> Option<usize> {
    let stdout = io::stdout();
    let size = stdout.is_terminal().then(|| tcgetwinsize(&stdout).ok()).flatten()?;
    Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
}

/// Words: what a person reads.
pub fn words(text: impl Display) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// `warning: …` in one line: it was done, and is perhaps not what was meant.
pub fn warning(text: impl Display) {
    words(format_args!("warning: {text}"));
}

/// `error: …` in one line, perhaps a `hint: …`.
pub fn failure(error: &anyhow::Error) {
    words(format_args!("error: {}", in_one_line(&in_full(error))));
    let hint = error.downcast_ref::<Hinted>().map(|hinted| hinted.hint.as_str());
    if let Some(hint) = hint.or_else(|| error.downcast_ref::<StartError>().and_then(StartError::hint)) {
        words(format_args!("hint: {hint}"));
    }
}

/// What went wrong and why, one after the other, in the words of the command line: a field of the API is a flag here.
fn in_full(error: &anyhow::Error) -> String {
    let mut said = String::new();
    for cause in error.chain() {
        let cause = match cause.downcast_ref::<Error>() {
            Some(refusal) => refusal.in_full(),
            None => cause.to_string(),
        };
        // Some libraries put the cause into what they say, too.
        if said.is_empty() {
            said = cause;
        } else if !said.ends_with(&cause) {
            said = format!("{said}: {cause}");
        }
    }
    said.replace("The field email", "The address")
        .replace("The field first_name", "--first-name")
        .replace("The field last_name", "--last-name")
        .replace("The field password", "The password")
        .replace("; leave it out or send null instead", "; leave it out instead")
}

/// A value in a sentence: an empty one is still seen.
pub fn quoted(value: &str) -> &str {
    if value.is_empty() { "\"\"" } else { value }
}

/// A sentence of ours ends in a full stop; a line of a command does not.
fn in_one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").trim_end_matches('.').to_owned()
}
