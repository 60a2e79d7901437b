//! A mail server's reply (RFC 5321, section 4.2). Only its code is acted on, never its text.

use std::io;

use tokio::io::AsyncBufReadExt;

const MAX_REPLY_BYTES: usize = 64 * 1024;
/// More of a line is neither acted on nor shown.
const MAX_LINE_BYTES: usize = 512;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    pub code: u16,
    /// The text of each line.
    pub lines: Vec<String>,
}

/// Why a dialogue with a mail server ended.
#[derive(Debug)]
pub enum SmtpError {
    Rejected(Reply),
    Timeout,
    /// The connection could not be opened, or broke.
    Io(io::Error),
    /// What came is no reply, or none to the command.
    UnexpectedReply,
    /// The server does not offer what is needed.
    NotOffered,
}

impl Reply {
    /// Reads one reply of one or more lines.
    pub async fn read(stream: &mut (impl AsyncBufReadExt + Unpin)) -> Result<Self, SmtpError> {
        let mut lines = Vec::new();
        let mut bytes_left = MAX_REPLY_BYTES;
        loop {
            let line = read_line(stream, &mut bytes_left).await?;
            let (code, is_last, text) = parse(&line).ok_or(SmtpError::UnexpectedReply)?;
            lines.push(text);
            if is_last {
                return Ok(Self { code, lines });
            }
        }
    }

    /// Returns the reply if its code is of this class, such as 2 for 250.
    pub fn expect(self, class: u16) -> Result<Self, SmtpError> {
        match self.code / 100 {
            found if found == class => Ok(self),
            4 | 5 => Err(SmtpError::Rejected(self)),
            _ => Err(SmtpError::UnexpectedReply),
        }
    }

    /// Whether the server closes the connection (section 3.8).
    pub const fn closes_connection(&self) -> bool {
        self.code == 421
    }

    /// Whether a later attempt may succeed (section 4.2.1).
    pub const fn is_transient(&self) -> bool {
        self.code / 100 == 4
    }

    /// The text in one line.
    pub fn text(&self) -> String {
        self.lines.join(" ").trim().to_owned()
    }
}

/// Reads a line without its end, and drops what is beyond `MAX_LINE_BYTES`.
async fn read_line(
    stream: &mut (impl AsyncBufReadExt + Unpin),
    bytes_left: &mut usize,
) -> Result<Vec<u8>, SmtpError> {
    let mut line = Vec::new();
    loop {
        let chunk = stream.fill_buf().await.map_err(SmtpError::Io)?;
        if chunk.is_empty() {
            return Err(SmtpError::Io(io::ErrorKind::UnexpectedEof.into()));
        }
        let end = chunk.iter().position(|byte| *byte == b'\n');
        let length = end.map_or(chunk.len(), |end| end + 1);
        *bytes_left = bytes_left.checked_sub(length).ok_or(SmtpError::UnexpectedReply)?;
        let room = MAX_LINE_BYTES.saturating_sub(line.len());
        line.extend(&chunk[..length.min(room)]);
        stream.consume(length);
        if end.is_some() {
            line.truncate(line.trim_ascii_end().len());
            return Ok(line);
        }
    }
}

/// Returns the code of a line, whether it is the last, and its text, which may be empty. Text that is not UTF-8 is read as
/// Latin-1, where every byte is a character.
fn parse(line: &[u8]) -> Option<(u16, bool, String)> {
    let (digits, rest) = line.split_at_checked(3)?;
    let digit = |byte: &u8| byte.is_ascii_digit().then(|| u16::from(byte - b'0'));
    let code = digits.iter().try_fold(0, |code, byte| Some(code * 10 + digit(byte)?))?;
    let text = rest.get(1..).unwrap_or_default();
    let text = str::from_utf8(text)
        .map_or_else(|_| text.iter().copied().map(char::from).collect(), ToOwned::to_owned);
    (200..600).contains(&code).then(|| (code, rest.first() != Some(&b'-'), text))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(bytes: &[u8]) -> Result<Reply, SmtpError> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(Reply::read(&mut &bytes[..]))
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
            assert!(matches!(read(bytes), Err(SmtpError::UnexpectedReply)), "{}", bytes.escape_ascii());
        }
        assert!(
            matches!(read(&b"250-x\r\n".repeat(20_000)), Err(SmtpError::UnexpectedReply)),
            "it has to end"
        );
        for bytes in [&b""[..], b"250", b"250 ok", b"250-more\r\n"] {
            assert!(matches!(read(bytes), Err(SmtpError::Io(_))), "{}", bytes.escape_ascii());
        }
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
