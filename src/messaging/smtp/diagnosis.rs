//! Turns a failure at the mail server into one sentence that tells the operator what to check.

use std::{io, time::Duration};

use super::{
    reply::{Reply, SmtpError},
    tls::{TlsError, tls_error},
};
use crate::{config, messaging::delivery_error::DeliveryError};

/// How far a mail got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// DNS, TCP, TLS from the first byte, greeting, EHLO.
    Connect,
    StartTls,
    Login,
    Sender,
    Recipient,
    /// The command DATA: some servers reject the recipient only here.
    Data,
    Content,
    /// Without the server's confirmation the mail may still have been accepted.
    Confirmation,
}

impl Stage {
    /// Whether no other mail would get further.
    const fn is_transport_wide(self) -> bool {
        matches!(self, Self::Connect | Self::StartTls | Self::Login | Self::Sender)
    }
}

/// What sentences about the mail server need to know of it.
pub struct Diagnosis {
    host: String,
    /// Host and port.
    at: String,
    has_login: bool,
    timeout: Duration,
}

impl Diagnosis {
    pub fn new(settings: &config::Smtp) -> Self {
        let (host, port) = (settings.host.clone(), settings.port());
        let at = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        let has_login = settings.password.reveal().is_some();
        Self { host, at, has_login, timeout: settings.timeout.get() }
    }

    pub fn delivery_error(&self, stage: Stage, error: &SmtpError) -> DeliveryError {
        let at = &self.at;
        match (error, stage) {
            (SmtpError::Rejected(reply), _) if stage.is_transport_wide() => {
                self.rejected_before_recipient(stage, reply)
            }
            (SmtpError::Rejected(reply), _) => self.rejected_mail(stage, reply),
            (SmtpError::Timeout, _) => unanswered(stage, self.timed_out(stage)),
            (SmtpError::Io(error), _) => unanswered(stage, self.connection_failed(stage, error)),
            (SmtpError::NotOffered, Stage::StartTls) => DeliveryError::unreachable(format!(
                "{at} offers no STARTTLS, and nothing is sent in the clear: try smtp.security = \"tls\""
            )),
            (SmtpError::NotOffered, _) => DeliveryError::auth_rejected(
                format!("{at} offers no login method that is supported here: check smtp.security"),
                None,
            ),
            (SmtpError::UnexpectedReply, Stage::Connect) => DeliveryError::unreachable(format!(
                "{at} does not speak SMTP: check smtp.port and smtp.security"
            )),
            (SmtpError::UnexpectedReply, _) => unanswered(stage, format!("{at} sent an unexpected reply")),
        }
    }

    /// The sender of a mail to an address with non-ASCII characters was not accepted.
    ///
    /// Such a sender is sent with the parameter SMTPUTF8, so a rejection says nothing about other mails. Only 555 is about the
    /// parameter (RFC 5321, section 4.1.1.11); any other permanent rejection is about the sender, and the mail waits until the
    /// settings are corrected.
    pub fn international_sender_error(&self, error: &SmtpError) -> DeliveryError {
        match error {
            SmtpError::Rejected(reply) if !reply.is_transient() && ![530, 555].contains(&reply.code) => {
                DeliveryError::deferred(self.sender_rejected(reply.code), Some(reply.text()))
            }
            _ => self.delivery_error(Stage::Recipient, error),
        }
    }

    pub fn no_smtputf8(&self) -> DeliveryError {
        let reason = format!("{} takes no addresses with non-ASCII characters (SMTPUTF8)", self.at);
        DeliveryError::rejected(reason, None)
    }

    /// A recipient took long while other mails had to wait.
    pub fn slow_recipient(&self) -> DeliveryError {
        let reason = format!("{} was slow to accept the recipient while others waited", self.at);
        DeliveryError::deferred(reason, None)
    }

    pub fn unknown_host(&self) -> DeliveryError {
        DeliveryError::unreachable(format!("the name {} cannot be found: check smtp.host", self.host))
    }

    /// Until the sender is accepted, a rejection concerns every mail.
    fn rejected_before_recipient(&self, stage: Stage, reply: &Reply) -> DeliveryError {
        let Self { at, .. } = self;
        let (code, response) = (reply.code, Some(reply.text()));
        match stage {
            Stage::StartTls => {
                DeliveryError::unavailable(format!("{at} refused STARTTLS ({code})"), response)
            }
            // RFC 4954, section 6: servers also send 454 after too many logins.
            _ if reply.is_transient() && (stage, code) != (Stage::Login, 454) => {
                DeliveryError::unavailable(format!("{at} takes no mail for now ({code})"), response)
            }
            _ if code == 530 => DeliveryError::auth_rejected(self.login_required(code), response),
            Stage::Login => {
                let check = "check smtp.username and smtp.password";
                DeliveryError::auth_rejected(format!("{at} refused the login ({code}): {check}"), response)
            }
            Stage::Sender => DeliveryError::auth_rejected(self.sender_rejected(code), response),
            _ => DeliveryError::auth_rejected(
                format!("{at} refuses connections from this server ({code})"),
                response,
            ),
        }
    }

    /// Once the sender is accepted, a rejection concerns this mail.
    fn rejected_mail(&self, stage: Stage, reply: &Reply) -> DeliveryError {
        let (code, text) = (reply.code, reply.text());
        // RFC 4954, section 6, and RFC 3207, section 4: the cause is not this mail.
        if code == 530 {
            return DeliveryError::deferred(self.login_required(code), Some(text));
        }
        let what = if stage == Stage::Recipient { "recipient" } else { "message" };
        let at = &self.at;
        // Many servers reject the sender only when they get the recipient.
        let reason = if is_about_sender(&text) {
            self.sender_rejected(code)
        } else if !self.has_login && text.starts_with("5.7.") {
            format!("{at} refused the {what} ({code}); perhaps it wants a login: smtp.username")
        } else {
            format!("{at} refused the {what} ({code})")
        };
        if reply.is_transient() {
            DeliveryError::deferred(reason, Some(text))
        } else {
            DeliveryError::rejected(reason, Some(text))
        }
    }

    fn sender_rejected(&self, code: u16) -> String {
        format!("{} refused the sender ({code}): check messages.from", self.at)
    }

    fn login_required(&self, code: u16) -> String {
        let check = "check smtp.security and smtp.username";
        format!("{} wants TLS or a login first ({code}): {check}", self.at)
    }

    fn timed_out(&self, stage: Stage) -> String {
        let (at, seconds) = (&self.at, self.timeout.as_secs());
        let check = match stage {
            Stage::Connect | Stage::StartTls => "check smtp.host, smtp.port and smtp.security",
            _ => "smtp.timeout gives it longer",
        };
        let seconds = if seconds == 1 { "1 second".to_owned() } else { format!("{seconds} seconds") };
        format!("{at} did not answer within {seconds}: {check}")
    }

    fn connection_failed(&self, stage: Stage, error: &io::Error) -> String {
        use io::ErrorKind as Kind;
        let Self { at, host, .. } = self;
        match tls_error(error) {
            Some(TlsError::Certificate(why)) => {
                return format!(
                    "the TLS certificate of {at} is not valid for {host} ({why}): check smtp.host, or smtp.ca_file for an \
                     authority of your own"
                );
            }
            Some(TlsError::Incompatible) => {
                return format!("{at} and this server have no version of TLS in common");
            }
            Some(TlsError::NotTls) if stage == Stage::Connect => {
                return format!(
                    "{at} does not speak TLS from the first byte: try smtp.security = \"starttls\""
                );
            }
            Some(TlsError::NotTls) | None => {}
        }
        match error.kind() {
            Kind::ConnectionRefused => format!("nothing answers at {at}: check smtp.host and smtp.port"),
            Kind::TimedOut => {
                format!("{at} did not answer in time: check smtp.host, smtp.port and the network")
            }
            Kind::HostUnreachable | Kind::NetworkUnreachable => {
                format!("{at} cannot be reached: check the network")
            }
            _ => format!("{at} closed the connection"),
        }
    }
}

/// The server did not reply.
fn unanswered(stage: Stage, reason: String) -> DeliveryError {
    match stage {
        _ if stage.is_transport_wide() => DeliveryError::unreachable(reason),
        Stage::Confirmation => DeliveryError::unconfirmed(reason),
        _ => DeliveryError::deferred(reason, None),
    }
}

fn is_about_sender(response: &str) -> bool {
    let response = response.to_lowercase();
    let rejections = ["reject", "denied", "refused", "not allowed", "not owned"];
    response.contains("sender") && rejections.iter().any(|rejection| response.contains(rejection))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivery_error(stage: Stage, code: u16, text: &str) -> DeliveryError {
        let settings = config::Smtp { host: "mail.example".to_owned(), ..config::Config::default().smtp };
        let reply = Reply { code, lines: vec![text.to_owned()] };
        Diagnosis::new(&settings).delivery_error(stage, &SmtpError::Rejected(reply))
    }

    #[test]
    fn what_is_done_depends_on_the_code_and_not_on_the_text() {
        let texts = ["", "ok", "4.3.0 not well", "5.7.1 Sender address rejected", "2.0.0 ok", "sÿä"];
        for text in texts {
            for code in [421, 450, 451, 452, 455, 499, 530] {
                for stage in [Stage::Recipient, Stage::Data, Stage::Content, Stage::Confirmation] {
                    let delivery_error = delivery_error(stage, code, text);
                    assert!(
                        !delivery_error.is_transport_wide() && !delivery_error.is_final(),
                        "{code} {text}: {delivery_error:?}"
                    );
                }
            }
            for code in [500, 550, 551, 552, 553, 554, 556, 571] {
                for stage in [Stage::Recipient, Stage::Data, Stage::Content, Stage::Confirmation] {
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
        let diagnosis = Diagnosis::new(&config::Config::default().smtp);
        for stage in [Stage::Connect, Stage::StartTls, Stage::Login, Stage::Sender] {
            assert!(diagnosis.delivery_error(stage, &SmtpError::Timeout).is_transport_wide());
        }
        for stage in [Stage::Recipient, Stage::Data, Stage::Content, Stage::Confirmation] {
            let broken = SmtpError::Io(io::ErrorKind::UnexpectedEof.into());
            for error in [SmtpError::Timeout, SmtpError::UnexpectedReply, broken] {
                let delivery_error = diagnosis.delivery_error(stage, &error);
                assert!(
                    !delivery_error.is_transport_wide() && !delivery_error.is_final(),
                    "{delivery_error:?}"
                );
            }
        }
    }
}
