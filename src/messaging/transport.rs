//! The interface of a transport.

use super::{delivery_error::DeliveryError, outbox::OutboxMessage};
use crate::domain::{Message, MessageKind, Timestamp};

/// Sends messages to people.
pub trait Transport: Send + Sync {
    fn send(&self, message: &OutboxMessage) -> impl Future<Output = Result<(), DeliveryError>> + Send;

    /// How many messages it can send at once, for now.
    fn capacity(&self) -> usize {
        1
    }

    /// Closes idle connections: there is nothing more to send for now.
    fn flush_idle(&self) -> impl Future<Output = ()> + Send {
        async {}
    }

    /// Sends a message to try the settings.
    ///
    /// # Errors
    /// One sentence that says what is wrong.
    fn send_test(&self, to: &str, now: Timestamp) -> impl Future<Output = Result<(), DeliveryError>> + Send {
        let message = OutboxMessage::unsaved(Message::plain(to.to_owned(), MessageKind::Test), now);
        async move {
            let sent = self.send(&message).await;
            self.flush_idle().await;
            sent
        }
    }
}
