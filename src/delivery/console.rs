//! Prints messages, as blocks that scripts can read: for trying out, and for shops that pipe them on.
//!
//! Simplified: it is the only transport. With more time others stand beside it behind the same trait, SMTP first.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex, PoisonError},
};

use super::Transport;
use crate::model::{Message, MessageId};

/// Prints to `W`.
pub struct Console<W>(Arc<Mutex<W>>);

impl<W> Console<W> {
    /// A transport that prints to `out`.
    pub fn new(out: W) -> Self {
        Self(Arc::new(Mutex::new(out)))
    }
}

impl<W: Write + Send + 'static> Transport for Console<W> {
    async fn send(&mut self, _id: MessageId, message: &Message) -> Result<(), String> {
        let (out, block) = (Arc::clone(&self.0), block(message));
        // A reader that does not read must not hold up anything but messages.
        let printed = tokio::task::spawn_blocking(move || {
            print(&mut *out.lock().unwrap_or_else(PoisonError::into_inner), &block)
        });
        printed.await.map_err(|e| e.to_string())?.map_err(|e| e.to_string())
    }
}

fn print(out: &mut impl Write, block: &str) -> io::Result<()> {
    out.write_all(block.as_bytes())?;
    out.flush()
}

fn block(message: &Message) -> String {
    let code = message.code.as_ref().map(|code| format!("Code: {code}\n")).unwrap_or_default();
    let link = message.link.as_ref().map(|link| format!("Link: {link}\n")).unwrap_or_default();
    format!("--- message to {} ---\nSubject: {}\n{code}{link}---\n", message.to, message.subject)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_has_what_the_message_has() {
        let message = Message {
            to: "ann@example.com".to_owned(),
            subject: "Confirm your e-mail".to_owned(),
            code: Some("123456".to_owned()),
            link: Some("http://localhost:8080/verify?token=abc".to_owned()),
        };
        insta::assert_snapshot!(block(&message), @r"
        --- message to ann@example.com ---
        Subject: Confirm your e-mail
        Code: 123456
        Link: http://localhost:8080/verify?token=abc
        ---
        ");
        let notice = Message { code: None, link: None, ..message };
        assert!(!block(&notice).contains("Code:") && !block(&notice).contains("Link:"));
    }
}
