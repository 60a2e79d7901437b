//! What is wrong with the mail server, in one sentence that says what to look at.

use std::{error::Error as _, io, time::Duration};

use lettre::transport::smtp::{
    Error,
    response::{Code, Severity},
};

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
    let at = server.at();
    if let Some(code) = error.status() {
        let said = error.source().map(ToString::to_string).unwrap_or_default();
        return Answered { at: &at, code, said, has_login: server.has_login() }.setback(stage);
    }
    match io_error(error) {
        Some(broken) => Setback::silence(broken_off(&at, &server.host, stage, broken)),
        None if stage == Stage::StartTls => Setback::silence(format!(
            "{at} offers no STARTTLS, and nothing is sent in the clear: try smtp.security = \"tls\""
        )),
        None if stage == Stage::Login => {
            let why = format!("{at} offers no way to log in that is known here: check smtp.security");
            Setback::locked(why, None)
        }
        None if stage == Stage::Connect => Setback::silence(format!(
            "{at} does not talk like a mail server: check smtp.port and smtp.security"
        )),
        None => Setback::silence(format!("{at} broke off")),
    }
}

/// It took too long.
pub fn late(server: &Server, stage: Stage, patience: Duration) -> Setback {
    let (at, seconds) = (server.at(), patience.as_secs());
    let look = match stage {
        Stage::Connect | Stage::StartTls => "check smtp.host, smtp.port and smtp.security",
        Stage::Login | Stage::Sender | Stage::Recipient | Stage::Content => "smtp.timeout gives it longer",
    };
    let seconds = if seconds == 1 { "1 second".to_owned() } else { format!("{seconds} seconds") };
    Setback::silence(format!("{at} did not answer within {seconds}: {look}"))
}

/// What a server answers, when the answer is no.
struct Answered<'a> {
    at: &'a str,
    code: Code,
    said: String,
    has_login: bool,
}

impl Answered<'_> {
    fn setback(self, stage: Stage) -> Setback {
        let Self { at, code, ref said, .. } = self;
        let number = code.to_string();
        let is_for_now = code.severity == Severity::TransientNegativeCompletion;
        // RFC 5321, section 4.2.3, and RFC 3463, section 3.4: it is closing, or its system is not well.
        if number == "421"
            || is_for_now && (matches!(stage, Stage::Connect | Stage::Sender) || said.starts_with("4.3."))
        {
            return self.say(Setback::unwell, format!("{at} takes no mail for now ({code})"));
        }
        let wants_login = !self.has_login && said.starts_with("5.7.");
        let blames_sender = is_about_sender(said);
        match stage {
            _ if number == "530" => {
                let look = "check smtp.security and smtp.username";
                self.say(Setback::locked, format!("{at} wants TLS or a login first ({code}): {look}"))
            }
            Stage::Connect => {
                self.say(Setback::locked, format!("{at} does not want to talk to this server ({code})"))
            }
            Stage::StartTls => self.say(Setback::unwell, format!("{at} refused STARTTLS ({code})")),
            Stage::Login => {
                let look = "check smtp.username and smtp.password";
                self.say(Setback::locked, format!("{at} refused the login ({code}): {look}"))
            }
            // Many servers say what they think of the sender only when they hear of a recipient.
            Stage::Sender => self.sender_refused(),
            Stage::Recipient if blames_sender => self.sender_refused(),
            Stage::Recipient if wants_login => {
                let look = "perhaps it wants a login: smtp.username";
                self.say(Setback::locked, format!("{at} refused the recipient ({code}); {look}"))
            }
            Stage::Recipient => self.say(Setback::refused, format!("{at} refused the recipient ({code})")),
            Stage::Content => self.say(Setback::refused, format!("{at} refused the message ({code})")),
        }
    }

    fn sender_refused(self) -> Setback {
        let why = format!("{} refused the sender ({}): check messages.from", self.at, self.code);
        self.say(Setback::refused, why)
    }

    fn say(self, kind: impl FnOnce(String, Option<String>) -> Setback, why: String) -> Setback {
        kind(why, Some(self.said))
    }
}

fn is_about_sender(said: &str) -> bool {
    let said = said.to_lowercase();
    said.contains("sender")
        && ["reject", "denied", "refused", "not allowed", "not owned"].iter().any(|no| said.contains(no))
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
