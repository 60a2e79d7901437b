//! The settings: defaults, then `config.toml`, then the environment; checked as a whole before anything starts.

mod load;
mod period;

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    num::NonZero,
    path::PathBuf,
    thread,
    time::Duration,
};

use ipnet::IpNet;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

pub use self::{load::ConfigError, period::Period};

/// Every setting. Each has a default; `config.toml` in the repository explains them all.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where it listens, and what it is called outside.
    pub server: Server,
    /// Where the store is.
    pub database: Database,
    /// Sessions and tokens.
    pub auth: Auth,
    /// What passwords must be, and what hashing them costs.
    pub password: Password,
    /// Codes and links.
    pub verification: Verification,
    /// Deleting those who never verified.
    pub cleanup: Cleanup,
    /// Messages to people.
    pub messages: Messages,
    /// Brakes on guessing.
    pub rate_limit: RateLimit,
    /// The log.
    pub log: Log,
}

/// Where it listens, and what it is called outside.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// Address and port to listen on.
    pub listen: SocketAddr,
    /// What people type to get here: links in messages start with it.
    pub public_url: String,
    /// Networks of proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<Proxy>,
    /// Web pages, by origin, whose scripts may call.
    pub cors_origins: Vec<String>,
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
}

/// What carries messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// Printed on standard output.
    Console,
}

/// Brakes on guessing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateLimit {
    /// Whether there are any.
    pub enabled: bool,
    /// How many wrong passwords in a row an account forgives before it asks for patience.
    pub login_burst: u32,
    /// How long it takes to forgive one more.
    pub login_refill: Period,
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
#[expect(missing_docs, reason = "the usual words")]
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
        }
    }
}

impl Default for RateLimit {
    fn default() -> Self {
        Self { enabled: true, login_burst: 10, login_refill: Period::minutes(1) }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Text, level: LogLevel::Info }
    }
}

impl Config {
    /// The `iss` of tokens.
    #[must_use]
    pub fn issuer(&self) -> &str {
        if self.auth.issuer.is_empty() { &self.server.public_url } else { &self.auth.issuer }
    }

    /// The page behind verification links.
    #[must_use]
    pub fn verify_url(&self) -> String {
        or_ours(&self.server.verify_url, &self.server.public_url, "/verify")
    }

    /// The page behind reset links.
    #[must_use]
    pub fn reset_url(&self) -> String {
        or_ours(&self.server.reset_url, &self.server.public_url, "/reset")
    }

    /// How many hashes are computed at a time.
    #[must_use]
    pub fn concurrent_hashes(&self) -> usize {
        match self.password.max_concurrent_hashes {
            0 => thread::available_parallelism().map_or(1, NonZero::get),
            number => number,
        }
    }

    /// Looks for values that are of the right type and wrong all the same.
    fn check(&self) -> Result<(), (&'static str, String)> {
        let refuse = |name, why: &str| Err((name, why.to_owned()));
        for (name, url) in [
            ("server.public_url", &self.server.public_url),
            ("server.verify_url", &self.server.verify_url),
            ("server.reset_url", &self.server.reset_url),
        ] {
            if !(url.is_empty() && name != "server.public_url" || is_url(url)) {
                return refuse(name, "must be a URL such as https://shop.example, without query or fragment");
            }
        }
        if self.server.public_url.ends_with('/') {
            return refuse("server.public_url", "must not end in a slash");
        }
        if !self.server.cors_origins.iter().all(|origin| is_url(origin) && origin.matches('/').count() == 2) {
            return refuse("server.cors_origins", "must be origins such as https://shop.example");
        }
        let durations = [
            ("auth.access_ttl", self.auth.access_ttl, Duration::from_mins(1), Period::days(1)),
            ("auth.refresh_ttl", self.auth.refresh_ttl, Duration::from_mins(1), Period::days(365)),
            ("auth.session_ttl", self.auth.session_ttl, Duration::from_mins(1), Period::days(365)),
            ("auth.reuse_grace", self.auth.reuse_grace, Duration::ZERO, Period::minutes(1)),
            ("verification.code_ttl", self.verification.code_ttl, Duration::from_mins(1), Period::days(1)),
            (
                "cleanup.unverified_after",
                self.cleanup.unverified_after,
                Duration::from_mins(1),
                Period::days(365),
            ),
            (
                "rate_limit.login_refill",
                self.rate_limit.login_refill,
                Duration::from_secs(1),
                Period::days(1),
            ),
        ];
        for (name, period, least, most) in durations {
            if period.get() < least || period > most {
                let least = Period::from(least);
                return Err((name, format!("must be from {least} to {most}")));
            }
        }
        if self.auth.audience.is_empty() {
            return refuse("auth.audience", "must not be empty");
        }
        if !(8..=256).contains(&self.password.min_length) {
            return refuse("password.min_length", "must be from 8 to 256");
        }
        if !self.password.is_strong_enough() {
            return refuse(
                "password.memory_kib",
                "with these iterations is weaker than OWASP's minimum for argon2id (19456 KiB with 2 iterations)",
            );
        }
        if self.password.memory_kib > 4 * 1024 * 1024 || self.password.iterations > 100 {
            return refuse("password.memory_kib", "with these iterations would take too long for a login");
        }
        if !(1..=16).contains(&self.password.parallelism) {
            return refuse("password.parallelism", "must be from 1 to 16");
        }
        if self.password.max_concurrent_hashes > 256 {
            return refuse("password.max_concurrent_hashes", "must be at most 256");
        }
        if self.messages.shop_name.trim().is_empty() || self.messages.shop_name.chars().any(char::is_control)
        {
            return refuse("messages.shop_name", "must be a line of text");
        }
        if self.messages.from.chars().any(char::is_control) {
            return refuse("messages.from", "must be a line of text");
        }
        if self.rate_limit.login_burst == 0 {
            return refuse("rate_limit.login_burst", "must be at least 1");
        }
        Ok(())
    }
}

impl Password {
    /// OWASP's equivalent minima for argon2id: less memory takes more passes (Password Storage Cheat Sheet).
    fn is_strong_enough(&self) -> bool {
        [(47_104, 1), (19_456, 2), (12_288, 3), (9_216, 4), (7_168, 5)]
            .iter()
            .any(|&(memory_kib, iterations)| self.memory_kib >= memory_kib && self.iterations >= iterations)
    }
}

fn or_ours(theirs: &str, public_url: &str, path: &str) -> String {
    if theirs.is_empty() { format!("{public_url}{path}") } else { theirs.to_owned() }
}

fn is_url(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    rest.is_some_and(|rest| {
        !rest.is_empty()
            && !rest.starts_with('/')
            && !rest.contains(|c: char| c.is_whitespace() || "?#\"<>\\".contains(c))
    })
}

/// A text that is never shown.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// The text, to be used and not to be shown; `None` if there is none.
    #[must_use]
    pub fn reveal(&self) -> Option<&str> {
        Some(self.0.as_str()).filter(|text| !text.is_empty())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "" } else { "(hidden)" })
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{self:?}"))
    }
}

/// A network of proxies: `10.0.0.0/8`, or one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proxy(IpNet);

impl Proxy {
    /// Whether `ip` is one of them.
    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        self.0.contains(&ip)
    }
}

impl Serialize for Proxy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Proxy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let network = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        network.map(Self).map_err(|_| de::Error::custom(format!("{text} is no network such as 10.0.0.0/8")))
    }
}
