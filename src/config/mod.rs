//! The settings: defaults, then `config.toml`, then the environment; checked as a whole before anything starts.

mod check;
mod database;
mod error;
mod load;
mod names;
mod origin;
mod period;
pub mod secret_file;
mod sections;
mod text;
mod values;

use std::{num::NonZero, path::PathBuf, thread};

use serde::{Deserialize, Serialize};

pub use self::{
    database::Database,
    error::ConfigError,
    origin::{AllowedOrigin, NoOrigin},
    period::Period,
    sections::{
        Audit, Auth, Cleanup, Log, LogFormat, LogLevel, Messages, Password, RateLimit, Security, Server,
        Smtp, Transport, Verification,
    },
    values::{Proxy, Secret},
};

/// Every setting. Each has a default; `config.toml` in the repository explains them all.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The file that some of them come from, if there is one.
    #[serde(skip)]
    pub file: Option<PathBuf>,
    /// What is wrong with the files that hold secrets, each in a line.
    #[serde(skip)]
    pub exposed: Vec<String>,
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

    /// The path of `server.public_url`: `/` if it has none.
    #[must_use]
    pub fn public_path(&self) -> &str {
        let url = &self.server.public_url;
        let host = url.split_once("://").map_or("", |(_, host)| host);
        host.find('/').map_or("/", |start| &host[start..])
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

    /// Whether the links that an admin has made open on this machine alone.
    #[must_use]
    pub fn has_local_links(&self) -> bool {
        origin::is_local(&self.reset_url())
    }

    /// Whether mails come from an address that no mail server takes, such as the default one.
    #[must_use]
    pub fn has_local_sender(&self) -> bool {
        let domain = self.messages.from.rsplit('@').next().unwrap_or_default();
        self.messages.transport != Transport::Console && !domain.contains('.')
    }

    /// What is fine for trying out and not for a shop that people come to by https, or that sends mails, and what is exposed.
    #[must_use]
    pub fn warnings(&self) -> Vec<&str> {
        let sends_mails = self.messages.transport == Transport::Smtp;
        let open_to_all = self.server.public_url.starts_with("https://");
        let warnings = [
            (
                sends_mails && self.has_local_sender(),
                "messages.from is an address at localhost: mail servers refuse such a sender",
            ),
            (
                sends_mails && self.has_local_links(),
                "server.public_url is at localhost: the links in mails open on this machine alone",
            ),
            (
                open_to_all && self.messages.transport == Transport::Console,
                "messages.transport is console: codes and links are printed, and nobody gets a mail",
            ),
            (
                open_to_all && !self.rate_limit.enabled,
                "rate_limit.enabled is false: passwords and codes can be guessed at leisure",
            ),
            (
                open_to_all && self.server.trusted_proxies.is_empty(),
                "server.trusted_proxies is empty: whoever comes by a proxy is taken for it, and all share its limits",
            ),
            (
                open_to_all && !self.cleanup.enabled,
                "cleanup.enabled is false: something else must run coffeeshop purge",
            ),
        ];
        let warnings = warnings.into_iter().filter(|(is_so, _)| *is_so).map(|(_, warning)| warning);
        warnings.chain(self.exposed.iter().map(String::as_str)).collect()
    }

    /// How many hashes are computed at a time.
    #[must_use]
    pub fn concurrent_hashes(&self) -> usize {
        match self.password.max_concurrent_hashes {
            0 => thread::available_parallelism().map_or(1, NonZero::get),
            number => number,
        }
    }
}

fn or_ours(theirs: &str, public_url: &str, path: &str) -> String {
    if theirs.is_empty() { format!("{public_url}{path}") } else { theirs.to_owned() }
}
