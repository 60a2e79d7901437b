//! Connects to the mail server: TLS from the first byte, or STARTTLS and nothing without it; unencrypted only to this machine.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, lookup_host},
    time::{Instant, timeout_at},
};

use super::{
    diagnosis::{Diagnosis, Stage},
    dialogue::{Dialogue, quit},
    reply::SmtpError,
    tls::Tls,
};
use crate::{
    config::{self, Security},
    messaging::{delivery_error::DeliveryError, mail::Mail},
};

/// How long an idle connection may take to show that it still works.
const REUSE_TIMEOUT: Duration = Duration::from_secs(5);

pub type Connection = Dialogue<Box<dyn Stream>>;

pub trait Stream: AsyncRead + AsyncWrite + Send + Sync + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Sync + Unpin> Stream for S {}

pub struct MailServer {
    pub diagnosis: Diagnosis,
    pub timeout: Duration,
    host: String,
    port: u16,
    security: Security,
    tls: Tls,
    login: Option<(String, String)>,
    ehlo_name: String,
}

impl MailServer {
    /// # Errors
    /// Startup error, shown to the operator, if the server's name or the file of certificates cannot be used.
    pub fn new(settings: &config::Smtp, ehlo_name: String) -> Result<Self, String> {
        let password = settings.password.reveal();
        Ok(Self {
            diagnosis: Diagnosis::new(settings),
            timeout: settings.timeout.get(),
            host: settings.host.clone(),
            port: settings.port(),
            security: settings.security,
            tls: Tls::new(settings)?,
            login: password.map(|password| (settings.username.clone(), password.to_owned())),
            ehlo_name,
        })
    }

    /// Opens a connection on which the sender of this mail is accepted.
    pub async fn begin(&self, mail: &Mail, deadline: Instant) -> Result<Connection, DeliveryError> {
        let mut connection = self.connect(deadline).await?;
        if mail.is_international() && !connection.offers("SMTPUTF8") {
            quit(connection).await;
            return Err(self.diagnosis.no_smtputf8());
        }
        let Err(error) = connection.sender(mail).await else { return Ok(connection) };
        if matches!(error, SmtpError::Rejected(_)) {
            quit(connection).await;
        }
        Err(if mail.is_international() {
            self.diagnosis.international_sender_error(&error)
        } else {
            self.diagnosis.delivery_error(Stage::Sender, &error)
        })
    }

    async fn connect(&self, deadline: Instant) -> Result<Connection, DeliveryError> {
        let at = |stage| move |error| self.diagnosis.delivery_error(stage, &error);
        let stream = self.open_tcp(deadline).await?;
        let mut connection: Connection = match self.security {
            Security::None => {
                Dialogue::greeted(Box::new(stream) as _, deadline).await.map_err(at(Stage::Connect))?
            }
            Security::Tls => {
                let encrypted = self.encrypt(stream, deadline).await.map_err(at(Stage::Connect))?;
                Dialogue::greeted(encrypted, deadline).await.map_err(at(Stage::Connect))?
            }
            Security::StartTls => {
                let mut plain = Dialogue::greeted(stream, deadline).await.map_err(at(Stage::Connect))?;
                plain.ehlo(&self.ehlo_name).await.map_err(at(Stage::Connect))?;
                let stream = plain.start_tls().await.map_err(at(Stage::StartTls))?;
                let encrypted = self.encrypt(stream, deadline).await.map_err(at(Stage::StartTls))?;
                Dialogue::encrypted(encrypted, deadline)
            }
        };
        connection.ehlo(&self.ehlo_name).await.map_err(at(Stage::Connect))?;
        if let Some((username, password)) = &self.login {
            connection.log_in(username, password).await.map_err(at(Stage::Login))?;
        }
        Ok(connection)
    }

    /// Connects to the first address that answers; each gets its share of the remaining time.
    async fn open_tcp(&self, deadline: Instant) -> Result<TcpStream, DeliveryError> {
        let failed = |error| self.diagnosis.delivery_error(Stage::Connect, &error);
        let found = timeout_at(deadline, lookup_host((self.host.as_str(), self.port))).await;
        let found = found.map_err(|_| failed(SmtpError::Timeout))?;
        let addresses: Vec<_> = found.map_err(|_| self.diagnosis.unknown_host())?.collect();
        let mut error = SmtpError::Io(io::ErrorKind::HostUnreachable.into());
        for (index, address) in addresses.iter().enumerate() {
            let left = u32::try_from(addresses.len() - index).unwrap_or(u32::MAX);
            let share = deadline.saturating_duration_since(Instant::now()) / left;
            match timeout_at(Instant::now() + share, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(io)) => error = SmtpError::Io(io),
                Err(_) => error = SmtpError::Timeout,
            }
        }
        Err(failed(error))
    }

    async fn encrypt(&self, stream: TcpStream, deadline: Instant) -> Result<Box<dyn Stream>, SmtpError> {
        let encrypted = timeout_at(deadline, self.tls.connect(stream)).await;
        Ok(Box::new(encrypted.map_err(|_| SmtpError::Timeout)?.map_err(SmtpError::Io)?))
    }
}

/// Begins a mail on an idle connection. Returns `None` if that fails: the cause may be the age of the connection, so a new one
/// is tried before anything is concluded from it.
pub async fn begin_again(mut idle: Connection, mail: &Mail) -> Option<Connection> {
    idle.set_deadline(Instant::now() + REUSE_TIMEOUT);
    idle.reset().await.ok()?;
    if mail.is_international() && !idle.offers("SMTPUTF8") {
        return None;
    }
    idle.sender(mail).await.ok()?;
    Some(idle)
}
