//! Prompts on the terminal.

use std::io::{self, BufRead, IsTerminal, Read, Write};

use anyhow::{Result, bail};

use super::output::Hinted;
use crate::domain::typed::secret_line;

/// Reads a new password: typed twice at the terminal, or the one line of standard input.
pub fn new_password(from_stdin: bool) -> Result<String> {
    if from_stdin {
        // More than any password may have, and little memory.
        let mut bytes = Vec::new();
        io::stdin().take(64 * 1024).read_to_end(&mut bytes)?;
        return match secret_line(&bytes) {
            Ok(line) => Ok(line.to_owned()),
            Err(why) => Err(Hinted::new(format!("the password {why}"), "pipe in the password alone").into()),
        };
    }
    if !io::stdin().is_terminal() {
        return Err(Hinted::new(
            "not a terminal: the password cannot be asked for",
            "pipe it in with --password-stdin",
        )
        .into());
    }
    let password = rpassword::prompt_password("Password: ")?;
    if rpassword::prompt_password("Repeat password: ")? != password {
        bail!("the passwords do not match");
    }
    Ok(password)
}

/// Asks a yes-or-no question; anything but yes is no.
pub fn confirm(question: &str) -> Result<bool> {
    if !io::stdin().is_terminal() {
        return Err(
            Hinted::new("not a terminal: the command cannot ask for confirmation", "pass --yes").into()
        );
    }
    write!(io::stderr(), "{question} [y/N] ")?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}
