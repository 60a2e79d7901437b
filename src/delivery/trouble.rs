//! What is wrong with the mail server, in one sentence that says what to look at.

use std::{error::Error as _, io};

use lettre::transport::smtp::Error;

use super::smtp::Server;
use crate::accounts::Setback;

/// How far a mail came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The name, the network, TLS from the first byte, the greeting.
    Connect,
    /// Making the connection secret.
    StartTls,
    /// Saying who we are.
    Login,
    /// Saying from whom the mail is.
    Sender,
    /// Saying for whom it is.
    Recipient,
    /// The mail itself.
    Content,
}

/// Why a mail was not taken.
pub fn setback(server: &Server, stage: Stage, error: &Error) -> Setback {
    let at = format!("{}:{}", server.host, server.port);
    if error.status().is_some() {
        return refused(&at, stage, error);
    }
    match io_error(error) {
        Some(broken) => Setback::silence(broken_off(&at, &server.host, stage, broken)),
        None if stage == Stage::StartTls => Setback::silence(format!(
            "{at} offers no STARTTLS, and nothing is sent in the clear: try smtp.security = \"tls\""
        )),
        None if stage == Stage::Login => {
            Setback::locked(format!("{at} offers no way to log in that is known here"), None)
        }
        None if stage == Stage::Connect => Setback::silence(format!(
            "{at} does not talk like a mail server: check smtp.port and smtp.security"
        )),
        None => Setback::silence(format!("{at} broke off")),
    }
}

/// The server answered, and the answer is no.
fn refused(at: &str, stage: Stage, error: &Error) -> Setback {
    let code = error.status().map(|code| code.to_string()).unwrap_or_default();
    let said = error.source().map(ToString::to_string).unwrap_or_default();
    let blames_sender = said.to_lowercase().contains("sender");
    match stage {
        Stage::Connect => {
            Setback::locked(format!("{at} does not want to talk to this server ({code})"), Some(said))
        }
        Stage::StartTls => Setback::locked(format!("{at} refused STARTTLS ({code})"), Some(said)),
        Stage::Login => Setback::locked(
            format!("{at} refused the login ({code}): check smtp.username and smtp.password"),
            Some(said),
        ),
        // Many servers say what they think of the sender only when they hear of a recipient.
        Stage::Sender => sender_refused(at, &code, said),
        Stage::Recipient if blames_sender => sender_refused(at, &code, said),
        Stage::Recipient => Setback::refused(format!("{at} refused the recipient ({code})"), Some(said)),
        Stage::Content => Setback::refused(format!("{at} refused the message ({code})"), Some(said)),
    }
}

fn sender_refused(at: &str, code: &str, said: String) -> Setback {
    Setback::refused(format!("{at} refused the sender ({code}): check messages.from"), Some(said))
}

/// The connection did not come about, or broke.
fn broken_off(at: &str, host: &str, stage: Stage, error: &io::Error) -> String {
    use io::ErrorKind as Kind;
    let text = error.to_string();
    match error.kind() {
        _ if text.contains("lookup") => format!("the name {host} cannot be found: check smtp.host"),
        Kind::ConnectionRefused => format!("nothing answers at {at}: check smtp.host and smtp.port"),
        Kind::TimedOut => format!("{at} did not answer in time: check smtp.host, smtp.port and the network"),
        Kind::HostUnreachable | Kind::NetworkUnreachable => {
            format!("{at} cannot be reached: check the network")
        }
        _ if text.contains("certificate") => format!(
            "the TLS certificate of {at} is not good for {host} ({}): check smtp.host, or smtp.ca_file for an authority \
             of your own",
            text.trim_start_matches("invalid peer certificate: ")
        ),
        Kind::InvalidData if stage == Stage::Connect => {
            format!("{at} does not speak TLS from the first byte: try smtp.security = \"starttls\"")
        }
        _ => format!("{at} broke off"),
    }
}

fn io_error(error: &Error) -> Option<&io::Error> {
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(found) = cause.downcast_ref::<io::Error>() {
            return Some(found);
        }
        source = cause.source();
    }
    None
}
