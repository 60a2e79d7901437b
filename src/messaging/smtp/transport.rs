//! The SMTP transport: a mail for each message, over a few connections that are used again.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    diagnosis::Stage,
    dialogue::quit,
    pool::Pool,
    reply::SmtpError,
    server::{Connection, MailServer},
};
use crate::{
    config,
    messaging::{
        delivery_error::DeliveryError,
        mail::{Mail, Sender},
        outbox::OutboxMessage,
        transport::Transport,
    },
};

/// After this many rejections on one connection, servers slow down or close it. They do not accept any number of logins either,
/// so it is more than one.
const MAX_REJECTIONS: u32 = 5;
/// How long a recipient may take at the first attempt while most connections are busy, and as much longer with each further one.
const CROWDED_RECIPIENT_TIMEOUT: Duration = Duration::from_secs(3);

pub struct SmtpTransport {
    server: MailServer,
    sender: Sender,
    pool: Pool,
}

impl SmtpTransport {
    /// Opens no connection yet.
    ///
    /// # Errors
    /// Startup error, shown to the operator, if the server's name or the file of certificates cannot be used.
    pub fn new(settings: &config::Smtp, sender: Sender) -> Result<Self, String> {
        // The name of a container means nothing outside of it, but the sender's domain does.
        let server = MailServer::new(settings, sender.address().domain().to_owned())?;
        Ok(Self { server, sender, pool: Pool::default() })
    }

    async fn deliver(&self, mail: &Mail, attempts: u32) -> Result<(), DeliveryError> {
        let deadline = Instant::now() + self.server.timeout;
        let mut connection = self.begin(mail, deadline).await?;
        let busy = self.pool.begin_work();
        let short = Instant::now() + CROWDED_RECIPIENT_TIMEOUT * attempts;
        let recipient_deadline = if self.pool.is_crowded() { short.min(deadline) } else { deadline };
        let handed_over = self.hand_over(&mut connection, mail, recipient_deadline).await;
        drop(busy);
        let Err((stage, error)) = handed_over else {
            self.keep(connection).await;
            return Ok(());
        };
        if let SmtpError::Rejected(reply) = &error {
            if reply.closes_connection() || connection.rejections() >= MAX_REJECTIONS {
                quit(connection).await;
            } else {
                self.keep(connection).await;
            }
        }
        let is_short = recipient_deadline < deadline && matches!(stage, Stage::Recipient | Stage::Data);
        if is_short && matches!(error, SmtpError::Timeout) {
            return Err(self.server.diagnosis.slow_recipient());
        }
        Err(self.server.diagnosis.delivery_error(stage, &error))
    }

    /// Returns a connection on which the sender of this mail was accepted.
    async fn begin(&self, mail: &Mail, deadline: Instant) -> Result<Connection, DeliveryError> {
        if let Some(idle) = self.pool.take_idle()
            && let Some(begun) = super::server::begin_again(idle, mail).await
        {
            return Ok(begun);
        }
        match self.server.begin(mail, deadline).await {
            Ok(connection) => {
                self.pool.record_accepted();
                Ok(connection)
            }
            Err(error) if error.is_transport_wide() && self.pool.record_refused() => {
                Err(DeliveryError::not_attempted(error.reason().to_owned()))
            }
            Err(error) => Err(error),
        }
    }

    async fn hand_over(
        &self,
        connection: &mut Connection,
        mail: &Mail,
        recipient_deadline: Instant,
    ) -> Result<(), (Stage, SmtpError)> {
        let at = |stage| move |error| (stage, error);
        connection.set_deadline(recipient_deadline);
        connection.recipients(mail).await.map_err(at(Stage::Recipient))?;
        connection.data().await.map_err(at(Stage::Data))?;
        // Not shortened: a confirmation that is missed is a mail that arrives twice.
        connection.set_deadline(Instant::now() + self.server.timeout);
        connection.content(mail).await.map_err(at(Stage::Content))?;
        connection.end_of_data().await.map_err(at(Stage::Confirmation))
    }

    async fn keep(&self, connection: Connection) {
        if let Some(surplus) = self.pool.keep(connection) {
            quit(surplus).await;
        }
    }
}

impl Transport for SmtpTransport {
    async fn send(&self, message: &OutboxMessage) -> Result<(), DeliveryError> {
        let mail = self.sender.compose(message).map_err(|reason| DeliveryError::rejected(reason, None))?;
        self.deliver(&mail, message.attempts()).await
    }

    fn capacity(&self) -> usize {
        self.pool.capacity()
    }

    async fn flush_idle(&self) {
        for connection in self.pool.drain() {
            quit(connection).await;
        }
    }
}
