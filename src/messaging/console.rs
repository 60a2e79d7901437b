//! The console transport: prints messages in a form that scripts can read.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex, PoisonError},
};

use super::{delivery_error::DeliveryError, outbox::OutboxMessage, texts::text, transport::Transport};
use crate::domain::Message;

pub struct ConsoleTransport<W> {
    out: Arc<Mutex<W>>,
    shop_name: String,
}

impl<W> ConsoleTransport<W> {
    pub fn new(out: W, shop_name: &str) -> Self {
        Self { out: Arc::new(Mutex::new(out)), shop_name: shop_name.to_owned() }
    }
}

impl<W: Write + Send + 'static> Transport for ConsoleTransport<W> {
    async fn send(&self, message: &OutboxMessage) -> Result<(), DeliveryError> {
        let (out, block) = (Arc::clone(&self.out), block(&message.message, &self.shop_name));
        // A full pipe blocks: it must not block anything but messages.
        let printed = tokio::task::spawn_blocking(move || {
            print(&mut *out.lock().unwrap_or_else(PoisonError::into_inner), &block)
        });
        match printed.await {
            Ok(printed) => printed.map_err(|e| DeliveryError::unreachable(format!("standard output: {e}"))),
            Err(_) => Err(DeliveryError::unreachable("standard output: printing was interrupted".to_owned())),
        }
    }
}

fn print(out: &mut impl Write, block: &str) -> io::Result<()> {
    out.write_all(block.as_bytes())?;
    out.flush()
}

fn block(message: &Message, shop_name: &str) -> String {
    let code = message.code.as_ref().map(|code| format!("Code: {code}\n")).unwrap_or_default();
    let link = message.link.as_ref().map(|link| format!("Link: {link}\n")).unwrap_or_default();
    let subject = text(&message.kind, shop_name).subject;
    format!("--- message to {} ---\nSubject: {subject}\n{code}{link}---\n", message.to)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::MessageKind;

    #[test]
    fn a_block_has_what_the_message_has() {
        let message = Message {
            code: Some("123456".to_owned()),
            link: Some("http://localhost:8080/verify?token=abc".to_owned()),
            ..Message::plain("ann@example.com".to_owned(), MessageKind::VerifyEmail)
        };
        insta::assert_snapshot!(block(&message, "Coffee Shop"), @r"
        --- message to ann@example.com ---
        Subject: Confirm your e-mail
        Code: 123456
        Link: http://localhost:8080/verify?token=abc
        ---
        ");
        let notice = block(&Message { code: None, link: None, ..message }, "Coffee Shop");
        assert!(!notice.contains("Code:") && !notice.contains("Link:"));
    }
}
