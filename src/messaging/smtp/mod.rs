//! Sends mails to a mail server: TLS from the first byte, or STARTTLS and nothing without it; in the clear only on this
//! machine.

mod diagnosis;
mod dialogue;
mod tls;

use std::{
    io,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, lookup_host},
    time::{Instant, timeout_at},
};

use self::{
    diagnosis::{Named, Stage},
    dialogue::{Dialogue, Fault},
    tls::Tls,
};
use super::{
    delivery_error::DeliveryError,
    mail::{Mail, Sender},
    transport::Transport,
};
use crate::{
    config::{self, Security},
    messaging::outbox::OutboxMessage,
};

/// How long taking leave may take.
const GOODBYE: Duration = Duration::from_secs(1);
/// How long a connection that was kept may take to show that it is still good.
const REUSE: Duration = Duration::from_secs(5);

/// The most connections at a time: a quick mail server is asked for a few, and only slow recipients take the others.
const MOST: usize = 16;
/// The most that are kept for another mail.
const MOST_KEPT: usize = 4;
/// How many refusals are heard over one connection: after more of them, servers slow down or hang up. Each new connection is
/// another login, of which servers do not take any number either.
const MOST_REFUSALS: u32 = 5;
/// For how long no more connections are asked for than the server took.
const CONTENT_FOR: Duration = Duration::from_mins(1);
/// How long a recipient may take at its first attempt while most connections are taken; longer with each further one.
const BRIEF: Duration = Duration::from_secs(3);

/// Sends to one mail server, over a few connections, which are kept as long as there is something to send.
pub struct SmtpTransport {
    server: Server,
    sender: Sender,
    pool: Mutex<Pool>,
}

/// Its connections.
#[derive(Default)]
struct Pool {
    kept: Vec<Connection>,
    /// How many are at work, with the sender accepted.
    busy: usize,
    /// Whether the server accepted a sender since the latest rest and the latest trouble.
    is_reachable: bool,
    /// How many connections the server took when it took no more, and until when that counts.
    limit: Option<(usize, Instant)>,
}

/// The mail server.
struct Server {
    host: String,
    port: u16,
    security: Security,
    tls: Tls,
    login: Option<(String, String)>,
    ehlo_name: String,
    timeout: Duration,
    named: Named,
}

type Connection = Dialogue<Box<dyn Stream>>;

trait Stream: AsyncRead + AsyncWrite + Send + Sync + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Sync + Unpin> Stream for S {}

impl SmtpTransport {
    /// A transport as the settings say. Nothing is connected to yet.
    ///
    /// # Errors
    /// In words, if the name of the server or the file of certificates cannot be used.
    pub fn new(settings: &config::Smtp, sender: Sender) -> Result<Self, String> {
        let login = settings.password.reveal();
        let server = Server {
            host: settings.host.clone(),
            port: settings.port(),
            security: settings.security,
            tls: Tls::new(settings)?,
            login: login.map(|password| (settings.username.clone(), password.to_owned())),
            // The name of a container says nothing to anybody outside of it.
            ehlo_name: sender.address().domain().to_owned(),
            timeout: settings.timeout.get(),
            named: Named::new(settings),
        };
        Ok(Self { server, sender, pool: Mutex::default() })
    }

    fn pool(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn deliver(&self, mail: &Mail, attempts: u32) -> Result<(), DeliveryError> {
        let deadline = Instant::now() + self.server.timeout;
        let mut connection = self.begin(mail, deadline).await?;
        let busy = Busy::begins(&self.pool);
        let brief = Instant::now() + BRIEF * attempts;
        let until = if self.pool().is_crowded() { brief.min(deadline) } else { deadline };
        let handed = self.hand_over(&mut connection, mail, until).await;
        drop(busy);
        match handed {
            Ok(()) => {
                self.keep(connection).await;
                Ok(())
            }
            Err((stage, fault)) => {
                if let Fault::Said(reply) = &fault {
                    if reply.closes() || connection.refusals() >= MOST_REFUSALS {
                        take_leave(connection).await;
                    } else {
                        self.keep(connection).await;
                    }
                }
                let is_brief = until < deadline && matches!(stage, Stage::Recipient | Stage::Offer);
                if is_brief && matches!(fault, Fault::Late) {
                    return Err(self.server.named.slow());
                }
                Err(self.server.named.delivery_error(stage, &fault))
            }
        }
    }

    /// A connection on which the sender of this mail was accepted.
    async fn begin(&self, mail: &Mail, deadline: Instant) -> Result<Connection, DeliveryError> {
        let kept = self.pool().kept.pop();
        if let Some(kept) = kept
            && let Some(begun) = begun_again(kept, mail).await
        {
            return Ok(begun);
        }
        let begun = self.server.begin(mail, deadline).await;
        let mut pool = self.pool();
        match begun {
            Ok(connection) => {
                pool.is_reachable = true;
                Ok(connection)
            }
            // Others are let in at this time: there is only no room for one more.
            Err(delivery_error) if delivery_error.is_transport_wide() && pool.busy > 0 => {
                pool.limit = Some((pool.busy, Instant::now() + CONTENT_FOR));
                Err(DeliveryError::not_attempted(delivery_error.reason().to_owned()))
            }
            Err(delivery_error) => {
                pool.is_reachable &= !delivery_error.is_transport_wide();
                Err(delivery_error)
            }
        }
    }

    async fn hand_over(
        &self,
        connection: &mut Connection,
        mail: &Mail,
        until: Instant,
    ) -> Result<(), (Stage, Fault)> {
        let at = |stage| move |fault| (stage, fault);
        connection.until(until);
        connection.address(mail).await.map_err(at(Stage::Recipient))?;
        connection.announce_content().await.map_err(at(Stage::Offer))?;
        // A receipt that is waited for too briefly is a mail that arrives twice.
        connection.until(Instant::now() + self.server.timeout);
        connection.content(mail).await.map_err(at(Stage::Content))?;
        connection.complete().await.map_err(at(Stage::Receipt))
    }

    async fn keep(&self, connection: Connection) {
        let spare = {
            let mut pool = self.pool();
            if pool.kept.len() < MOST_KEPT {
                pool.kept.push(connection);
                None
            } else {
                Some(connection)
            }
        };
        if let Some(connection) = spare {
            take_leave(connection).await;
        }
    }
}

impl Transport for SmtpTransport {
    async fn send(&self, message: &OutboxMessage) -> Result<(), DeliveryError> {
        let mail = self.sender.compose(message).map_err(|reason| DeliveryError::rejected(reason, None))?;
        self.deliver(&mail, message.attempts()).await
    }

    /// One until it is known that the server lets us in: the others would fare no better.
    fn capacity(&self) -> usize {
        let pool = self.pool();
        if pool.is_reachable { pool.most() } else { 1 }
    }

    async fn flush_idle(&self) {
        let kept = {
            let mut pool = self.pool();
            pool.is_reachable = false;
            std::mem::take(&mut pool.kept)
        };
        for connection in kept {
            take_leave(connection).await;
        }
    }
}

impl Pool {
    fn most(&self) -> usize {
        self.limit.filter(|(_, until)| Instant::now() < *until).map_or(MOST, |(most, _)| most.max(1))
    }

    /// Whether more than half of the connections are taken.
    fn is_crowded(&self) -> bool {
        self.busy * 2 > self.most()
    }
}

/// A connection at work, until this is dropped.
struct Busy<'a>(&'a Mutex<Pool>);

impl<'a> Busy<'a> {
    fn begins(pool: &'a Mutex<Pool>) -> Self {
        pool.lock().unwrap_or_else(PoisonError::into_inner).busy += 1;
        Self(pool)
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).busy -= 1;
    }
}

impl Server {
    /// A new connection, on which the sender of this mail was accepted.
    async fn begin(&self, mail: &Mail, deadline: Instant) -> Result<Connection, DeliveryError> {
        let mut connection = self.connect(deadline).await?;
        if mail.is_international() && !connection.offers("SMTPUTF8") {
            take_leave(connection).await;
            return Err(self.named.no_such_letters());
        }
        match connection.begin(mail).await {
            Ok(()) => Ok(connection),
            Err(fault) => {
                if matches!(fault, Fault::Said(_)) {
                    take_leave(connection).await;
                }
                Err(if mail.is_international() {
                    self.named.not_begun(&fault)
                } else {
                    self.named.delivery_error(Stage::Sender, &fault)
                })
            }
        }
    }

    async fn connect(&self, deadline: Instant) -> Result<Connection, DeliveryError> {
        let at = |stage| move |fault| self.named.delivery_error(stage, &fault);
        let stream = self.reach(deadline).await?;
        let mut connection: Connection = match self.security {
            Security::None => {
                Dialogue::greeted(Box::new(stream) as _, deadline).await.map_err(at(Stage::Connect))?
            }
            Security::Tls => {
                let secret = self.secure(stream, deadline).await.map_err(at(Stage::Connect))?;
                Dialogue::greeted(secret, deadline).await.map_err(at(Stage::Connect))?
            }
            Security::StartTls => {
                let mut plain = Dialogue::greeted(stream, deadline).await.map_err(at(Stage::Connect))?;
                plain.hello(&self.ehlo_name).await.map_err(at(Stage::Connect))?;
                let stream = plain.start_tls().await.map_err(at(Stage::StartTls))?;
                let secret = self.secure(stream, deadline).await.map_err(at(Stage::StartTls))?;
                Dialogue::secured(secret, deadline)
            }
        };
        connection.hello(&self.ehlo_name).await.map_err(at(Stage::Connect))?;
        if let Some((username, password)) = &self.login {
            connection.log_in(username, password).await.map_err(at(Stage::Login))?;
        }
        Ok(connection)
    }

    /// A connection to the first of its addresses that answers; each has its share of the time.
    async fn reach(&self, deadline: Instant) -> Result<TcpStream, DeliveryError> {
        let delivery_error = |fault| self.named.delivery_error(Stage::Connect, &fault);
        let found = timeout_at(deadline, lookup_host((self.host.as_str(), self.port))).await;
        let addresses: Vec<_> =
            found.map_err(|_| delivery_error(Fault::Late))?.map_err(|_| self.named.unknown())?.collect();
        let mut fault = Fault::Broken(io::ErrorKind::HostUnreachable.into());
        for (index, address) in addresses.iter().enumerate() {
            let left = u32::try_from(addresses.len() - index).unwrap_or(u32::MAX);
            let share = deadline.saturating_duration_since(Instant::now()) / left;
            match timeout_at(Instant::now() + share, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => fault = Fault::Broken(error),
                Err(_) => fault = Fault::Late,
            }
        }
        Err(delivery_error(fault))
    }

    async fn secure(&self, stream: TcpStream, deadline: Instant) -> Result<Box<dyn Stream>, Fault> {
        let secret = timeout_at(deadline, self.tls.secure(stream)).await;
        Ok(Box::new(secret.map_err(|_| Fault::Late)?.map_err(Fault::Broken)?))
    }
}

/// A connection that was kept, on which the sender of this mail was accepted; nothing if it is no longer good. What it
/// has against another mail may be its age, so a new one is asked before anything is concluded from that.
async fn begun_again(mut kept: Connection, mail: &Mail) -> Option<Connection> {
    kept.until(Instant::now() + REUSE);
    kept.reset().await.ok()?;
    if mail.is_international() && !kept.offers("SMTPUTF8") {
        return None;
    }
    kept.begin(mail).await.ok()?;
    Some(kept)
}

/// Said for politeness' sake: whatever comes of it changes nothing.
async fn take_leave(mut connection: Connection) {
    connection.until(Instant::now() + GOODBYE);
    connection.quit().await;
}
