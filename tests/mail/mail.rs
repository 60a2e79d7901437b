//! A mail as it arrived, read as a mail program reads it.

use base64::{Engine, prelude::BASE64_STANDARD};

/// A mail.
#[derive(Clone)]
pub struct Mail {
    /// To whom the envelope was.
    pub to: String,
    /// From whom it was.
    pub from: String,
    /// All of it, as the server keeps it: with lines that end in LF.
    pub raw: Vec<u8>,
    /// The type of the whole, such as `multipart/alternative`.
    pub kind: String,
    /// The form in plain text.
    pub text: String,
    /// The form in HTML.
    pub html: String,
    headers: Vec<(String, String)>,
}

impl Mail {
    /// Reads a file of the server's.
    pub fn read(raw: Vec<u8>) -> Self {
        let whole = String::from_utf8_lossy(&raw).into_owned();
        let (headers, body) = split(&whole);
        let parts = parts(&headers, body);
        let part = |kind: &str| {
            let found = parts.iter().find(|(of, _)| of == kind);
            found.map(|(_, content)| content.clone()).unwrap_or_default()
        };
        let (text, html) = (part("text/plain"), part("text/html"));
        let kind = kind(&headers);
        let mut mail = Self { to: String::new(), from: String::new(), raw, kind, text, html, headers };
        mail.to = mail.header("X-Original-To").to_owned();
        mail.from = mail.header("Return-Path").trim_matches(['<', '>']).to_owned();
        mail
    }

    /// A header as it is written, in one line; empty, if there is none.
    pub fn header(&self, name: &str) -> &str {
        header(&self.headers, name)
    }

    /// Every header of this name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers
            .iter()
            .filter(move |(of, _)| of.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The names of the headers that the sender wrote, in their order.
    pub fn names(&self) -> Vec<&str> {
        let added = ["Return-Path", "X-Original-To", "Delivered-To", "Received"];
        self.headers.iter().map(|(name, _)| name.as_str()).filter(|name| !added.contains(name)).collect()
    }

    /// A header as it is shown.
    pub fn shown(&self, name: &str) -> String {
        words(self.header(name))
    }

    /// What is the same at every attempt to send it.
    pub fn message_id(&self) -> &str {
        self.header("Message-ID")
    }

    /// The code in the plain text; empty, if there is none.
    pub fn code(&self) -> String {
        let lines = self.text.lines().map(str::trim);
        let mut codes =
            lines.filter(|line| line.len() == 6 && line.bytes().all(|byte| byte.is_ascii_digit()));
        codes.next().unwrap_or_default().to_owned()
    }

    /// The link in the plain text; empty, if there is none.
    pub fn link(&self) -> String {
        let mut lines = self.text.lines().map(str::trim);
        lines.find(|line| line.starts_with("http")).unwrap_or_default().to_owned()
    }

    /// The link in the HTML; empty, if there is none.
    pub fn link_in_html(&self) -> String {
        let href = self.html.split_once("href=\"").and_then(|(_, rest)| rest.split_once('"'));
        href.map(|(link, _)| unescaped(link)).unwrap_or_default()
    }

    /// The token in the link.
    pub fn token(&self) -> String {
        self.link().split_once("token=").map(|(_, token)| token.to_owned()).unwrap_or_default()
    }

    /// What the server calls it: names sort as the mails came in.
    pub(super) fn queue_id(&self) -> &str {
        let received = self.header("Received");
        received
            .split_once(" id ")
            .map(|(_, rest)| rest.split([' ', '\t', ';']).next().unwrap())
            .unwrap_or_default()
    }
}

type Headers = Vec<(String, String)>;

/// The headers, each in one line, and what follows them.
fn split(text: &str) -> (Headers, &str) {
    let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
    let mut headers: Headers = Vec::new();
    for line in head.lines() {
        match (headers.last_mut(), line.split_once(':')) {
            (Some((_, value)), _) if line.starts_with([' ', '\t']) => {
                value.push_str(line);
            }
            (_, Some((name, value))) => headers.push((name.to_owned(), value.trim().to_owned())),
            _ => panic!("no header: {line:?}"),
        }
    }
    (headers, body)
}

fn header<'a>(headers: &'a Headers, name: &str) -> &'a str {
    let found = headers.iter().find(|(of, _)| of.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.as_str()).unwrap_or_default()
}

fn kind(headers: &Headers) -> String {
    header(headers, "Content-Type").split(';').next().unwrap_or_default().trim().to_lowercase()
}

/// Every part that is no heap of parts itself, with its type, decoded.
fn parts(headers: &Headers, body: &str) -> Vec<(String, String)> {
    let kind = kind(headers);
    if !kind.starts_with("multipart/") {
        let content = match header(headers, "Content-Transfer-Encoding").to_lowercase().as_str() {
            "quoted-printable" => text(quoted(body, false)),
            "base64" => text(BASE64_STANDARD.decode(body.split_whitespace().collect::<String>()).unwrap()),
            _ => body.to_owned(),
        };
        return vec![(kind, content)];
    }
    let (_, boundary) = header(headers, "Content-Type").split_once("boundary=").unwrap();
    let boundary = format!("\n--{}", boundary.split(';').next().unwrap().trim_matches('"'));
    let body = format!("\n{body}");
    let (inside, _) = body.split_once(&format!("{boundary}--")).expect("the last boundary");
    inside
        .split(&format!("{boundary}\n"))
        .skip(1)
        .flat_map(|part| {
            let (headers, body) = split(part);
            parts(&headers, body)
        })
        .collect()
}

/// Quoted-printable (RFC 2045, section 6.7), or the `Q` of a header, where a blank is an underline.
fn quoted(text: &str, in_header: bool) -> Vec<u8> {
    let text = text.replace("=\n", "");
    let mut bytes = text.bytes();
    let mut plain = Vec::new();
    while let Some(byte) = bytes.next() {
        plain.push(match byte {
            b'=' => {
                let digits = [bytes.next().unwrap(), bytes.next().unwrap()];
                u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
            }
            b'_' if in_header => b' ',
            byte => byte,
        });
    }
    plain
}

/// A header with encoded words (RFC 2047) as it is shown. Each is a word of its own; blanks between two count for nothing.
fn words(value: &str) -> String {
    let mut shown = String::new();
    let mut after_encoded = false;
    for word in value.split(' ') {
        let decoded = decoded(word);
        if !(shown.is_empty() || after_encoded && decoded.is_some()) {
            shown.push(' ');
        }
        after_encoded = decoded.is_some();
        shown.push_str(&decoded.unwrap_or_else(|| word.to_owned()));
    }
    shown
}

fn decoded(word: &str) -> Option<String> {
    let (encoding, content) = word.strip_prefix("=?utf-8?")?.strip_suffix("?=")?.split_once('?')?;
    Some(text(match encoding {
        "b" => BASE64_STANDARD.decode(content).unwrap(),
        "q" => quoted(content, true),
        _ => return None,
    }))
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

/// HTML without what stands for its own signs.
fn unescaped(html: &str) -> String {
    let signs =
        [("&#38;", "&"), ("&amp;", "&"), ("&#60;", "<"), ("&#62;", ">"), ("&#34;", "\""), ("&#39;", "'")];
    signs.iter().fold(html.to_owned(), |text, (name, sign)| text.replace(name, sign))
}
