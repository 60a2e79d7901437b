//! The servers of a database, and how to connect to the one that can write.

use std::{fmt, io, sync::Arc, time::Duration};

use tokio::{task::JoinHandle, time::timeout};
use tokio_postgres::{
    Client, Config, NoTls,
    config::{SslMode, TargetSessionAttrs},
};

use super::{errors, tls::Tls};
use crate::config::{self, Host, PostgresUrl};

/// How long one host may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long sent bytes may stay unacknowledged by the server's machine.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(5);

/// Sent with the start of each connection, in milliseconds: `SET` would not survive a pooler.
pub(super) const TIMEOUTS: [(&str, u32); 3] =
    [("statement_timeout", 5_000), ("lock_timeout", 3_000), ("idle_in_transaction_session_timeout", 10_000)];

/// The database of the settings.
#[derive(Clone)]
pub(super) struct Server {
    /// One for each host, in the order in which they are tried.
    hosts: Vec<Config>,
    tls: Option<Tls>,
    url: Arc<PostgresUrl>,
}

/// Why there is no connection.
#[derive(Debug)]
pub(super) enum ConnectError {
    /// No runtime can be made.
    Runtime(io::Error),
    Deadline,
    Server(tokio_postgres::Error),
}

impl Server {
    /// # Errors
    /// If the file with the certificate authorities cannot be used.
    pub(super) fn new(settings: &config::Postgres) -> Result<Self, String> {
        let tls = match settings.tls {
            config::Tls::Verify => Some(Tls::new(settings.ca.as_deref())?),
            config::Tls::Off => None,
        };
        let url = Arc::new(settings.url.clone());
        let mut all = Config::new();
        all.user(url.user())
            .dbname(url.database())
            .application_name("coffeeshop")
            .target_session_attrs(TargetSessionAttrs::ReadWrite)
            .tcp_user_timeout(TCP_USER_TIMEOUT)
            .ssl_mode(if tls.is_some() { SslMode::Require } else { SslMode::Disable })
            .options(options(&url, TIMEOUTS));
        if let Some(password) = settings.password.reveal() {
            all.password(password);
        }
        let host = |host: &Host| {
            let mut config = all.clone();
            match host {
                Host::Tcp { name, port } => config.host(name).port(*port),
                Host::Unix { folder, port } => config.host_path(folder).port(*port),
            };
            config
        };
        Ok(Self { hosts: url.hosts().iter().map(host).collect(), tls, url })
    }

    /// The same server for statements that may take long, such as those of a migration.
    pub(super) fn without_timeouts(&self) -> Self {
        let mut server = self.clone();
        let options = options(&self.url, TIMEOUTS.map(|(name, _)| (name, 0)));
        for host in &mut server.hosts {
            host.options(&options);
        }
        server
    }

    /// Connects to the first host that can write; the task moves bytes, and ends after the client was dropped.
    pub(super) async fn connect(&self) -> Result<(Client, JoinHandle<()>), ConnectError> {
        let mut error = ConnectError::Deadline;
        for host in &self.hosts {
            match timeout(CONNECT_TIMEOUT, self.connect_to(host)).await {
                Ok(Ok(connected)) => return Ok(connected),
                Ok(Err(refused)) => error = ConnectError::Server(refused),
                Err(_) => error = ConnectError::Deadline,
            }
        }
        Err(error)
    }

    async fn connect_to(&self, host: &Config) -> Result<(Client, JoinHandle<()>), tokio_postgres::Error> {
        match &self.tls {
            None => {
                let (client, connection) = host.connect(NoTls).await?;
                Ok((client, tokio::spawn(async { drop(connection.await) })))
            }
            Some(tls) => {
                let (client, connection) = host.connect(tls.clone()).await?;
                Ok((client, tokio::spawn(async { drop(connection.await) })))
            }
        }
    }
}

/// The options of the URL, and the timeouts.
fn options(url: &PostgresUrl, timeouts: [(&str, u32); 3]) -> String {
    let timeouts = timeouts.map(|(name, millis)| format!("-c {name}={millis}")).join(" ");
    url.options().map_or_else(|| timeouts.clone(), |options| format!("{options} {timeouts}"))
}

/// Host, port and database.
impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.url.fmt(f)
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Runtime(error) => error.fmt(f),
            Self::Deadline => f.write_str("it does not answer in time"),
            Self::Server(error) => f.write_str(&errors::text(error)),
        }
    }
}
