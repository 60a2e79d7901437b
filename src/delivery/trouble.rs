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
    /// Asking to hand over the mail itself.
    Content,
    /// The mail itself, up to the answer: whether it arrived is known only then.
    Answer,
}

/// Why a mail was not taken.
pub fn setback(server: &Server, stage: Stage, error: &Error) -> Setback {
    let at = server.at();
    if let Some(code) = error.status() {
        let said = error.source().map(ToString::to_string).unwrap_or_default();
        return Answered { at: &at, code, said, has_login: server.has_login() }.setback(stage);
    }
    match io_error(error) {
        Some(broken) => unanswered(stage, broken_off(&at, &server.host, stage, broken)),
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
        None => unanswered(stage, format!("{at} broke off")),
    }
}

/// It took too long.
pub fn late(server: &Server, stage: Stage, patience: Duration) -> Setback {
    let (at, seconds) = (server.at(), patience.as_secs());
    let look = match stage {
        Stage::Connect | Stage::StartTls => "check smtp.host, smtp.port and smtp.security",
        _ => "smtp.timeout gives it longer",
    };
    let seconds = if seconds == 1 { "1 second".to_owned() } else { format!("{seconds} seconds") };
    unanswered(stage, format!("{at} did not answer within {seconds}: {look}"))
}

/// There is no answer, and this is why.
fn unanswered(stage: Stage, why: String) -> Setback {
    match stage {
        Stage::Connect | Stage::StartTls | Stage::Login | Stage::Sender => Setback::silence(why),
        Stage::Recipient | Stage::Content => Setback::deferred(why, None),
        Stage::Answer => Setback::unanswered(why),
    }
}

/// What a server answers, when the answer is no. What is done depends on its code alone (RFC 5321, section 4.2); its text
/// only helps to say what to look at.
struct Answered<'a> {
    at: &'a str,
    code: Code,
    said: String,
    has_login: bool,
}

impl Answered<'_> {
    fn setback(self, stage: Stage) -> Setback {
        match stage {
            Stage::Connect | Stage::StartTls | Stage::Login | Stage::Sender => {
                self.before_the_recipient(stage)
            }
            Stage::Recipient => self.about_this_mail("refused the recipient"),
            Stage::Content | Stage::Answer => self.about_this_mail("refused the message"),
        }
    }

    /// Before a recipient is named, no mail fares better than another.
    fn before_the_recipient(self, stage: Stage) -> Setback {
        let Self { at, code, .. } = self;
        let (number, is_for_now) = (u16::from(code), self.is_for_now());
        match stage {
            Stage::StartTls => self.say(Setback::unwell, format!("{at} refused STARTTLS ({code})")),
            // RFC 4954, section 6: 454 is also said to those who try too often.
            _ if is_for_now && (stage, number) != (Stage::Login, 454) => {
                self.say(Setback::unwell, format!("{at} takes no mail for now ({code})"))
            }
            _ if number == 530 => {
                let look = "check smtp.security and smtp.username";
                self.say(Setback::locked, format!("{at} wants TLS or a login first ({code}): {look}"))
            }
            Stage::Login => {
                let look = "check smtp.username and smtp.password";
                self.say(Setback::locked, format!("{at} refused the login ({code}): {look}"))
            }
            Stage::Sender => {
                self.say(Setback::locked, format!("{at} refused the sender ({code}): check messages.from"))
            }
            _ => self.say(Setback::locked, format!("{at} does not want to talk to this server ({code})")),
        }
    }

    /// Once the sender was taken, an answer concerns this mail.
    fn about_this_mail(self, what: &str) -> Setback {
        let Self { at, code, .. } = self;
        // RFC 4954, section 6, and RFC 3207, section 4: nothing that this mail could help.
        if u16::from(code) == 530 {
            let look = "check smtp.security and smtp.username";
            return self.say(Setback::deferred, format!("{at} wants TLS or a login first ({code}): {look}"));
        }
        // Many servers say what they think of the sender only when they hear of a recipient.
        let why = if is_about_sender(&self.said) {
            format!("{at} refused the sender ({code}): check messages.from")
        } else if !self.has_login && self.said.starts_with("5.7.") {
            format!("{at} {what} ({code}); perhaps it wants a login: smtp.username")
        } else {
            format!("{at} {what} ({code})")
        };
        if self.is_for_now() { self.say(Setback::deferred, why) } else { self.say(Setback::refused, why) }
    }

    fn is_for_now(&self) -> bool {
        self.code.severity == Severity::TransientNegativeCompletion
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
