//! The dialogue with a mail server (RFC 5321). Replies are acted on by their codes alone, whatever text comes with them
//! (section 4.2).

use std::io;

use base64::{Engine, prelude::BASE64_STANDARD};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader},
    time::{Instant, timeout_at},
};

use crate::messaging::mail::Mail;

/// The most bytes of a reply; of a line no more is kept than is needed to act on it and to show it.
const MOST_BYTES: usize = 64 * 1024;
const KEPT_OF_LINE: usize = 512;

/// What a mail server answers: three digits, and text for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The code.
    pub code: u16,
    /// The text, one line each.
    pub lines: Vec<String>,
}

/// Why a dialogue went no further.
#[derive(Debug)]
pub enum Fault {
    /// The server says no.
    Said(Reply),
    /// It did not answer in time.
    Late,
    /// The connection did not come about, or broke.
    Broken(io::Error),
    /// What came is no reply, or none to what was asked.
    Garbled,
    /// The server does not offer what is needed.
    NotOffered,
}

/// A connection to a mail server.
pub struct Dialogue<S> {
    stream: BufReader<S>,
    /// When to stop waiting.
    deadline: Instant,
    /// What the server offers: the lines of its answer to EHLO, in capitals.
    offers: Vec<String>,
    /// How often it said no.
    refusals: u32,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Dialogue<S> {
    /// A dialogue over a connection that was just made.
    ///
    /// # Errors
    /// If the server does not greet.
    pub async fn greeted(stream: S, deadline: Instant) -> Result<Self, Fault> {
        let mut dialogue = Self::secured(stream, deadline);
        dialogue.reply().await?.is(2)?;
        Ok(dialogue)
    }

    /// A dialogue over a connection that was made secret with STARTTLS: the server has greeted before.
    pub fn secured(stream: S, deadline: Instant) -> Self {
        Self { stream: BufReader::new(stream), deadline, offers: Vec::new(), refusals: 0 }
    }

    /// Waits until then and no longer, from now on.
    pub const fn until(&mut self, deadline: Instant) {
        self.deadline = deadline;
    }

    /// How often the server said no.
    pub const fn refusals(&self) -> u32 {
        self.refusals
    }

    /// Says who we are, and hears what the server offers.
    ///
    /// # Errors
    /// If it does not want to hear from us.
    pub async fn hello(&mut self, name: &str) -> Result<(), Fault> {
        let lines = self.ask(&format!("EHLO {name}"), 2).await?.lines;
        self.offers = lines.into_iter().skip(1).map(|line| line.to_ascii_uppercase()).collect();
        Ok(())
    }

    /// Whether the server has an extension.
    pub fn offers(&self, extension: &str) -> bool {
        self.offers.iter().any(|line| line.split_whitespace().next() == Some(extension))
    }

    /// The connection, ready to be made secret.
    ///
    /// # Errors
    /// If the server does not offer that, or says more than it was asked for: that would be taken for a secret.
    pub async fn start_tls(mut self) -> Result<S, Fault> {
        if !self.offers("STARTTLS") {
            return Err(Fault::NotOffered);
        }
        self.ask("STARTTLS", 2).await?;
        if self.stream.buffer().is_empty() { Ok(self.stream.into_inner()) } else { Err(Fault::Garbled) }
    }

    /// Logs in (RFC 4954).
    ///
    /// # Errors
    /// If the server has no way to log in that is known here, or refuses.
    pub async fn log_in(&mut self, username: &str, password: &str) -> Result<(), Fault> {
        let encoded = |text: &str| BASE64_STANDARD.encode(text);
        let reply = if self.takes_login("PLAIN") {
            let proof = encoded(&format!("\0{username}\0{password}"));
            let reply = self.command(&format!("AUTH PLAIN {proof}")).await?;
            // Some servers ask once more for what came with the command.
            if reply.code / 100 == 3 { self.command(&proof).await? } else { reply }
        } else if self.takes_login("LOGIN") {
            self.ask("AUTH LOGIN", 3).await?;
            self.ask(&encoded(username), 3).await?;
            self.command(&encoded(password)).await?
        } else {
            return Err(Fault::NotOffered);
        };
        reply.is(2).map(|_| ())
    }

    fn takes_login(&self, mechanism: &str) -> bool {
        let mut words = self.offers.iter().map(|line| line.split([' ', '\t', '=']));
        words.any(|mut words| words.next() == Some("AUTH") && words.any(|word| word == mechanism))
    }

    /// Asks whether the connection is still good for another mail.
    ///
    /// # Errors
    /// If it is not.
    pub async fn reset(&mut self) -> Result<(), Fault> {
        self.ask("RSET", 2).await.map(|_| ())
    }

    /// Begins a mail: says whom it is from.
    ///
    /// # Errors
    /// If the server takes nothing from there.
    pub async fn begin(&mut self, mail: &Mail) -> Result<(), Fault> {
        let from = mail.envelope.from().map(AsRef::<str>::as_ref).unwrap_or_default();
        let letters = if mail.is_international() { " SMTPUTF8" } else { "" };
        self.ask(&format!("MAIL FROM:<{from}>{letters}"), 2).await.map(|_| ())
    }

    /// Says whom a mail is for.
    ///
    /// # Errors
    /// If the server does not take it.
    pub async fn address(&mut self, mail: &Mail) -> Result<(), Fault> {
        for to in mail.envelope.to() {
            self.ask(&format!("RCPT TO:<{to}>"), 2).await?;
        }
        Ok(())
    }

    /// Asks to hand over the mail itself.
    ///
    /// # Errors
    /// If the server does not want it.
    pub async fn announce_content(&mut self) -> Result<(), Fault> {
        self.ask("DATA", 3).await.map(|_| ())
    }

    /// Hands over the mail itself but for the final dot: without that it is not delivered.
    ///
    /// # Errors
    /// If the connection breaks.
    pub async fn content(&mut self, mail: &Mail) -> Result<(), Fault> {
        self.write(&stuffed(&mail.bytes)).await
    }

    /// Says that the mail is complete, and hears whether it was taken.
    ///
    /// # Errors
    /// If it was not, or if that is not known.
    pub async fn complete(&mut self) -> Result<(), Fault> {
        self.ask(".", 2).await.map(|_| ())
    }

    /// Takes leave; whatever comes of it.
    pub async fn quit(mut self) {
        let _ = self.command("QUIT").await;
        let _ = timeout_at(self.deadline, self.stream.shutdown()).await;
    }

    async fn ask(&mut self, line: &str, class: u16) -> Result<Reply, Fault> {
        let answer = self.command(line).await?.is(class);
        self.refusals += u32::from(answer.is_err());
        answer
    }

    async fn command(&mut self, line: &str) -> Result<Reply, Fault> {
        // An answer to something that was not asked yet is no answer to it.
        if !self.stream.buffer().is_empty() {
            return Err(Fault::Garbled);
        }
        self.write(format!("{line}\r\n").as_bytes()).await?;
        self.reply().await
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let stream = self.stream.get_mut();
        let written = timeout_at(self.deadline, async {
            stream.write_all(bytes).await?;
            stream.flush().await
        });
        written.await.map_err(|_| Fault::Late)?.map_err(Fault::Broken)
    }

    async fn reply(&mut self) -> Result<Reply, Fault> {
        timeout_at(self.deadline, read_reply(&mut self.stream)).await.map_err(|_| Fault::Late)?
    }
}

impl Reply {
    /// The same, if its code is of this class.
    fn is(self, class: u16) -> Result<Self, Fault> {
        match self.code / 100 {
            found if found == class => Ok(self),
            4 | 5 => Err(Fault::Said(self)),
            _ => Err(Fault::Garbled),
        }
    }

    /// Whether the server closes the connection (section 3.8).
    pub const fn closes(&self) -> bool {
        self.code == 421
    }

    /// Whether another try may fare better (section 4.2.1).
    pub const fn is_for_now(&self) -> bool {
        self.code / 100 == 4
    }

    /// The text in one line.
    pub fn text(&self) -> String {
        self.lines.join(" ").trim().to_owned()
    }
}

async fn read_reply(stream: &mut (impl AsyncBufReadExt + Unpin)) -> Result<Reply, Fault> {
    let mut lines = Vec::new();
    let mut bytes_left = MOST_BYTES;
    loop {
        let line = read_line(stream, &mut bytes_left).await?;
        let (code, goes_on, text) = parse(&line).ok_or(Fault::Garbled)?;
        lines.push(text);
        if !goes_on {
            return Ok(Reply { code, lines });
        }
    }
}

/// The next line, or its beginning if it is long, without its end.
async fn read_line(
    stream: &mut (impl AsyncBufReadExt + Unpin),
    bytes_left: &mut usize,
) -> Result<Vec<u8>, Fault> {
    let mut line = Vec::new();
    loop {
        let piece = stream.fill_buf().await.map_err(Fault::Broken)?;
        if piece.is_empty() {
            return Err(Fault::Broken(io::ErrorKind::UnexpectedEof.into()));
        }
        let end = piece.iter().position(|byte| *byte == b'\n');
        let length = end.map_or(piece.len(), |end| end + 1);
        *bytes_left = bytes_left.checked_sub(length).ok_or(Fault::Garbled)?;
        let room = KEPT_OF_LINE.saturating_sub(line.len());
        line.extend(&piece[..length.min(room)]);
        stream.consume(length);
        if end.is_some() {
            line.truncate(line.trim_ascii_end().len());
            return Ok(line);
        }
    }
}

/// The code of a line, whether another line follows, and the text, of which none is needed. What is no UTF-8 is read as
/// Latin-1, where every byte is a letter.
fn parse(line: &[u8]) -> Option<(u16, bool, String)> {
    let (digits, rest) = line.split_at_checked(3)?;
    let digit = |byte: &u8| byte.is_ascii_digit().then(|| u16::from(byte - b'0'));
    let code = digits.iter().try_fold(0, |code, byte| Some(code * 10 + digit(byte)?))?;
    let text = rest.get(1..).unwrap_or_default();
    let text = str::from_utf8(text)
        .map_or_else(|_| text.iter().copied().map(char::from).collect(), ToOwned::to_owned);
    (200..600).contains(&code).then(|| (code, rest.first() == Some(&b'-'), text))
}

/// A mail as it is handed over: lines that begin with a dot have one more (section 4.5.2).
fn stuffed(mail: &[u8]) -> Vec<u8> {
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
    use proptest::prelude::*;

    use super::*;

    fn read(bytes: &[u8]) -> Result<Reply, Fault> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(read_reply(&mut &bytes[..]))
    }

    #[test]
    fn a_reply_is_its_code_whatever_text_comes_with_it() {
        for (bytes, code, text) in [
            (&b"250 ok\r\n"[..], 250, "ok"),
            (b"250\r\n", 250, ""),
            (b"250 \r\n", 250, ""),
            (b"250-\r\n250\r\n", 250, ""),
            (b"250-one\r\n250-two\r\n250 three\r\n", 250, "one two three"),
            (b"550 5.1.1 unbekannter Empf\xe4nger\r\n", 550, "5.1.1 unbekannter Empfänger"),
            ("550 キー\r\n".as_bytes(), 550, "キー"),
            (b"451 2.0.0 this code and that one differ\r\n", 451, "2.0.0 this code and that one differ"),
            (b"250 ok\n", 250, "ok"),
            (b"299 a code of no standard\r\n", 299, "a code of no standard"),
            (b"250\0\0\r\n", 250, "\0"),
        ] {
            let reply = read(bytes).expect("a reply");
            assert_eq!((reply.code, reply.text().as_str()), (code, text), "{}", bytes.escape_ascii());
        }
        let long = [b"250 ", &b"x".repeat(60_000)[..], b"\r\n"].concat();
        assert_eq!(read(&long).expect("a reply").code, 250);
    }

    #[test]
    fn what_is_no_reply_is_none() {
        for bytes in [
            &b"hello\r\n"[..],
            b"25\r\n",
            b"\r\n",
            b"25x ok\r\n",
            b"150 go on\r\n",
            b"650 no\r\n",
            b"+OK\r\n",
        ] {
            assert!(matches!(read(bytes), Err(Fault::Garbled)), "{}", bytes.escape_ascii());
        }
        assert!(matches!(read(&b"250-x\r\n".repeat(20_000)), Err(Fault::Garbled)), "it has to end");
        for bytes in [&b""[..], b"250", b"250 ok", b"250-more\r\n"] {
            assert!(matches!(read(bytes), Err(Fault::Broken(_))), "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn a_dot_at_the_beginning_of_a_line_is_doubled() {
        assert_eq!(stuffed(b"a\r\n.\r\n..b\r\nc."), b"a\r\n..\r\n...b\r\nc.\r\n");
        assert_eq!(stuffed(b".\r\n"), b"..\r\n");
    }

    proptest! {
        #[test]
        fn anything_is_a_reply_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(reply) = read(&bytes) {
                prop_assert!((200..600).contains(&reply.code));
            }
        }
    }
}
