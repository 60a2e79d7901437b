//! Values that are of the right type and wrong all the same.

use std::net::IpAddr;

use super::{Config, Period, Security, Transport};

/// The setting, and what is wrong with it.
type Wrong = (&'static str, String);

impl Config {
    /// Looks at everything.
    pub(super) fn check(&self) -> Result<(), Wrong> {
        self.check_server()?;
        self.check_periods()?;
        self.check_password()?;
        self.check_messages()?;
        self.check_limits()?;
        if self.auth.audience.is_empty() {
            return refuse("auth.audience", "must not be empty");
        }
        Ok(())
    }

    fn check_server(&self) -> Result<(), Wrong> {
        let server = &self.server;
        for (name, url) in [
            ("server.public_url", &server.public_url),
            ("server.verify_url", &server.verify_url),
            ("server.reset_url", &server.reset_url),
        ] {
            if !(url.is_empty() && name != "server.public_url" || is_url(url)) {
                return refuse(name, "must be a URL such as https://shop.example, without query or fragment");
            }
        }
        if server.public_url.ends_with('/') {
            return refuse("server.public_url", "must not end in a slash");
        }
        if server.connections == 0 || server.connections_per_client == 0 {
            return refuse("server.connections", "and server.connections_per_client must be at least 1");
        }
        if !server.cors_origins.iter().all(|origin| is_origin(origin)) {
            return refuse("server.cors_origins", "must be origins such as https://shop.example");
        }
        Ok(())
    }

    fn check_periods(&self) -> Result<(), Wrong> {
        const NONE: Period = Period::seconds(0);
        const SECOND: Period = Period::seconds(1);
        const MINUTE: Period = Period::minutes(1);
        const DAY: Period = Period::days(1);
        const YEAR: Period = Period::days(365);
        let (server, auth, limits) = (&self.server, &self.auth, &self.rate_limit);
        for (name, period, least, most) in [
            ("server.head_timeout", server.head_timeout, SECOND, Period::minutes(5)),
            ("server.request_timeout", server.request_timeout, SECOND, Period::minutes(5)),
            ("server.idle_timeout", server.idle_timeout, SECOND, Period::minutes(60)),
            ("auth.access_ttl", auth.access_ttl, MINUTE, DAY),
            ("auth.refresh_ttl", auth.refresh_ttl, MINUTE, YEAR),
            ("auth.session_ttl", auth.session_ttl, MINUTE, YEAR),
            ("auth.reuse_grace", auth.reuse_grace, NONE, MINUTE),
            ("verification.code_ttl", self.verification.code_ttl, MINUTE, DAY),
            ("cleanup.unverified_after", self.cleanup.unverified_after, MINUTE, YEAR),
            ("smtp.timeout", self.smtp.timeout, SECOND, Period::seconds(25)),
            ("rate_limit.login_refill", limits.login_refill, SECOND, DAY),
            ("rate_limit.account_refill", limits.account_refill, SECOND, DAY),
            ("rate_limit.client_refill", limits.client_refill, SECOND, DAY),
            ("rate_limit.mail_refill", limits.mail_refill, SECOND, DAY),
            ("audit.retention", self.audit.retention, DAY, Period::days(3650)),
        ] {
            if !(least..=most).contains(&period) {
                return Err((name, format!("must be from {least} to {most}")));
            }
        }
        Ok(())
    }

    fn check_password(&self) -> Result<(), Wrong> {
        let password = &self.password;
        if !(8..=256).contains(&password.min_length) {
            return refuse("password.min_length", "must be from 8 to 256");
        }
        if !password.is_strong_enough() {
            return refuse(
                "password.memory_kib",
                "with these iterations is weaker than OWASP's minimum for argon2id (19456 KiB with 2 iterations)",
            );
        }
        if password.memory_kib > 4 * 1024 * 1024 || password.iterations > 100 {
            return refuse("password.memory_kib", "with these iterations would take too long for a login");
        }
        if !(1..=16).contains(&password.parallelism) {
            return refuse("password.parallelism", "must be from 1 to 16");
        }
        if password.max_concurrent_hashes > 256 {
            return refuse("password.max_concurrent_hashes", "must be at most 256");
        }
        Ok(())
    }

    fn check_messages(&self) -> Result<(), Wrong> {
        let (messages, smtp) = (&self.messages, &self.smtp);
        let name = &messages.shop_name;
        if name.trim().is_empty() || name.chars().any(char::is_control) || name.chars().nth(100).is_some() {
            return refuse("messages.shop_name", "must be a line of text, of at most 100 characters");
        }
        if messages.from.chars().any(char::is_control) {
            return refuse("messages.from", "must be a line of text");
        }
        if messages.transport != Transport::Smtp {
            return Ok(());
        }
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

    fn check_limits(&self) -> Result<(), Wrong> {
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
}

fn refuse(name: &'static str, why: &str) -> Result<(), Wrong> {
    Err((name, why.to_owned()))
}

/// This machine, where nobody listens in.
fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
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
