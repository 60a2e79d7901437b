//! Composes a mail from a message: plain text and HTML.

use std::time::UNIX_EPOCH;

use askama::Template;
use lettre::{
    Address,
    address::Envelope,
    message::{Mailbox, MultiPart, header::HeaderName, header::HeaderValue},
};

use super::{
    outbox::OutboxMessage,
    texts::{MessageText, text},
};
use crate::domain::{Timestamp, mailbox};

/// The sender of all mails.
#[derive(Clone, Debug)]
pub struct Sender {
    from: Mailbox,
    shop_name: String,
}

/// A mail, ready for a transport.
pub struct Mail {
    pub envelope: Envelope,
    /// Headers and body, in ASCII.
    pub bytes: Vec<u8>,
}

impl Mail {
    /// Whether the recipient's address has non-ASCII characters, which not every mail server accepts. The sender's never has.
    pub fn is_international(&self) -> bool {
        self.envelope.to().iter().any(|address| !AsRef::<str>::as_ref(address).is_ascii())
    }
}

#[derive(Template)]
#[template(path = "mail.txt")]
struct Text<'a> {
    mail: &'a Content<'a>,
}

#[derive(Template)]
#[template(path = "mail.html")]
struct Html<'a> {
    mail: &'a Content<'a>,
}

/// What both forms of a mail say.
struct Content<'a> {
    message: &'a MessageText,
    shop_name: &'a str,
    code: Option<Code<'a>>,
    link: Option<Link<'a>>,
}

struct Code<'a> {
    text: &'a str,
    until: String,
}

struct Link<'a> {
    text: &'a str,
    until: Option<String>,
}

impl Sender {
    /// Parses `messages.from`.
    ///
    /// # Errors
    /// Startup error, shown to the operator, if it is no address, or one that not every mail server accepts (RFC 6531).
    pub fn new(from: &str, shop_name: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "messages.from: {from} is no address such as Coffee Shop <no-reply@shop.example> (a name with a comma \
                 goes in quotes)"
            )
        };
        let mut from: Mailbox = from.parse().map_err(|_| wrong())?;
        from.email = deliverable(from.email.as_ref()).ok_or_else(wrong)?;
        if !from.email.user().is_ascii() {
            return Err(format!("messages.from: {} has non-ASCII characters before the @", from.email));
        }
        Ok(Self { from, shop_name: shop_name.to_owned() })
    }

    pub const fn address(&self) -> &Address {
        &self.from.email
    }

    /// # Errors
    /// The reason, for `DeliveryError::rejected`, if the recipient's address cannot be used.
    pub fn compose(&self, message: &OutboxMessage) -> Result<Mail, String> {
        const CANNOT_COMPOSE: &str = "the mail cannot be composed";
        let OutboxMessage { id, created_at, message, .. } = message;
        let to = deliverable(&message.to).ok_or("mail cannot be sent to this address")?;
        let text = text(&message.kind, &self.shop_name);
        let code = message.code.as_deref().zip(message.code_until);
        let code = code.map(|(text, until)| Code { text, until: human_time(until) });
        let link = message.link.as_deref();
        let link = link.map(|text| Link { text, until: message.link_until.map(human_time) });
        let mail = Content { message: &text, shop_name: &self.shop_name, code, link };
        let (plain, html) = (Text { mail: &mail }, Html { mail: &mail });
        let render = |rendered: Result<String, askama::Error>| rendered.map_err(|_| CANNOT_COMPOSE);
        let parts = MultiPart::alternative_plain_html(render(plain.render())?, render(html.render())?);
        let mail = lettre::Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, to.clone()))
            .subject(text.subject)
            .message_id(Some(format!("<{}@{}>", id.0, self.from.email.domain())))
            .date(UNIX_EPOCH + created_at.since(Timestamp::from_millis(0)))
            // Prevents automatic replies (RFC 3834, section 5).
            .raw_header(HeaderValue::new(
                HeaderName::new_from_ascii_str("Auto-Submitted"),
                "auto-generated".to_owned(),
            ))
            .multipart(parts)
            .map_err(|_| CANNOT_COMPOSE)?;
        let envelope = Envelope::new(Some(self.from.email.clone()), vec![to]).map_err(|_| CANNOT_COMPOSE)?;
        Ok(Mail { envelope, bytes: mail.formatted() })
    }
}

fn deliverable(typed: &str) -> Option<Address> {
    mailbox(typed)?.parse().ok()
}

/// For example `24 November 2026, 09:30 UTC`.
fn human_time(instant: Timestamp) -> String {
    let time = chrono::DateTime::UNIX_EPOCH + instant.since(Timestamp::from_millis(0));
    time.format("%-d %B %Y, %H:%M UTC").to_string()
}
