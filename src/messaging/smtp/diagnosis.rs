//! What is wrong with the mail server, in one sentence that says what to look at, and whom it concerns.

use std::{io, time::Duration};

use super::{
    dialogue::{Fault, Reply},
    tls::{Insecure, insecure},
};
use crate::{config, messaging::delivery_error::DeliveryError};

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
    /// Asking to hand over the mail itself: some servers say only then what they think of the recipient.
    Offer,
    /// Handing over the mail itself.
    Content,
    /// Hearing whether it was taken: without that it may have been.
    Receipt,
}

impl Stage {
    /// Whether no other mail would come any further.
    const fn is_transport_wide(self) -> bool {
        matches!(self, Self::Connect | Self::StartTls | Self::Login | Self::Sender)
    }
}

/// The mail server, as it is called in sentences.
pub struct Named {
    host: String,
    at: String,
    has_login: bool,
    timeout: Duration,
}

impl Named {
    /// The server of the settings.
    pub fn new(settings: &config::Smtp) -> Self {
        let (host, port) = (settings.host.clone(), settings.port());
        let at = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        let has_login = settings.password.reveal().is_some();
        Self { host, at, has_login, timeout: settings.timeout.get() }
    }

    /// Why a mail was not sent.
    pub fn delivery_error(&self, stage: Stage, fault: &Fault) -> DeliveryError {
        let at = &self.at;
        match (fault, stage) {
            (Fault::Said(reply), _) if stage.is_transport_wide() => self.not_let_in(stage, reply),
            (Fault::Said(reply), _) => self.not_taken(stage, reply),
            (Fault::Late, _) => unanswered(stage, self.late(stage)),
            (Fault::Broken(error), _) => unanswered(stage, self.broken_off(stage, error)),
            (Fault::NotOffered, Stage::StartTls) => DeliveryError::unreachable(format!(
                "{at} offers no STARTTLS, and nothing is sent in the clear: try smtp.security = \"tls\""
            )),
            (Fault::NotOffered, _) => {
                let why = format!("{at} offers no way to log in that is known here: check smtp.security");
                DeliveryError::auth_rejected(why, None)
            }
            (Fault::Garbled, Stage::Connect) => DeliveryError::unreachable(format!(
                "{at} does not talk like a mail server: check smtp.port and smtp.security"
            )),
            (Fault::Garbled, _) => unanswered(stage, format!("{at} does not answer what it was asked")),
        }
    }

    /// The sender of a mail to an address with other letters than ASCII was not accepted. That is said with a parameter of
    /// its own, so it tells nothing about other mails; and only 555 is about that parameter (RFC 5321, section 4.2.2):
    /// what else is refused for good is the sender, and waits until the settings are right.
    pub fn not_begun(&self, fault: &Fault) -> DeliveryError {
        match fault {
            Fault::Said(reply) if !reply.is_for_now() && ![530, 555].contains(&reply.code) => {
                DeliveryError::deferred(self.refused_sender(reply.code), Some(reply.text()))
            }
            _ => self.delivery_error(Stage::Recipient, fault),
        }
    }

    /// A mail to an address with other letters than ASCII, for a server that takes none.
    pub fn no_such_letters(&self) -> DeliveryError {
        DeliveryError::rejected(
            format!("{} takes no addresses with letters like these (SMTPUTF8)", self.at),
            None,
        )
    }

    /// A recipient took long while other mails had to wait.
    pub fn slow(&self) -> DeliveryError {
        DeliveryError::deferred(
            format!("{} was slow to take the recipient while others waited", self.at),
            None,
        )
    }

    /// The name `smtp.host` could not be found.
    pub fn unknown(&self) -> DeliveryError {
        DeliveryError::unreachable(format!("the name {} cannot be found: check smtp.host", self.host))
    }

    fn late(&self, stage: Stage) -> String {
        let (at, seconds) = (&self.at, self.timeout.as_secs());
        let look = match stage {
            Stage::Connect | Stage::StartTls => "check smtp.host, smtp.port and smtp.security",
            _ => "smtp.timeout gives it longer",
        };
        let seconds = if seconds == 1 { "1 second".to_owned() } else { format!("{seconds} seconds") };
        format!("{at} did not answer within {seconds}: {look}")
    }

    /// Before the sender is accepted, no mail fares better than another.
    fn not_let_in(&self, stage: Stage, reply: &Reply) -> DeliveryError {
        let Self { at, .. } = self;
        let (code, said) = (reply.code, Some(reply.text()));
        match stage {
            Stage::StartTls => DeliveryError::unavailable(format!("{at} refused STARTTLS ({code})"), said),
            // RFC 4954, section 6: 454 is also said to those who try too often.
            _ if reply.is_for_now() && (stage, code) != (Stage::Login, 454) => {
                DeliveryError::unavailable(format!("{at} takes no mail for now ({code})"), said)
            }
            _ if code == 530 => DeliveryError::auth_rejected(self.wants_login(code), said),
            Stage::Login => {
                let look = "check smtp.username and smtp.password";
                DeliveryError::auth_rejected(format!("{at} refused the login ({code}): {look}"), said)
            }
            Stage::Sender => DeliveryError::auth_rejected(self.refused_sender(code), said),
            _ => DeliveryError::auth_rejected(
                format!("{at} does not want to talk to this server ({code})"),
                said,
            ),
        }
    }

    /// Once the sender was accepted, an answer concerns this mail.
    fn not_taken(&self, stage: Stage, reply: &Reply) -> DeliveryError {
        let (code, text) = (reply.code, reply.text());
        // RFC 4954, section 6, and RFC 3207, section 4: that is not the fault of this mail.
        if code == 530 {
            return DeliveryError::deferred(self.wants_login(code), Some(text));
        }
        let what = if stage == Stage::Recipient { "recipient" } else { "message" };
        let at = &self.at;
        // Many servers say what they think of the sender only when they hear of a recipient.
        let why = if is_about_sender(&text) {
            self.refused_sender(code)
        } else if !self.has_login && text.starts_with("5.7.") {
            format!("{at} refused the {what} ({code}); perhaps it wants a login: smtp.username")
        } else {
            format!("{at} refused the {what} ({code})")
        };
        if reply.is_for_now() {
            DeliveryError::deferred(why, Some(text))
        } else {
            DeliveryError::rejected(why, Some(text))
        }
    }

    fn refused_sender(&self, code: u16) -> String {
        format!("{} refused the sender ({code}): check messages.from", self.at)
    }

    fn wants_login(&self, code: u16) -> String {
        let look = "check smtp.security and smtp.username";
        format!("{} wants TLS or a login first ({code}): {look}", self.at)
    }

    /// The connection did not come about, or broke.
    fn broken_off(&self, stage: Stage, error: &io::Error) -> String {
        use io::ErrorKind as Kind;
        let Self { at, host, .. } = self;
        match insecure(error) {
            Some(Insecure::Certificate(why)) => {
                return format!(
                    "the TLS certificate of {at} is not good for {host} ({why}): check smtp.host, or smtp.ca_file for an \
                     authority of your own"
                );
            }
            Some(Insecure::Incompatible) => {
                return format!("{at} and this server know no version of TLS in common");
            }
            Some(Insecure::NotTls) if stage == Stage::Connect => {
                return format!(
                    "{at} does not speak TLS from the first byte: try smtp.security = \"starttls\""
                );
            }
            Some(Insecure::NotTls) | None => {}
        }
        match error.kind() {
            Kind::ConnectionRefused => format!("nothing answers at {at}: check smtp.host and smtp.port"),
            Kind::TimedOut => {
                format!("{at} did not answer in time: check smtp.host, smtp.port and the network")
            }
            Kind::HostUnreachable | Kind::NetworkUnreachable => {
                format!("{at} cannot be reached: check the network")
            }
            _ => format!("{at} broke off"),
        }
    }
}

/// There is no answer.
fn unanswered(stage: Stage, why: String) -> DeliveryError {
    match stage {
        _ if stage.is_transport_wide() => DeliveryError::unreachable(why),
        Stage::Receipt => DeliveryError::unconfirmed(why),
        _ => DeliveryError::deferred(why, None),
    }
}

fn is_about_sender(said: &str) -> bool {
    let said = said.to_lowercase();
    said.contains("sender")
        && ["reject", "denied", "refused", "not allowed", "not owned"].iter().any(|no| said.contains(no))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivery_error(stage: Stage, code: u16, text: &str) -> DeliveryError {
        let settings = config::Smtp { host: "mail.example".to_owned(), ..config::Config::default().smtp };
        let reply = Reply { code, lines: vec![text.to_owned()] };
        Named::new(&settings).delivery_error(stage, &Fault::Said(reply))
    }

    #[test]
    fn what_is_done_depends_on_the_code_and_not_on_the_text() {
        let texts = ["", "ok", "4.3.0 not well", "5.7.1 Sender address rejected", "2.0.0 ok", "sÿä"];
        for text in texts {
            for code in [421, 450, 451, 452, 455, 499, 530] {
                for stage in [Stage::Recipient, Stage::Offer, Stage::Content, Stage::Receipt] {
                    let delivery_error = delivery_error(stage, code, text);
                    assert!(
                        !delivery_error.is_transport_wide() && !delivery_error.is_final(),
                        "{code} {text}: {delivery_error:?}"
                    );
                }
            }
            for code in [500, 550, 551, 552, 553, 554, 556, 571] {
                for stage in [Stage::Recipient, Stage::Offer, Stage::Content, Stage::Receipt] {
                    assert!(delivery_error(stage, code, text).is_final(), "{code} {text}");
                }
            }
            for code in [421, 450, 454, 530, 535, 550, 554] {
                for stage in [Stage::Connect, Stage::StartTls, Stage::Login, Stage::Sender] {
                    assert!(delivery_error(stage, code, text).is_transport_wide(), "{code} {text}");
                }
            }
        }
    }

    #[test]
    fn a_missing_answer_concerns_all_until_the_sender_was_accepted() {
        let named = Named::new(&config::Config::default().smtp);
        for stage in [Stage::Connect, Stage::StartTls, Stage::Login, Stage::Sender] {
            assert!(named.delivery_error(stage, &Fault::Late).is_transport_wide());
        }
        for stage in [Stage::Recipient, Stage::Offer, Stage::Content, Stage::Receipt] {
            let broken = Fault::Broken(io::ErrorKind::UnexpectedEof.into());
            for fault in [Fault::Late, Fault::Garbled, broken] {
                let delivery_error = named.delivery_error(stage, &fault);
                assert!(
                    !delivery_error.is_transport_wide() && !delivery_error.is_final(),
                    "{delivery_error:?}"
                );
            }
        }
    }
}
