//! The transport that the settings name.

use std::io;

use super::{
    console::ConsoleTransport, delivery_error::DeliveryError, file::FileTransport, mail::Sender,
    outbox::OutboxMessage, smtp::SmtpTransport, transport::Transport,
};
use crate::config::{self, Config};

pub enum ConfiguredTransport {
    Console(ConsoleTransport<io::Stdout>),
    File(FileTransport),
    Smtp(Box<SmtpTransport>),
}

impl ConfiguredTransport {
    /// Opens no connection yet.
    ///
    /// # Errors
    /// Startup error, shown to the operator, if the settings cannot be used.
    pub fn new(config: &Config) -> Result<Self, String> {
        let settings = &config.messages;
        let sender = || Sender::new(&settings.from, &settings.shop_name);
        Ok(match settings.transport {
            config::Transport::Console => {
                Self::Console(ConsoleTransport::new(io::stdout(), &settings.shop_name))
            }
            config::Transport::File => Self::File(FileTransport::new(settings.folder.clone(), sender()?)),
            config::Transport::Smtp => Self::Smtp(Box::new(SmtpTransport::new(&config.smtp, sender()?)?)),
        })
    }
}

impl Transport for ConfiguredTransport {
    async fn send(&self, message: &OutboxMessage) -> Result<(), DeliveryError> {
        match self {
            Self::Console(console) => console.send(message).await,
            Self::File(file) => file.send(message).await,
            Self::Smtp(smtp) => smtp.send(message).await,
        }
    }

    fn capacity(&self) -> usize {
        match self {
            Self::Console(console) => console.capacity(),
            Self::File(file) => file.capacity(),
            Self::Smtp(smtp) => smtp.capacity(),
        }
    }

    async fn flush_idle(&self) {
        match self {
            Self::Console(console) => console.flush_idle().await,
            Self::File(file) => file.flush_idle().await,
            Self::Smtp(smtp) => smtp.flush_idle().await,
        }
    }
}
