//! The sections of the settings, each key at its default.

use std::{fmt, net::SocketAddr, path::PathBuf};

use serde::{Deserialize, Serialize};

use super::{AllowedOrigin, Period, Proxy, Secret, values};

/// Where it listens, and what it is called outside.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// Address and port to listen on.
    #[serde(deserialize_with = "values::listen")]
    pub listen: SocketAddr,
    /// What people type to get here: links in messages start with it.
    pub public_url: String,
    /// How many connections there may be at a time.
    pub connections: usize,
    /// How many of them one client may have: an IPv4 address or an IPv6 /64; a trusted proxy may have them all.
    pub connections_per_client: usize,
    /// How long the head of a request may take.
    pub head_timeout: Period,
    /// How long a request may take, its body included, and a reader that does not read.
    pub request_timeout: Period,
    /// How long a connection may lie idle between two requests.
    pub idle_timeout: Period,
    /// Networks of proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<Proxy>,
    /// Web pages and apps, by origin, whose scripts may call.
    pub cors_origins: Vec<AllowedOrigin>,
    /// The shop's own page behind verification links; empty: ours.
    pub verify_url: String,
    /// The shop's own page behind reset links; empty: ours.
    pub reset_url: String,
}

/// Where the store is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Database {
    /// The SQLite file; its folder is made if need be.
    pub path: PathBuf,
}

/// Sessions and tokens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Auth {
    /// How long an access token lives.
    pub access_ttl: Period,
    /// How long a session lives after its last refresh.
    pub refresh_ttl: Period,
    /// How long a session lives at most.
    pub session_ttl: Period,
    /// For how long a refresh token may be used again if the reply was lost.
    pub reuse_grace: Period,
    /// The `iss` of tokens; empty: `server.public_url`.
    pub issuer: String,
    /// The `aud` of tokens.
    pub audience: String,
    /// Whether unverified users may log in, with the few rights they have.
    pub allow_unverified_login: bool,
    /// Whether sign-up hides that an address is taken.
    pub hide_taken_emails: bool,
    /// The installation secret: 32 bytes in base64url or hex; empty: a file beside the database.
    pub secret: Secret,
}

/// What passwords must be, and what hashing them costs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Password {
    /// The fewest characters.
    pub min_length: usize,
    /// argon2id's memory in KiB.
    pub memory_kib: u32,
    /// argon2id's passes.
    pub iterations: u32,
    /// argon2id's lanes.
    pub parallelism: u32,
    /// How many hashes are computed at a time; 0: one for each core.
    pub max_concurrent_hashes: usize,
}

/// Codes and links.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verification {
    /// How long a six-digit code lives.
    pub code_ttl: Period,
}

/// Deleting those who never verified.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cleanup {
    /// How long an account may stay unverified.
    pub unverified_after: Period,
    /// When the server cleans up: cron with seconds first, in UTC.
    pub schedule: String,
    /// Whether the server cleans up by itself.
    pub enabled: bool,
}

/// Messages to people.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Messages {
    /// What carries them.
    pub transport: Transport,
    /// The sender, for transports that have one.
    pub from: String,
    /// What the shop is called in messages.
    pub shop_name: String,
    /// The folder that files are written into.
    pub folder: PathBuf,
}

/// What carries messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// Printed on standard output.
    Console,
    /// Sent to a mail server.
    Smtp,
    /// Written into a folder, one file each.
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
    /// Its name.
    pub host: String,
    /// Its port; 0: the usual one.
    pub port: u16,
    /// How nobody listens in.
    pub security: Security,
    /// Who we are there; empty: nobody asks.
    pub username: String,
    /// What proves it.
    pub password: Secret,
    /// Certificates to trust besides those of the public authorities, in PEM: of an authority, or of the server itself;
    /// empty: none.
    pub ca_file: PathBuf,
    /// How long a message may take, and once more its receipt. While many recipients are slow, each has 3 seconds times the
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

/// How nobody listens in on the way to the mail server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Security {
    /// TLS from the first byte.
    Tls,
    /// STARTTLS, and nothing is sent without it.
    StartTls,
    /// Nothing: for a server on this machine alone.
    None,
}

/// Brakes on guessing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateLimit {
    /// Whether there are any.
    pub enabled: bool,
    /// How many wrong passwords in a row an account forgives one client, or one session, before it asks for patience.
    pub login_burst: u32,
    /// How long it takes to forgive one more.
    pub login_refill: Period,
    /// How many wrong passwords an account forgives from anywhere, but for where its owner is logged in.
    pub account_burst: u32,
    /// How long it takes to forgive one more; after twice `login_burst` from one client, too.
    pub account_refill: Period,
    /// How many wrong passwords a client may try at all accounts, how many wrong codes, and how many new passwords it may have
    /// judged.
    pub client_burst: u32,
    /// How long it takes to allow one more; a fifth of that for the last.
    pub client_refill: Period,
    /// How many messages a client may cause without being signed in.
    pub mail_burst: u32,
    /// How long it takes to allow one more.
    pub mail_refill: Period,
    /// How many times an account may log in or change its password, and as often edit itself; an admin may make ten times as
    /// many changes to accounts.
    pub change_burst: u32,
    /// How long it takes to allow one more.
    pub change_refill: Period,
    /// The same for all accounts of one client together, for each of the three by itself.
    pub client_change_burst: u32,
    /// How long it takes to allow one more.
    pub client_change_refill: Period,
}

/// The audit: what was done to accounts, and by whom.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Audit {
    /// How long events are kept.
    pub retention: Period,
}

/// The log, on standard error.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// How a line looks.
    pub format: LogFormat,
    /// What is worth a line.
    pub level: LogLevel,
}

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// For programs: one JSON object a line.
    Json,
}

/// What is worth a line in the log.
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

impl Default for Database {
    fn default() -> Self {
        Self { path: PathBuf::from("data/coffeeshop.db") }
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
    /// OWASP's equivalent minima for argon2id: less memory takes more passes (Password Storage Cheat Sheet).
    pub(super) fn is_strong_enough(&self) -> bool {
        [(47_104, 1), (19_456, 2), (12_288, 3), (9_216, 4), (7_168, 5)]
            .iter()
            .any(|&(memory_kib, iterations)| self.memory_kib >= memory_kib && self.iterations >= iterations)
    }
}
