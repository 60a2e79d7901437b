//! The servers of a database, and how to connect to the one that can write.

use std::{
    fmt,
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    task::JoinHandle,
    time::timeout,
};
use tokio_postgres::{
    AsyncMessage, Client, Config, Connection, NoTls,
    config::{SslMode, TargetSessionAttrs},
};

use super::{
    errors, faults,
    requirements::{self, Warnings},
    tls::Tls,
};
use crate::{
    config::{self, Host, PostgresUrl},
    store::ServerFault,
};

/// How long one host may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long sent bytes may stay unacknowledged by the server's machine.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(5);

/// Sent with the start of each connection, in milliseconds: `SET` would not survive a pooler.
const TIMEOUTS: [(&str, u32); 3] =
    [("statement_timeout", 5_000), ("lock_timeout", 3_000), ("idle_in_transaction_session_timeout", 10_000)];

/// The database of the settings.
#[derive(Clone)]
pub(super) struct Server {
    /// One for each host, in the order in which they are tried.
    hosts: Vec<Config>,
    tls: Option<Tls>,
    url: Arc<PostgresUrl>,
    has_timeouts: bool,
    warnings: Arc<Warnings>,
}

/// A connection to one of the hosts.
pub(super) struct Opened {
    pub(super) client: Client,
    /// Moves bytes between the client and the socket; ends after the client was dropped.
    pub(super) task: JoinHandle<()>,
    /// Set before the answer to a COMMIT which no standby has confirmed, although it had to.
    pub(super) lacks_standby: Arc<AtomicBool>,
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
        let hosts = url.hosts().iter().map(host).collect();
        Ok(Self { hosts, tls, url, has_timeouts: true, warnings: Arc::default() })
    }

    /// The same server for statements that may take long, such as those of a migration.
    pub(super) fn without_timeouts(&self) -> Self {
        let mut server = Self { has_timeouts: false, ..self.clone() };
        let options = options(&self.url, TIMEOUTS.map(|(name, _)| (name, 0)));
        for host in &mut server.hosts {
            host.options(&options);
        }
        server
    }

    /// Connects to the first host that can write.
    pub(super) async fn connect(&self) -> Result<Opened, ServerFault> {
        let mut found = None;
        for (host, config) in self.url.hosts().iter().zip(&self.hosts) {
            let connected = timeout(CONNECT_TIMEOUT, self.connect_to(host, config)).await;
            let fault = match connected.unwrap_or_else(|_| Err(silent())) {
                Ok(opened) => return Ok(opened),
                // A standby beside a primary that is away: one of them can write soon.
                Err(fault) if fault == faults::read_only() && self.hosts.len() > 1 => {
                    ServerFault::Absent(fault.to_string())
                }
                Err(fault) => fault,
            };
            // What the operator must mend says more than a host that is away.
            found = found.filter(|found| !matches!(found, ServerFault::Absent(_))).or(Some(fault));
        }
        Err(found.unwrap_or_else(silent))
    }

    async fn connect_to(&self, host: &Host, config: &Config) -> Result<Opened, ServerFault> {
        let name = match host {
            Host::Tcp { name, .. } => name,
            Host::Unix { .. } => "",
        };
        let fault = |error| faults::of_connecting(&error, name);
        let opened = match &self.tls {
            None => {
                let (client, connection) = config.connect(NoTls).await.map_err(fault)?;
                open(client, connection)
            }
            Some(tls) => {
                let (client, connection) = config.connect(tls.clone()).await.map_err(fault)?;
                open(client, connection)
            }
        };
        self.check(&opened.client).await?;
        requirements::check_statements(&opened.client).await?;
        Ok(opened)
    }

    /// Asks a server whether it is what coffeeshop relies on.
    pub(super) async fn check(&self, client: &Client) -> Result<(), ServerFault> {
        requirements::check(client, self.has_timeouts, &self.warnings).await
    }
}

#[expect(clippy::disallowed_methods, reason = "it ends by itself, once the client is dropped")]
fn open<S, T>(client: Client, mut connection: Connection<S, T>) -> Opened
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let lacks_standby = Arc::new(AtomicBool::new(false));
    let found = Arc::clone(&lacks_standby);
    let task = tokio::spawn(async move {
        while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
            if let AsyncMessage::Notice(notice) = message
                && errors::is_about_lacking_standby(&notice)
            {
                found.store(true, Ordering::Relaxed);
            }
        }
    });
    Opened { client, task, lacks_standby }
}

fn silent() -> ServerFault {
    ServerFault::Absent("it does not answer in time".to_owned())
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
