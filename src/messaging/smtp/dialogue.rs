//! The commands of a dialogue with a mail server (RFC 5321).

use std::time::Duration;

use base64::{Engine, prelude::BASE64_STANDARD};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, BufReader},
    time::{Instant, timeout_at},
};

use super::reply::{Reply, SmtpError};
use crate::messaging::mail::Mail;

const QUIT_TIMEOUT: Duration = Duration::from_secs(1);

/// A connection to a mail server. Every method fails with a timeout after the deadline.
pub struct Dialogue<S> {
    stream: BufReader<S>,
    deadline: Instant,
    /// The lines of the reply to EHLO, in capitals.
    extensions: Vec<String>,
    rejections: u32,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Dialogue<S> {
    /// Waits for the greeting on a new connection.
    pub async fn greeted(stream: S, deadline: Instant) -> Result<Self, SmtpError> {
        let mut dialogue = Self::encrypted(stream, deadline);
        dialogue.reply().await?.expect(2)?;
        Ok(dialogue)
    }

    /// Goes on after STARTTLS: the greeting came before.
    pub fn encrypted(stream: S, deadline: Instant) -> Self {
        Self { stream: BufReader::new(stream), deadline, extensions: Vec::new(), rejections: 0 }
    }

    pub const fn set_deadline(&mut self, deadline: Instant) {
        self.deadline = deadline;
    }

    /// How many commands the server rejected on this connection.
    pub const fn rejections(&self) -> u32 {
        self.rejections
    }

    /// EHLO: learns which extensions the server has.
    pub async fn ehlo(&mut self, name: &str) -> Result<(), SmtpError> {
        let lines = self.command(&format!("EHLO {name}"), 2).await?.lines;
        self.extensions = lines.into_iter().skip(1).map(|line| line.to_ascii_uppercase()).collect();
        Ok(())
    }

    pub fn offers(&self, extension: &str) -> bool {
        self.extensions.iter().any(|line| line.split_whitespace().next() == Some(extension))
    }

    /// STARTTLS: returns the connection, ready for the TLS handshake. Fails if the server sent more than its reply: that would be
    /// taken for a reply under TLS.
    pub async fn start_tls(mut self) -> Result<S, SmtpError> {
        if !self.offers("STARTTLS") {
            return Err(SmtpError::NotOffered);
        }
        self.command("STARTTLS", 2).await?;
        if !self.stream.buffer().is_empty() {
            return Err(SmtpError::UnexpectedReply);
        }
        Ok(self.stream.into_inner())
    }

    /// AUTH PLAIN or AUTH LOGIN (RFC 4954).
    pub async fn log_in(&mut self, username: &str, password: &str) -> Result<(), SmtpError> {
        let encoded = |text: &str| BASE64_STANDARD.encode(text);
        let reply = if self.offers_login("PLAIN") {
            let credentials = encoded(&format!("\0{username}\0{password}"));
            let reply = self.send(&format!("AUTH PLAIN {credentials}")).await?;
            // Some servers ask for the credentials although they came with the command.
            if reply.code / 100 == 3 { self.send(&credentials).await? } else { reply }
        } else if self.offers_login("LOGIN") {
            self.command("AUTH LOGIN", 3).await?;
            self.command(&encoded(username), 3).await?;
            self.send(&encoded(password)).await?
        } else {
            return Err(SmtpError::NotOffered);
        };
        reply.expect(2).map(|_| ())
    }

    fn offers_login(&self, mechanism: &str) -> bool {
        let mut lines = self.extensions.iter().map(|line| line.split([' ', '\t', '=']));
        lines.any(|mut words| words.next() == Some("AUTH") && words.any(|word| word == mechanism))
    }

    /// RSET: fails if the connection cannot be used for another mail.
    pub async fn reset(&mut self) -> Result<(), SmtpError> {
        self.command("RSET", 2).await.map(|_| ())
    }

    /// MAIL FROM: begins a mail.
    pub async fn sender(&mut self, mail: &Mail) -> Result<(), SmtpError> {
        let from = mail.envelope.from().map(AsRef::<str>::as_ref).unwrap_or_default();
        let parameter = if mail.is_international() { " SMTPUTF8" } else { "" };
        self.command(&format!("MAIL FROM:<{from}>{parameter}"), 2).await.map(|_| ())
    }

    /// RCPT TO, for each recipient.
    pub async fn recipients(&mut self, mail: &Mail) -> Result<(), SmtpError> {
        for to in mail.envelope.to() {
            self.command(&format!("RCPT TO:<{to}>"), 2).await?;
        }
        Ok(())
    }

    /// DATA: asks to send the content.
    pub async fn data(&mut self) -> Result<(), SmtpError> {
        self.command("DATA", 3).await.map(|_| ())
    }

    /// Sends the content without the final dot; until that follows, the server does not deliver it.
    pub async fn content(&mut self, mail: &Mail) -> Result<(), SmtpError> {
        self.write(&dot_stuffed(&mail.bytes)).await
    }

    /// Sends the final dot. A reply means that the mail was accepted or rejected; any other error leaves that unknown.
    pub async fn end_of_data(&mut self) -> Result<(), SmtpError> {
        self.command(".", 2).await.map(|_| ())
    }

    async fn command(&mut self, line: &str, class: u16) -> Result<Reply, SmtpError> {
        let reply = self.send(line).await?.expect(class);
        self.rejections += u32::from(reply.is_err());
        reply
    }

    async fn send(&mut self, line: &str) -> Result<Reply, SmtpError> {
        // A reply that came before the command does not belong to it.
        if !self.stream.buffer().is_empty() {
            return Err(SmtpError::UnexpectedReply);
        }
        self.write(format!("{line}\r\n").as_bytes()).await?;
        self.reply().await
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), SmtpError> {
        let stream = self.stream.get_mut();
        let written = timeout_at(self.deadline, async {
            stream.write_all(bytes).await?;
            stream.flush().await
        });
        written.await.map_err(|_| SmtpError::Timeout)?.map_err(SmtpError::Io)
    }

    async fn reply(&mut self) -> Result<Reply, SmtpError> {
        let reply = timeout_at(self.deadline, Reply::read(&mut self.stream));
        reply.await.map_err(|_| SmtpError::Timeout)?
    }
}

/// QUIT, as a courtesy: errors are ignored.
pub async fn quit(mut dialogue: Dialogue<impl AsyncRead + AsyncWrite + Unpin>) {
    dialogue.deadline = Instant::now() + QUIT_TIMEOUT;
    let _ = dialogue.send("QUIT").await;
    let _ = timeout_at(dialogue.deadline, dialogue.stream.shutdown()).await;
}

/// Doubles a dot at the beginning of a line (section 4.5.2).
fn dot_stuffed(mail: &[u8]) -> Vec<u8> {
    let mut stuffed = Vec::with_capacity(mail.len() + 64);
    for line in mail.split_inclusive(|byte| *byte == b'\n') {
        if line.starts_with(b".") {
            stuffed.push(b'.');
        }
        stuffed.extend(line);
    }
    if !stuffed.ends_with(b"\r\n") {
        stuffed.extend(b"\r\n");
    }
    stuffed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dot_at_the_beginning_of_a_line_is_doubled() {
        assert_eq!(dot_stuffed(b"a\r\n.\r\n..b\r\nc."), b"a\r\n..\r\n...b\r\nc.\r\n");
        assert_eq!(dot_stuffed(b".\r\n"), b"..\r\n");
    }
}
