//! Sends mails to a mail server: TLS from the first byte, or STARTTLS and nothing without it; in the clear only on this
//! machine.

use std::{fs, time::Duration};

use lettre::{
    address::Envelope,
    transport::smtp::{
        authentication::{Credentials, DEFAULT_MECHANISMS},
        client::{AsyncSmtpConnection, Certificate, TlsParameters},
        commands::{Data, Mail as MailFrom, Rcpt},
        extension::{ClientId, Extension, MailParameter},
    },
};
use tokio::time::timeout;

use super::{
    Transport,
    mail::{Mail, Sender},
    trouble::{Stage, setback},
};
use crate::{
    accounts::{Outgoing, Setback},
    config::{self, Security},
};

/// Sends to one mail server, over one connection at a time, which is kept as long as there is something to send.
pub struct Smtp {
    server: Server,
    sender: Sender,
    connection: Option<AsyncSmtpConnection>,
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
            let authority = match String::from_utf8_lossy(&pem).contains("-----BEGIN CERTIFICATE-----") {
                true => Certificate::from_pem(&pem).ok(),
                false => None, // which the library takes for a list of none
            };
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
        Ok(Self { server, sender, connection: None })
    }

    async fn deliver(&mut self, mail: &Mail) -> Result<(), Setback> {
        let kept = match self.connection.take() {
            Some(mut connection) => connection.test_connected().await.then_some(connection),
            None => None,
        };
        let mut connection = match kept {
            Some(connection) => connection,
            None => self.server.connect().await?,
        };
        match hand_over(&mut connection, &mail.envelope, &mail.bytes).await {
            Ok(()) => {
                self.connection = Some(connection);
                Ok(())
            }
            Err((stage, error)) => {
                connection.abort().await;
                Err(setback(&self.server, stage, &error))
            }
        }
    }
}

impl Transport for Smtp {
    async fn send(&mut self, outgoing: &Outgoing) -> Result<(), Setback> {
        let mail = self.sender.compose(outgoing).map_err(Setback::refusal)?;
        let patience = self.server.patience;
        // What was cut off in the middle is not used again: nobody knows what the server has heard.
        timeout(patience, self.deliver(&mail)).await.unwrap_or_else(|_| {
            let Server { host, port, .. } = &self.server;
            let seconds = patience.as_secs();
            Err(Setback::silence(format!(
                "{host}:{port} did not answer within {seconds} seconds (smtp.timeout)"
            )))
        })
    }

    async fn rest(&mut self) {
        if let Some(mut connection) = self.connection.take() {
            let _ = timeout(Duration::from_secs(1), connection.quit()).await;
        }
    }
}

impl Server {
    async fn connect(&self) -> Result<AsyncSmtpConnection, Setback> {
        let at_once = (self.security == Security::Tls).then(|| self.tls.clone());
        let at = (self.host.as_str(), self.port);
        let connected =
            AsyncSmtpConnection::connect_tokio1(at, Some(self.patience), &self.hello, at_once, None).await;
        let mut connection = connected.map_err(|error| setback(self, Stage::Connect, &error))?;
        if self.security == Security::StartTls {
            let secured = connection.starttls(self.tls.clone(), &self.hello).await;
            secured.map_err(|error| setback(self, Stage::StartTls, &error))?;
        }
        if let Some(login) = &self.login {
            let done = connection.auth(DEFAULT_MECHANISMS, login).await;
            done.map_err(|error| setback(self, Stage::Login, &error))?;
        }
        Ok(connection)
    }
}

async fn hand_over(
    connection: &mut AsyncSmtpConnection,
    envelope: &Envelope,
    mail: &[u8],
) -> Result<(), (Stage, lettre::transport::smtp::Error)> {
    let international =
        envelope.to().iter().chain(envelope.from()).any(|address| !AsRef::<str>::as_ref(address).is_ascii())
            && connection.server_info().supports_feature(Extension::SmtpUtfEight);
    let options = if international { vec![MailParameter::SmtpUtfEight] } else { Vec::new() };
    let from = MailFrom::new(envelope.from().cloned(), options);
    connection.command(from).await.map_err(|error| (Stage::Sender, error))?;
    for to in envelope.to() {
        connection.command(Rcpt::new(to.clone(), Vec::new())).await.map_err(|e| (Stage::Recipient, e))?;
    }
    connection.command(Data).await.map_err(|error| (Stage::Content, error))?;
    connection.message(mail).await.map_err(|error| (Stage::Content, error))?;
    Ok(())
}
