//! Sends mails to a mail server: TLS from the first byte, or STARTTLS and nothing without it; in the clear only on this
//! machine.

use std::{fs, time::Duration};

use lettre::transport::smtp::{
    authentication::{Credentials, DEFAULT_MECHANISMS},
    client::{AsyncSmtpConnection, Certificate, TlsParameters},
    commands::{Data, Mail as MailFrom, Rcpt},
    extension::{ClientId, Extension, MailParameter},
};
use tokio::time::timeout;

use super::{
    Transport,
    mail::{Mail, Sender},
    trouble::{Stage, late, setback},
};
use crate::{
    accounts::{Outgoing, Setback},
    config::{self, Security},
};

/// How long saying goodbye may take.
const GOODBYE: Duration = Duration::from_secs(1);

/// Sends to one mail server, over one connection at a time, which is kept as long as there is something to send.
///
/// Simplified: a shop has a few mails a minute, and one after another keeps their order. With more time a few connections
/// side by side would carry a newsletter's worth.
pub struct Smtp {
    server: Server,
    sender: Sender,
    connection: Option<AsyncSmtpConnection>,
    /// How far the latest mail came.
    reached: Stage,
}

/// The mail server.
pub struct Server {
    /// Its name.
    pub host: String,
    /// Its port.
    pub port: u16,
    security: Security,
    tls: TlsParameters,
    login: Option<Credentials>,
    hello: ClientId,
    patience: Duration,
}

impl Smtp {
    /// A transport as the settings say. Nothing is connected to yet.
    ///
    /// # Errors
    /// In words, if the certificate authority's file cannot be used.
    pub fn new(settings: &config::Smtp, sender: Sender) -> Result<Self, String> {
        let mut tls = TlsParameters::builder(settings.host.clone());
        if !settings.ca_file.as_os_str().is_empty() {
            let at = settings.ca_file.display();
            let pem = fs::read(&settings.ca_file).map_err(|e| format!("smtp.ca_file: {at}: {e}"))?;
            // The library takes a file without any for a list of none.
            let holds_one = String::from_utf8_lossy(&pem).contains("-----BEGIN CERTIFICATE-----");
            let authority = holds_one.then(|| Certificate::from_pem(&pem).ok()).flatten();
            tls = tls.add_root_certificate(
                authority.ok_or_else(|| format!("smtp.ca_file: {at} holds no certificate in PEM"))?,
            );
        }
        let login = settings
            .password
            .reveal()
            .map(|password| Credentials::new(settings.username.clone(), password.to_owned()));
        let server = Server {
            host: settings.host.clone(),
            port: settings.port(),
            security: settings.security,
            tls: tls.build().map_err(|e| format!("smtp.host: {e}"))?,
            login,
            // The name of a container says nothing to anybody outside of it.
            hello: ClientId::Domain(sender.address().domain().to_owned()),
            patience: settings.timeout.get(),
        };
        Ok(Self { server, sender, connection: None, reached: Stage::Connect })
    }

    async fn deliver(&mut self, mail: &Mail) -> Result<(), Setback> {
        let kept = match self.connection.take() {
            Some(mut connection) => connection.test_connected().await.then_some(connection),
            None => None,
        };
        self.reached = Stage::Connect;
        let mut connection = match kept {
            Some(connection) => connection,
            None => self.server.connect(&mut self.reached).await?,
        };
        if mail.is_international() && !connection.server_info().supports_feature(Extension::SmtpUtfEight) {
            let at = self.server.at();
            self.connection = Some(connection);
            return Err(Setback::refusal(format!(
                "{at} takes no addresses with letters like these (SMTPUTF8)"
            )));
        }
        match hand_over(&mut connection, mail, &mut self.reached).await {
            Ok(()) => {
                self.connection = Some(connection);
                Ok(())
            }
            Err(error) => {
                // Said for politeness' sake: whatever comes of it must not hide what went wrong.
                let _ = timeout(GOODBYE, connection.abort()).await;
                Err(setback(&self.server, self.reached, &error))
            }
        }
    }
}

impl Transport for Smtp {
    async fn send(&mut self, outgoing: &Outgoing) -> Result<(), Setback> {
        let mail = self.sender.compose(outgoing).map_err(Setback::refusal)?;
        let patience = self.server.patience;
        // What was cut off in the middle is not used again: nobody knows what the server has heard.
        match timeout(patience, self.deliver(&mail)).await {
            Ok(delivered) => delivered,
            Err(_) => Err(late(&self.server, self.reached, patience)),
        }
    }

    async fn rest(&mut self) {
        if let Some(mut connection) = self.connection.take() {
            let _ = timeout(GOODBYE, connection.quit()).await;
        }
    }
}

impl Server {
    /// Its name and port.
    pub fn at(&self) -> String {
        if self.host.contains(':') {
            return format!("[{}]:{}", self.host, self.port);
        }
        format!("{}:{}", self.host, self.port)
    }

    /// Whether we have a name and a password there.
    pub const fn has_login(&self) -> bool {
        self.login.is_some()
    }

    async fn connect(&self, reached: &mut Stage) -> Result<AsyncSmtpConnection, Setback> {
        let at_once = (self.security == Security::Tls).then(|| self.tls.clone());
        let at = (self.host.as_str(), self.port);
        let connected =
            AsyncSmtpConnection::connect_tokio1(at, Some(self.patience), &self.hello, at_once, None).await;
        let mut connection = connected.map_err(|error| setback(self, Stage::Connect, &error))?;
        if self.security == Security::StartTls {
            *reached = Stage::StartTls;
            let secured = connection.starttls(self.tls.clone(), &self.hello).await;
            secured.map_err(|error| setback(self, Stage::StartTls, &error))?;
        }
        if let Some(login) = &self.login {
            *reached = Stage::Login;
            let done = connection.auth(DEFAULT_MECHANISMS, login).await;
            done.map_err(|error| setback(self, Stage::Login, &error))?;
        }
        Ok(connection)
    }
}

async fn hand_over(
    connection: &mut AsyncSmtpConnection,
    mail: &Mail,
    reached: &mut Stage,
) -> Result<(), lettre::transport::smtp::Error> {
    let options = if mail.is_international() { vec![MailParameter::SmtpUtfEight] } else { Vec::new() };
    *reached = Stage::Sender;
    connection.command(MailFrom::new(mail.envelope.from().cloned(), options)).await?;
    *reached = Stage::Recipient;
    for to in mail.envelope.to() {
        connection.command(Rcpt::new(to.clone(), Vec::new())).await?;
    }
    *reached = Stage::Content;
    connection.command(Data).await?;
    *reached = Stage::Answer;
    connection.message(&mail.bytes).await?;
    Ok(())
}
