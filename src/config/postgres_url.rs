//! The URL of a PostgreSQL database; logs and commands show its host, port and database, never its user or password.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
    path::PathBuf,
    str::FromStr,
};

use serde::{Deserialize, Deserializer, Serializer, de};

use super::{
    Secret,
    url_parts::{
        NoPostgresUrl::{self, Malformed},
        Parameters, decoded, printable,
    },
    values::is_loopback,
};

/// PostgreSQL's own.
const PORT: u16 = 5432;

/// What to do about a user or a password with a character that ends it.
const ENCODE: &str =
    "in its user and password, @ is written %40, / is %2F and ? is %3F; or set database.password instead";

/// A PostgreSQL database, its servers in the order in which they are tried, and the user to log in as.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresUrl {
    hosts: Vec<Host>,
    user: String,
    password: Secret,
    database: String,
    options: Option<String>,
    requires_tls: bool,
}

/// Where a PostgreSQL server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// A domain or an IP address.
    Tcp { name: String, port: u16 },
    /// The folder of a Unix socket, whose name has the port.
    Unix { folder: PathBuf, port: u16 },
}

impl PostgresUrl {
    /// At least one.
    #[must_use]
    pub fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    /// Not to be printed.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }

    #[must_use]
    pub const fn password(&self) -> &Secret {
        &self.password
    }

    #[must_use]
    pub fn database(&self) -> &str {
        &self.database
    }

    /// Command line options for the server, such as `-c search_path=shop`.
    #[must_use]
    pub fn options(&self) -> Option<&str> {
        self.options.as_deref()
    }

    /// Whether the URL itself asks for TLS, by `sslmode`.
    pub(super) const fn requires_tls(&self) -> bool {
        self.requires_tls
    }
}

impl Host {
    /// Whether no network is in between.
    pub(super) fn is_local(&self) -> bool {
        match self {
            Self::Tcp { name, .. } => is_loopback(name),
            Self::Unix { .. } => true,
        }
    }
}

impl FromStr for PostgresUrl {
    type Err = NoPostgresUrl;

    fn from_str(text: &str) -> Result<Self, NoPostgresUrl> {
        let text = text.trim();
        let rest = text.strip_prefix("postgres://").or_else(|| text.strip_prefix("postgresql://"));
        let rest = rest.ok_or(Malformed("it must begin with postgres://"))?;
        let (authority, tail) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (credentials, servers) = authority.rsplit_once('@').unwrap_or(("", authority));
        if tail.contains('@') || credentials.contains('@') {
            return Err(Malformed(ENCODE));
        }
        let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
        let (path, query) = tail.split_once('?').unwrap_or((tail, ""));
        let database = path.strip_prefix('/').unwrap_or(path);
        let (user, database) = (printable(user)?, printable(database)?);
        if user.is_empty() {
            return Err(Malformed("it names no user"));
        }
        if database.is_empty() || path.trim_start_matches('/').contains('/') {
            return Err(Malformed("after the host it must name one database"));
        }
        let parameters = Parameters::parse(query)?;
        Ok(Self {
            hosts: hosts(servers, &parameters)?,
            user,
            password: Secret::new(decoded(password)?),
            database,
            options: parameters.options,
            requires_tls: parameters.requires_tls,
        })
    }
}

/// `HOST:PORT/DATABASE`.
impl fmt::Display for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, host) in self.hosts.iter().enumerate() {
            f.write_str(if index == 0 { "" } else { "," })?;
            host.fmt(f)?;
        }
        write!(f, "/{}", self.database)
    }
}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { name, port } if name.contains(':') => write!(f, "[{name}]:{port}"),
            Self::Tcp { name, port } => write!(f, "{name}:{port}"),
            Self::Unix { folder, port } => write!(f, "{}:{port}", folder.display()),
        }
    }
}

/// The servers in front of the path, or in the parameters `host` and `port`.
fn hosts(servers: &str, parameters: &Parameters) -> Result<Vec<Host>, NoPostgresUrl> {
    match (servers, &parameters.hosts, &parameters.ports) {
        ("", None, _) => Err(Malformed("it names no host")),
        ("", Some(names), ports) => {
            let names: Vec<_> = names.split(',').collect();
            let ports: Vec<_> = ports.as_deref().unwrap_or_default().split(',').collect();
            if ports.len() != 1 && ports.len() != names.len() {
                return Err(Malformed("its parameter port must have one number, or one for each host"));
            }
            let ports = ports.iter().cycle();
            names.iter().zip(ports).map(|(name, number)| host((*name).to_owned(), port(number)?)).collect()
        }
        (servers, None, None) => servers.split(',').map(server).collect(),
        _ => Err(Malformed("its parameters host and port are for a URL without a host")),
    }
}

/// `HOST`, `HOST:PORT` or `[IPv6]:PORT`; a folder is written with `%2F`.
fn server(text: &str) -> Result<Host, NoPostgresUrl> {
    let (name, number) = match text.rsplit_once(':') {
        Some((name, number)) if !number.contains(']') => (name, number),
        _ => (text, ""),
    };
    let bracketed = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
    match bracketed {
        Some(ip) if ip.parse::<Ipv6Addr>().is_err() => Err(Malformed("its host is no IPv6 address")),
        Some(ip) => host(ip.to_owned(), port(number)?),
        None if name.contains(':') => Err(Malformed("an IPv6 address is written in brackets")),
        None => host(printable(name)?, port(number)?),
    }
}

fn host(name: String, port: u16) -> Result<Host, NoPostgresUrl> {
    if name.starts_with('/') {
        return Ok(Host::Unix { folder: name.into(), port });
    }
    let is_name = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    if name.is_empty() || !name.chars().all(is_name) && name.parse::<IpAddr>().is_err() {
        return Err(Malformed("its host is no name or address"));
    }
    Ok(Host::Tcp { name, port })
}

fn port(text: &str) -> Result<u16, NoPostgresUrl> {
    match text {
        "" => Ok(PORT),
        text => {
            let number = text.parse().ok().filter(|number| *number != 0);
            number.ok_or(Malformed("its port is no number from 1 to 65535"))
        }
    }
}

/// An empty text is none.
pub(super) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<PostgresUrl>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.trim().is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(de::Error::custom)
}

#[expect(clippy::ref_option, reason = "serde's signature")]
pub(super) fn serialize<S: Serializer>(url: &Option<PostgresUrl>, serializer: S) -> Result<S::Ok, S::Error> {
    match url {
        Some(url) => serializer.collect_str(url),
        None => serializer.serialize_str(""),
    }
}
