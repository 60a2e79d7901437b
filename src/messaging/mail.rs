//! A message as a mail: plain text and HTML, from templates that are checked when they are compiled.

use std::time::UNIX_EPOCH;

use askama::Template;
use lettre::{
    Address,
    address::Envelope,
    message::{Mailbox, MultiPart, header::HeaderName, header::HeaderValue},
};

use super::texts::{MessageText, text};
use crate::{
    domain::{Timestamp, mailbox},
    messaging::outbox::OutboxMessage,
};

/// Who sends mails, and for which shop.
#[derive(Clone, Debug)]
pub struct Sender {
    from: Mailbox,
    shop_name: String,
}

/// A mail, ready for a transport.
pub struct Mail {
    /// From where to where.
    pub envelope: Envelope,
    /// The mail itself: headers and both forms, in ASCII.
    pub bytes: Vec<u8>,
}

impl Mail {
    /// Whether the recipient's address has letters that not every mail server takes; the sender's never has.
    pub fn is_international(&self) -> bool {
        self.envelope.to().iter().any(|address| !AsRef::<str>::as_ref(address).is_ascii())
    }
}

#[derive(Template)]
#[template(path = "mail.txt")]
struct Text<'a> {
    words: &'a MessageText,
    shop_name: &'a str,
    code: Option<Code<'a>>,
    link: Option<Link<'a>>,
}

#[derive(Template)]
#[template(path = "mail.html")]
struct Html<'a> {
    words: &'a MessageText,
    shop_name: &'a str,
    code: Option<Code<'a>>,
    link: Option<Link<'a>>,
}

#[derive(Clone)]
struct Code<'a> {
    text: &'a str,
    until: String,
}

#[derive(Clone)]
struct Link<'a> {
    text: &'a str,
    until: Option<String>,
}

impl Sender {
    /// A sender as `messages.from` says.
    ///
    /// # Errors
    /// If that is no address, or one that only some mail servers take (RFC 6531): no mail would be sure to arrive.
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
            return Err(format!("messages.from: {} has letters before the @ that are not ASCII", from.email));
        }
        Ok(Self { from, shop_name: shop_name.to_owned() })
    }

    /// The address that mails come from.
    pub const fn address(&self) -> &Address {
        &self.from.email
    }

    /// A message as a mail.
    ///
    /// # Errors
    /// In words, if there is no such address, or no mail can be made of it.
    pub fn compose(&self, message: &OutboxMessage) -> Result<Mail, String> {
        const NOT_MADE: &str = "no mail can be made of this message";
        let (entry, message) = (message, &message.message);
        let to = deliverable(&message.to).ok_or("the address cannot be written to")?;
        let words = text(&message.kind, &self.shop_name);
        let code = message.code.as_deref().zip(message.code_until);
        let code = code.map(|(text, until)| Code { text, until: in_words(until) });
        let link = message.link.as_deref();
        let link = link.map(|text| Link { text, until: message.link_until.map(in_words) });
        let shop_name = &self.shop_name;
        let text = Text { words: &words, shop_name, code: code.clone(), link: link.clone() };
        let html = Html { words: &words, shop_name, code, link };
        let render = |rendered: Result<String, askama::Error>| rendered.map_err(|_| NOT_MADE);
        let parts = MultiPart::alternative_plain_html(render(text.render())?, render(html.render())?);
        let id = format!("<{}@{}>", entry.id.0, self.from.email.domain());
        let mail = lettre::Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, to.clone()))
            .subject(words.subject)
            .message_id(Some(id))
            .date(UNIX_EPOCH + entry.written_at.since(Timestamp::from_millis(0)))
            // No out-of-office note in return (RFC 3834, section 5).
            .raw_header(HeaderValue::new(
                HeaderName::new_from_ascii_str("Auto-Submitted"),
                "auto-generated".to_owned(),
            ))
            .multipart(parts)
            .map_err(|_| NOT_MADE)?;
        let envelope = Envelope::new(Some(self.from.email.clone()), vec![to]).map_err(|_| NOT_MADE)?;
        Ok(Mail { envelope, bytes: mail.formatted() })
    }
}

/// The address as mail is delivered to it.
fn deliverable(typed: &str) -> Option<Address> {
    mailbox(typed)?.parse().ok()
}

/// An instant for people: `24 November 2026, 09:30 UTC`.
fn in_words(instant: Timestamp) -> String {
    let time = chrono::DateTime::UNIX_EPOCH + instant.since(Timestamp::from_millis(0));
    time.format("%-d %B %Y, %H:%M UTC").to_string()
}
