//! The settings: defaults, then `config.toml`, then the environment; checked as a whole before anything starts.

mod load;
mod period;
mod sections;
mod values;

use std::{net::IpAddr, num::NonZero, thread, time::Duration};

use serde::{Deserialize, Serialize};

pub use self::{
    load::ConfigError,
    period::Period,
    sections::{
        Audit, Auth, Cleanup, Database, Log, LogFormat, LogLevel, Messages, Password, RateLimit, Security,
        Server, Smtp, Transport, Verification,
    },
    values::{Proxy, Secret},
};

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
    /// The mail server.
    pub smtp: Smtp,
    /// Brakes on guessing.
    pub rate_limit: RateLimit,
    /// What was done, and by whom.
    pub audit: Audit,
    /// The log.
    pub log: Log,
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
        if self.server.connections == 0 || self.server.connections_per_client == 0 {
            return refuse("server.connections", "and server.connections_per_client must be at least 1");
        }
        if !self.server.cors_origins.iter().all(|origin| is_origin(origin)) {
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
            ("server.head_timeout", self.server.head_timeout, Duration::from_secs(1), Period::minutes(5)),
            (
                "server.request_timeout",
                self.server.request_timeout,
                Duration::from_secs(1),
                Period::minutes(5),
            ),
            ("server.idle_timeout", self.server.idle_timeout, Duration::from_secs(1), Period::minutes(60)),
            ("audit.retention", self.audit.retention, Duration::from_hours(24), Period::days(3650)),
            ("smtp.timeout", self.smtp.timeout, Duration::from_secs(1), Period::seconds(25)),
            (
                "rate_limit.login_refill",
                self.rate_limit.login_refill,
                Duration::from_secs(1),
                Period::days(1),
            ),
            (
                "rate_limit.account_refill",
                self.rate_limit.account_refill,
                Duration::from_secs(1),
                Period::days(1),
            ),
            (
                "rate_limit.client_refill",
                self.rate_limit.client_refill,
                Duration::from_secs(1),
                Period::days(1),
            ),
            ("rate_limit.mail_refill", self.rate_limit.mail_refill, Duration::from_secs(1), Period::days(1)),
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
        if self.messages.transport == Transport::Smtp {
            self.check_smtp()?;
        }
        let limits = &self.rate_limit;
        for (name, burst) in [
            ("rate_limit.login_burst", limits.login_burst),
            ("rate_limit.account_burst", limits.account_burst),
            ("rate_limit.client_burst", limits.client_burst),
            ("rate_limit.mail_burst", limits.mail_burst),
        ] {
            if !(1..=1_000_000).contains(&burst) {
                return refuse(name, "must be from 1 to 1000000");
            }
        }
        Ok(())
    }

    fn check_smtp(&self) -> Result<(), (&'static str, String)> {
        let refuse = |name, why: &str| Err((name, why.to_owned()));
        let smtp = &self.smtp;
        if smtp.host.is_empty() || smtp.host.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return refuse("smtp.host", "must be the name of a mail server when messages.transport is smtp");
        }
        if smtp.security == Security::None && !is_loopback(&smtp.host) {
            return refuse(
                "smtp.security",
                "none is for a mail server on this machine alone: use tls or starttls",
            );
        }
        if smtp.username.is_empty() != smtp.password.reveal().is_none() {
            return refuse("smtp.username", "and smtp.password go together: set both, or neither");
        }
        Ok(())
    }
}

/// This machine, where nobody listens in.
fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

fn or_ours(theirs: &str, public_url: &str, path: &str) -> String {
    if theirs.is_empty() { format!("{public_url}{path}") } else { theirs.to_owned() }
}

/// As browsers send it: lower case, no path, no port where it is the scheme's own.
fn is_origin(text: &str) -> bool {
    let own_port = text.starts_with("https:") && text.ends_with(":443")
        || text.starts_with("http:") && text.ends_with(":80");
    is_url(text) && text.matches('/').count() == 2 && text == text.to_lowercase() && !own_port
}

fn is_url(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    rest.is_some_and(|rest| {
        !rest.is_empty()
            && !rest.starts_with('/')
            && !rest.contains(|c: char| c.is_whitespace() || "?#\"<>\\".contains(c))
    })
}
