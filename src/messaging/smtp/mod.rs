//! Sends mails to a mail server over SMTP.

mod diagnosis;
mod dialogue;
mod pool;
mod reply;
mod server;
mod tls;
mod transport;

pub use self::transport::SmtpTransport;
