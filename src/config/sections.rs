//! The sections of the settings, each key with its default; `config.toml` explains them.

use std::{fmt, net::SocketAddr, path::PathBuf};

use serde::{Deserialize, Serialize};

use super::{AllowedOrigin, Period, Proxy, Secret, values};

/// The listener, and the URLs under which clients reach it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    #[serde(deserialize_with = "values::listen")]
    pub listen: SocketAddr,
    /// Public base URL without a trailing slash.
    pub public_url: String,
    /// The most connections at a time.
    pub connections: usize,
    /// The most connections of one client: an IPv4 address or an IPv6 /64; a trusted proxy may use them all.
    pub connections_per_client: usize,
    /// Timeout of the head of a request.
    pub head_timeout: Period,
    /// Timeout of a request with its body, and again of its response.
    pub request_timeout: Period,
    /// Timeout of a connection between two requests.
    pub idle_timeout: Period,
    /// Networks of proxies whose `X-Forwarded-For` is trusted.
    pub trusted_proxies: Vec<Proxy>,
    pub cors_origins: Vec<AllowedOrigin>,
    /// The shop's own page behind verification links; empty: `/verify`.
    pub verify_url: String,
    /// The shop's own page behind reset links; empty: `/reset`.
    pub reset_url: String,
}

/// Sessions and tokens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Auth {
    pub access_ttl: Period,
    /// Lifetime of a session after its last refresh.
    pub refresh_ttl: Period,
    /// Lifetime of a session in total.
    pub session_ttl: Period,
    /// How long a refresh token may be used a second time, in case the response to its first use was lost.
    pub reuse_grace: Period,
    /// The `iss` of tokens; empty: `server.public_url`.
    pub issuer: String,
    /// The `aud` of tokens.
    pub audience: String,
    pub allow_unverified_login: bool,
    /// Whether sign-up gives the same response for a taken address as for a free one.
    pub hide_taken_emails: bool,
    /// The installation secret: 32 bytes in base64url or hex; empty: a file in the data folder.
    pub secret: Secret,
}

/// The policy for new passwords, and the cost of hashing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Password {
    /// Characters.
    pub min_length: usize,
    /// argon2id's `m`.
    pub memory_kib: u32,
    /// argon2id's `t`.
    pub iterations: u32,
    /// argon2id's `p`.
    pub parallelism: u32,
    /// How many hashes are computed in parallel; 0: one per core.
    pub max_concurrent_hashes: usize,
}

/// Codes and links.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verification {
    /// Lifetime of a six-digit code.
    pub code_ttl: Period,
}

/// The purge of expired data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cleanup {
    /// How long an account may stay unverified.
    pub unverified_after: Period,
    /// Cron with seconds first, in UTC.
    pub schedule: String,
    /// Whether the server purges by itself.
    pub enabled: bool,
}

/// Messages to users.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Messages {
    pub transport: Transport,
    /// The sender of mails.
    pub from: String,
    /// The name of the shop in messages.
    pub shop_name: String,
    /// The folder of the file transport.
    pub folder: PathBuf,
}

/// How messages are delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// Printed on standard output.
    Console,
    /// Sent to a mail server.
    Smtp,
    /// Written to a folder, one file per message.
    File,
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Console => "console",
            Self::Smtp => "smtp",
            Self::File => "file",
        })
    }
}

/// The mail server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Smtp {
    pub host: String,
    /// 0: the usual one.
    pub port: u16,
    pub security: Security,
    /// Empty: no login.
    pub username: String,
    pub password: Secret,
    /// Certificates in PEM to trust besides the public authorities: of an authority, or of the server itself; empty: none.
    pub ca_file: PathBuf,
    /// How long a message may take, and again its receipt. While many recipients are slow, the limit is 3 seconds times the
    /// attempt, up to this.
    pub timeout: Period,
}

impl Smtp {
    /// The port (RFC 8314, section 3.3, and RFC 5321).
    #[must_use]
    pub const fn port(&self) -> u16 {
        match (self.port, self.security) {
            (0, Security::Tls) => 465,
            (0, Security::StartTls) => 587,
            (0, Security::None) => 25,
            (port, _) => port,
        }
    }
}

/// The encryption of the connection to the mail server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Security {
    /// TLS from the first byte.
    Tls,
    /// STARTTLS; nothing is sent without it.
    StartTls,
    /// None: for a mail server on this machine only.
    None,
}

/// Rate limits. A refill is the time until one more is allowed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateLimit {
    pub enabled: bool,
    /// Wrong passwords in a row at one account from one client, or from one session.
    pub login_burst: u32,
    pub login_refill: Period,
    /// Wrong passwords at one account from all clients, but for networks in which its owner is logged in.
    pub account_burst: u32,
    /// Also the refill of one client after twice `login_burst`.
    pub account_refill: Period,
    /// Wrong passwords of one client at all accounts; separately its wrong codes, and its new passwords whose strength is
    /// checked.
    pub client_burst: u32,
    /// A fifth of it for new passwords.
    pub client_refill: Period,
    /// Messages that one client may cause anonymously.
    pub mail_burst: u32,
    pub mail_refill: Period,
    /// Logins and password changes of one account, and separately its edits of itself; an admin has ten times as much for
    /// changes to accounts.
    pub change_burst: u32,
    pub change_refill: Period,
    /// The same for all accounts of one client together, for each of the three separately.
    pub client_change_burst: u32,
    pub client_change_refill: Period,
}

/// The audit log of changes to accounts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Audit {
    pub retention: Period,
}

/// The log, on standard error.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    pub format: LogFormat,
    pub level: LogLevel,
}

/// The format of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    Text,
    /// One JSON object per line.
    Json,
}

/// The lowest level that is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            public_url: "http://localhost:8080".to_owned(),
            connections: 512,
            connections_per_client: 64,
            head_timeout: Period::seconds(10),
            request_timeout: Period::seconds(30),
            idle_timeout: Period::seconds(60),
            trusted_proxies: Vec::new(),
            cors_origins: Vec::new(),
            verify_url: String::new(),
            reset_url: String::new(),
        }
    }
}

impl Default for Auth {
    fn default() -> Self {
        Self {
            access_ttl: Period::minutes(15),
            refresh_ttl: Period::days(30),
            session_ttl: Period::days(90),
            reuse_grace: Period::seconds(10),
            issuer: String::new(),
            audience: "coffeeshop".to_owned(),
            allow_unverified_login: true,
            hide_taken_emails: false,
            secret: Secret::default(),
        }
    }
}

impl Default for Password {
    fn default() -> Self {
        Self { min_length: 8, memory_kib: 19_456, iterations: 2, parallelism: 1, max_concurrent_hashes: 0 }
    }
}

impl Default for Verification {
    fn default() -> Self {
        Self { code_ttl: Period::minutes(30) }
    }
}

impl Default for Cleanup {
    fn default() -> Self {
        Self { unverified_after: Period::days(2), schedule: "0 0 * * * *".to_owned(), enabled: true }
    }
}

impl Default for Messages {
    fn default() -> Self {
        Self {
            transport: Transport::Console,
            from: "Coffee Shop <no-reply@localhost>".to_owned(),
            shop_name: "Coffee Shop".to_owned(),
            folder: PathBuf::from("data/mail"),
        }
    }
}

impl Default for Smtp {
    fn default() -> Self {
        Self {
            host: String::new(),
            port: 0,
            security: Security::Tls,
            username: String::new(),
            password: Secret::default(),
            ca_file: PathBuf::new(),
            timeout: Period::seconds(20),
        }
    }
}

impl Default for RateLimit {
    fn default() -> Self {
        Self {
            enabled: true,
            login_burst: 10,
            login_refill: Period::minutes(1),
            account_burst: 30,
            account_refill: Period::minutes(60),
            client_burst: 500,
            client_refill: Period::seconds(5),
            mail_burst: 500,
            mail_refill: Period::seconds(5),
            change_burst: 1_000,
            change_refill: Period::seconds(30),
            client_change_burst: 10_000,
            client_change_refill: Period::seconds(2),
        }
    }
}

impl Default for Audit {
    fn default() -> Self {
        Self { retention: Period::days(365) }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Text, level: LogLevel::Info }
    }
}

impl Password {
    /// OWASP's equivalent minima for argon2id: less memory needs more iterations (Password Storage Cheat Sheet).
    pub(super) fn is_strong_enough(&self) -> bool {
        [(47_104, 1), (19_456, 2), (12_288, 3), (9_216, 4), (7_168, 5)]
            .iter()
            .any(|&(memory_kib, iterations)| self.memory_kib >= memory_kib && self.iterations >= iterations)
    }
}
