//! The settings: defaults, overridden by `config.toml`, overridden by the environment; validated as a whole before anything starts.

mod check;
mod check_database;
mod database;
mod error;
mod load;
mod names;
mod origin;
mod page;
mod period;
mod postgres_url;
pub mod secret_file;
mod sections;
mod text;
mod url_parts;
mod values;

use std::{num::NonZero, path::PathBuf, thread};

use serde::{Deserialize, Serialize};

pub use self::{
    database::{Database, Engine, Postgres, Tls},
    error::ConfigError,
    origin::{AllowedOrigin, NoOrigin},
    period::Period,
    postgres_url::{Host, PostgresUrl},
    sections::{
        Audit, Auth, Cleanup, Log, LogFormat, LogLevel, Messages, Password, RateLimit, Security, Server,
        Smtp, Transport, Verification,
    },
    url_parts::NoPostgresUrl,
    values::{Proxy, Secret},
};

/// Every setting; `config.toml` in the repository explains them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The settings file that was read, if any.
    #[serde(skip)]
    pub file: Option<PathBuf>,
    /// Files with secrets that other users of the machine can read: a warning per file.
    #[serde(skip)]
    pub exposed: Vec<String>,
    pub server: Server,
    pub database: Database,
    pub auth: Auth,
    pub password: Password,
    pub verification: Verification,
    pub cleanup: Cleanup,
    pub messages: Messages,
    pub smtp: Smtp,
    pub rate_limit: RateLimit,
    pub audit: Audit,
    pub log: Log,
}

impl Config {
    /// The `iss` of tokens.
    #[must_use]
    pub fn issuer(&self) -> &str {
        if self.auth.issuer.is_empty() { &self.server.public_url } else { &self.auth.issuer }
    }

    /// The path of `server.public_url`: `/` if it has none.
    #[must_use]
    pub fn public_path(&self) -> &str {
        let url = &self.server.public_url;
        let host = url.split_once("://").map_or("", |(_, host)| host);
        host.find('/').map_or("/", |start| &host[start..])
    }

    /// The page that verification links open.
    #[must_use]
    pub fn verify_url(&self) -> String {
        or_own(&self.server.verify_url, &self.server.public_url, "/verify")
    }

    /// The page that reset links open.
    #[must_use]
    pub fn reset_url(&self) -> String {
        or_own(&self.server.reset_url, &self.server.public_url, "/reset")
    }

    /// Whether reset links, such as those made on the command line, work on this machine only.
    #[must_use]
    pub fn has_local_links(&self) -> bool {
        page::is_local(&self.reset_url())
    }

    /// Whether mail servers will reject the sender, such as the default one.
    #[must_use]
    pub fn has_local_sender(&self) -> bool {
        let domain = self.messages.from.rsplit('@').next().unwrap_or_default();
        self.messages.transport != Transport::Console && !domain.contains('.')
    }

    /// Settings that suit a trial but not a shop that is served by https or sends mails, and exposed files.
    #[must_use]
    pub fn warnings(&self) -> Vec<&str> {
        let sends_mails = self.messages.transport == Transport::Smtp;
        let is_public = self.server.public_url.starts_with("https://");
        let warnings = [
            (
                sends_mails && self.has_local_sender(),
                "messages.from is an address at localhost: mail servers refuse such a sender",
            ),
            (
                sends_mails && self.has_local_links(),
                "server.public_url is at localhost: the links in mails work on this machine only",
            ),
            (
                is_public && self.messages.transport == Transport::Console,
                "messages.transport is console: codes and links are printed, and no mail is sent",
            ),
            (
                is_public && !self.rate_limit.enabled,
                "rate_limit.enabled is false: guessing passwords and codes is not limited",
            ),
            (
                is_public && self.server.trusted_proxies.is_empty(),
                "server.trusted_proxies is empty: all clients behind a proxy count as one client, and share its limits",
            ),
            (
                is_public && !self.cleanup.enabled,
                "cleanup.enabled is false: coffeeshop purge must be scheduled instead",
            ),
        ];
        let warnings = warnings.into_iter().filter(|(is_so, _)| *is_so).map(|(_, warning)| warning);
        warnings.chain(self.exposed.iter().map(String::as_str)).collect()
    }

    /// How many password hashes are computed in parallel.
    #[must_use]
    pub fn concurrent_hashes(&self) -> usize {
        match self.password.max_concurrent_hashes {
            0 => thread::available_parallelism().map_or(1, NonZero::get),
            number => number,
        }
    }
}

fn or_own(theirs: &str, public_url: &str, path: &str) -> String {
    if theirs.is_empty() { format!("{public_url}{path}") } else { theirs.to_owned() }
}
