//! Parts of a PostgreSQL URL: its encoded texts, and its parameters, most of which are refused with what to do instead.

/// Parameters that are not taken over, and what to do instead. `host`, `port`, `options`, `sslmode`, `channel_binding` and
/// `target_session_attrs` are. (<https://www.postgresql.org/docs/current/libpq-connect.html>, section 34.1.2)
const REFUSED: &[(&str, &str)] = &[
    ("user", "must not have the parameter user: write postgres://USER@HOST/DATABASE"),
    ("password", "must not have the parameter password: set database.password"),
    ("dbname", "must not have the parameter dbname: write postgres://USER@HOST/DATABASE"),
    ("hostaddr", "must not have the parameter hostaddr: the host is where to connect"),
    ("passfile", "must not have the parameter passfile: set COFFEESHOP_DATABASE__PASSWORD_FILE"),
    ("sslrootcert", "must not have the parameter sslrootcert: set database.ca"),
    ("sslcert", "must not have the parameter sslcert: log in with database.password"),
    ("sslkey", "must not have the parameter sslkey: log in with database.password"),
    ("application_name", "must not have the parameter application_name: it is always coffeeshop"),
    ("connect_timeout", "must not have the parameter connect_timeout: the timeouts are fixed"),
];

/// Why a text is no usable URL. Fixed texts only, since any part of the URL may belong to a password.
#[derive(Debug, thiserror::Error)]
pub enum NoPostgresUrl {
    #[error("must be a URL such as postgres://coffeeshop@db.example/coffeeshop: {0}")]
    Malformed(&'static str),
    /// The rest of a sentence.
    #[error("{0}")]
    Parameter(&'static str),
}

use NoPostgresUrl::{Malformed, Parameter};

/// The parameters of a URL that are taken over.
#[derive(Default)]
pub(super) struct Parameters {
    pub hosts: Option<String>,
    pub ports: Option<String>,
    pub options: Option<String>,
    pub requires_tls: bool,
}

impl Parameters {
    pub fn parse(query: &str) -> Result<Self, NoPostgresUrl> {
        let mut found = Self::default();
        for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            found.add(name, printable(value)?)?;
        }
        Ok(found)
    }

    fn add(&mut self, name: &str, value: String) -> Result<(), NoPostgresUrl> {
        match (name, value.as_str()) {
            ("host", _) => self.hosts = Some(value),
            ("port", _) => self.ports = Some(value),
            ("options", _) => self.options = Some(value),
            ("sslmode", "require" | "verify-ca" | "verify-full") => self.requires_tls = true,
            ("sslmode", "disable") => {
                return Err(Parameter(
                    "must not have sslmode=disable: leave it out, and set database.tls to off",
                ));
            }
            ("sslmode", "allow" | "prefer") => {
                let why = "must not have sslmode=allow or prefer: leave it out, and set database.tls to verify or off";
                return Err(Parameter(why));
            }
            ("sslmode", _) => {
                return Err(Parameter(
                    "must have no sslmode, or require, verify-ca or verify-full; see database.tls",
                ));
            }
            ("channel_binding", "disable" | "prefer")
            | ("target_session_attrs", "read-write" | "primary") => {}
            ("channel_binding", _) => {
                let why = "must not have channel_binding=require, which is not supported: leave it out; database.tls = \"verify\" checks the server";
                return Err(Parameter(why));
            }
            ("target_session_attrs", _) => {
                return Err(Parameter(
                    "must not have another target_session_attrs than read-write, which is always asked for",
                ));
            }
            _ => {
                let refused = REFUSED.iter().find(|(known, _)| *known == name);
                let why = refused.map_or(
                    "has an unknown parameter: host, port, options, sslmode and target_session_attrs can be used",
                    |(_, why)| *why,
                );
                return Err(Parameter(why));
            }
        }
        Ok(())
    }
}

/// Without encoding, and without control characters: it may be printed.
pub(super) fn printable(text: &str) -> Result<String, NoPostgresUrl> {
    let text = decoded(text)?;
    if text.chars().any(char::is_control) {
        return Err(Malformed("it has a control character"));
    }
    Ok(text)
}

/// Without the encoding of RFC 3986, section 2.1.
pub(super) fn decoded(text: &str) -> Result<String, NoPostgresUrl> {
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let digits = part.get(..2).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(byte.ok_or(Malformed("% must be followed by two hexadecimal digits; itself it is %25"))?);
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    let text = String::from_utf8(bytes).ok().filter(|text| !text.contains('\0'));
    text.ok_or(Malformed("what it encodes with % is no text"))
}
