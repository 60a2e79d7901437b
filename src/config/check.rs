//! Validates values of the right type: an invalid one is rejected in one line that quotes it and names the rule.

use std::{fmt::Display, path::Path};

use super::{
    Config, ConfigError, Period, Security, Transport,
    page::is_page,
    values::{is_loopback, quoted},
};

const SECRET_HINT: &str = "set COFFEESHOP_AUTH__SECRET_FILE; after a move, to the old coffeeshop.secret";

/// A setting, and why it is rejected.
pub(super) type Wrong = (&'static str, String);

impl Config {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        self.check_values().map_err(|(name, why)| ConfigError::new(name, why))?;
        if self.database.url.is_some() && self.auth.secret.reveal().is_none() {
            let why = "must be set beside database.url, since several machines share no data folder";
            return Err(ConfigError::new("auth.secret", why).with_hint(SECRET_HINT));
        }
        Ok(())
    }

    fn check_values(&self) -> Result<(), Wrong> {
        self.check_server()?;
        self.check_periods()?;
        self.check_password()?;
        self.check_messages()?;
        self.check_limits()?;
        self.database.check()?;
        if self.auth.audience.is_empty() {
            return refuse("auth.audience", "", "must be a word such as coffeeshop");
        }
        self.check_effects()
    }

    fn check_server(&self) -> Result<(), Wrong> {
        let server = &self.server;
        if !is_page(&server.public_url) || server.public_url.contains(['?', '#']) {
            let why = "must be a URL such as https://shop.example, without query or fragment";
            return refuse("server.public_url", &server.public_url, why);
        }
        if server.public_url.ends_with('/') {
            return refuse("server.public_url", &server.public_url, "must not end in a slash");
        }
        if ["://0.0.0.0", "://[::]"].iter().any(|host| server.public_url.contains(host)) {
            let why = "is an address to listen on, not a public base URL";
            return refuse("server.public_url", &server.public_url, why);
        }
        for (name, url) in
            [("server.verify_url", &server.verify_url), ("server.reset_url", &server.reset_url)]
        {
            if !(url.is_empty() || is_page(url)) {
                return refuse(name, url, "must be a URL such as https://shop.example/#/verify");
            }
        }
        for (name, number) in [
            ("server.connections", server.connections),
            ("server.connections_per_client", server.connections_per_client),
        ] {
            if number == 0 {
                return refuse(name, number, "must be at least 1");
            }
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
            ("rate_limit.change_refill", limits.change_refill, SECOND, DAY),
            ("rate_limit.client_change_refill", limits.client_change_refill, SECOND, DAY),
            ("audit.retention", self.audit.retention, DAY, Period::days(3650)),
        ] {
            if !(least..=most).contains(&period) {
                return refuse(name, period, &format!("must be from {least} to {most}"));
            }
        }
        Ok(())
    }

    fn check_password(&self) -> Result<(), Wrong> {
        let password = &self.password;
        let (memory, iterations) = (password.memory_kib, password.iterations);
        if !(8..=256).contains(&password.min_length) {
            return refuse("password.min_length", password.min_length, "must be from 8 to 256");
        }
        if !password.is_strong_enough() {
            let why = format!(
                "with password.iterations = {iterations} is weaker than OWASP's minimum for argon2id (19456 KiB with 2 iterations)"
            );
            return refuse("password.memory_kib", memory, &why);
        }
        if memory > 4 * 1024 * 1024 || iterations > 100 {
            let why = format!("with password.iterations = {iterations} would take too long for a login");
            return refuse("password.memory_kib", memory, &why);
        }
        if !(1..=16).contains(&password.parallelism) {
            return refuse("password.parallelism", password.parallelism, "must be from 1 to 16");
        }
        if password.max_concurrent_hashes > 256 {
            let name = "password.max_concurrent_hashes";
            return refuse(name, password.max_concurrent_hashes, "must be at most 256");
        }
        Ok(())
    }

    fn check_messages(&self) -> Result<(), Wrong> {
        let (messages, smtp) = (&self.messages, &self.smtp);
        let name = &messages.shop_name;
        if name.is_empty() || name.chars().nth(100).is_some() {
            return refuse("messages.shop_name", name, "must be a line of text, of at most 100 characters");
        }
        if messages.transport == Transport::File && messages.folder.as_os_str().is_empty() {
            return refuse("messages.folder", "", "must be a folder when messages.transport is file");
        }
        if messages.transport != Transport::Smtp {
            return Ok(());
        }
        if smtp.host.is_empty() || smtp.host.contains(char::is_whitespace) {
            let why = "must be the name of a mail server when messages.transport is smtp";
            return refuse("smtp.host", &smtp.host, why);
        }
        if smtp.security == Security::None && !is_loopback(&smtp.host) {
            let why =
                format!("is for a mail server on this machine only, not {}: use tls or starttls", smtp.host);
            return refuse("smtp.security", "none", &why);
        }
        match (smtp.username.is_empty(), smtp.password.reveal().is_none()) {
            (true, false) => {
                Err(("smtp.username", "is empty and smtp.password is set: set both, or neither".to_owned()))
            }
            (false, true) => {
                Err(("smtp.password", "is empty and smtp.username is set: set both, or neither".to_owned()))
            }
            _ => Ok(()),
        }
    }

    /// Rejects settings that have no effect beside the others. A default is no mistake, and neither is a section that is
    /// disabled by its `enabled`.
    fn check_effects(&self) -> Result<(), Wrong> {
        let (auth, messages, smtp) = (&self.auth, &self.messages, &self.smtp);
        let default = Self::default();
        let is_set = |period: Period, default: Period| period != default;
        if is_set(auth.refresh_ttl, default.auth.refresh_ttl) && auth.refresh_ttl > auth.session_ttl {
            let why = format!(
                "is longer than auth.session_ttl, {}, after which a session ends in any case",
                auth.session_ttl
            );
            return refuse("auth.refresh_ttl", auth.refresh_ttl, &why);
        }
        let session = auth.refresh_ttl.min(auth.session_ttl);
        if is_set(auth.access_ttl, default.auth.access_ttl) && auth.access_ttl > session {
            let why = format!("is longer than the lifetime of a session without a refresh, {session}");
            return refuse("auth.access_ttl", auth.access_ttl, &why);
        }
        let transport = messages.transport;
        if transport != Transport::Smtp && !smtp.host.is_empty() {
            let why = format!(
                "has no effect while messages.transport is {transport}: set that to smtp, or this to \"\""
            );
            return refuse("smtp.host", &smtp.host, &why);
        }
        if transport != Transport::File && messages.folder != default.messages.folder {
            let why = format!(
                "has no effect while messages.transport is {transport}: set that to file, or leave this out"
            );
            return refuse("messages.folder", shown(&messages.folder), &why);
        }
        if transport == Transport::Smtp
            && smtp.security == Security::None
            && !smtp.ca_file.as_os_str().is_empty()
        {
            return refuse("smtp.ca_file", shown(&smtp.ca_file), "has no effect while smtp.security is none");
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
            ("rate_limit.change_burst", limits.change_burst),
            ("rate_limit.client_change_burst", limits.client_change_burst),
        ] {
            if !(1..=1_000_000).contains(&burst) {
                return refuse(name, burst, "must be from 1 to 1000000");
            }
        }
        Ok(())
    }
}

pub(super) fn refuse(name: &'static str, value: impl Display, why: &str) -> Result<(), Wrong> {
    let value = value.to_string();
    Err((name, format!("{} {why}", quoted(&value))))
}

pub(super) fn shown(path: &Path) -> impl Display {
    path.display()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(variables: &[(&str, &str)]) -> Result<Config, String> {
        let variables =
            variables.iter().map(|(name, value)| (format!("COFFEESHOP_{name}").into(), value.into()));
        Config::load(None, variables).map_err(|e| e.to_string())
    }

    #[test]
    fn a_setting_without_effect_is_named_in_one_line() {
        let wrong: [&[(&str, &str)]; 6] = [
            &[("AUTH__REFRESH_TTL", "120d")],
            &[("AUTH__ACCESS_TTL", "2h"), ("AUTH__SESSION_TTL", "1h")],
            &[("SMTP__HOST", "mail.example")],
            &[("SMTP__HOST", "mail.example"), ("MESSAGES__TRANSPORT", "file")],
            &[("MESSAGES__FOLDER", "mails")],
            &[
                ("MESSAGES__TRANSPORT", "smtp"),
                ("SMTP__HOST", "localhost"),
                ("SMTP__SECURITY", "none"),
                ("SMTP__CA_FILE", "ca.pem"),
            ],
        ];
        let lines: Vec<_> = wrong.iter().map(|variables| all(variables).expect_err("wrong")).collect();
        insta::assert_snapshot!(lines.join("\n"), @r#"
        auth.refresh_ttl: 120d is longer than auth.session_ttl, 90d, after which a session ends in any case
        auth.access_ttl: 2h is longer than the lifetime of a session without a refresh, 1h
        smtp.host: mail.example has no effect while messages.transport is console: set that to smtp, or this to ""
        smtp.host: mail.example has no effect while messages.transport is file: set that to smtp, or this to ""
        messages.folder: mails has no effect while messages.transport is console: set that to file, or leave this out
        smtp.ca_file: ca.pem has no effect while smtp.security is none
        "#);
    }

    #[test]
    fn a_default_and_a_disabled_section_may_have_no_effect() {
        let good: [&[(&str, &str)]; 5] = [
            &[("AUTH__SESSION_TTL", "5m")],
            &[("AUTH__REFRESH_TTL", "90d")],
            &[("CLEANUP__ENABLED", "false"), ("CLEANUP__SCHEDULE", "0 0 3 * * *")],
            &[("RATE_LIMIT__ENABLED", "false"), ("RATE_LIMIT__LOGIN_BURST", "5")],
            &[("SMTP__HOST", ""), ("SMTP__PORT", "25"), ("MESSAGES__TRANSPORT", "console")],
        ];
        for variables in good {
            all(variables).expect("good");
        }
    }
}
