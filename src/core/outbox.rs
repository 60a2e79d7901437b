//! The outbox as the use cases see it: a message is enqueued in the commit of what caused it, and shown to those it concerns.

use uuid::Uuid;

use super::{context::Tx, error::Error, sent_counts::count_notice, settings::NOTICE_TTL};
use crate::{
    crypto::InstallationSecret,
    domain::{Email, Message, MessageId, MessageKind, MessageState, OutboxEntry, Timestamp, User, UserId},
    store::SealedMessage,
};

/// Enqueues a message for a user, which goes with the account. The worker is woken after the commit.
pub fn enqueue(
    tx: &Tx<'_>,
    user: &User,
    to: &Email,
    message: &Message,
    expires_at: Timestamp,
    now: Timestamp,
) -> Result<(), Error> {
    insert(tx, Some(user.id), to, message, expires_at, now)
}

/// Enqueues a notice: a message that says what happened to an account. It outlives the account, so that an attacker cannot
/// suppress it by deleting that.
pub fn notify(tx: &Tx<'_>, to: &Email, message: &Message, now: Timestamp) -> Result<(), Error> {
    insert(tx, None, to, message, now + NOTICE_TTL, now)
}

/// Enqueues a notice with the address of the form for a new password. Since it can be caused again and again, it is dropped
/// beyond what an address is sent of a kind.
pub fn notify_with_form(
    tx: &Tx<'_>,
    counted_as: &str,
    kind: MessageKind,
    to: &Email,
    now: Timestamp,
) -> Result<(), Error> {
    match count_notice(tx, counted_as, to, now) {
        Err(Error::TooManyRequests { .. }) => return Ok(()),
        counted => counted?,
    }
    let link = Some(tx.settings().reset_url.clone());
    let message = Message { link, ..Message::plain(to.as_str().to_owned(), kind) };
    notify(tx, to, &message, now)
}

/// Decrypts a message.
///
/// # Errors
/// `Internal` if it was sealed under another secret, or is of a version that is gone.
pub fn open(secret: &InstallationSecret, sealed: &SealedMessage) -> Result<Message, Error> {
    let plain = secret.unseal(&label(sealed.id), &sealed.sealed)?;
    serde_json::from_slice(&plain).map_err(|e| Error::Internal(e.to_string()))
}

/// Whether a message was sealed with this secret; it may be of a version that is gone.
pub fn can_unseal(secret: &InstallationSecret, sealed: &SealedMessage) -> bool {
    secret.unseal(&label(sealed.id), &sealed.sealed).is_ok()
}

/// A message as it is shown; one that cannot be read any more has no subject.
pub fn entry(secret: &InstallationSecret, sealed: &SealedMessage, now: Timestamp) -> OutboxEntry {
    let (to, kind) = match open(secret, sealed) {
        Ok(message) => (message.to, Some(message.kind)),
        Err(_) => (sealed.recipient.clone(), None),
    };
    let state = if sealed.expires_at <= now { MessageState::Dead } else { sealed.state };
    OutboxEntry {
        id: sealed.id,
        to,
        kind,
        state,
        attempts: sealed.attempts,
        due_at: sealed.due_at,
        created_at: sealed.created_at,
        expires_at: sealed.expires_at,
        last_error: sealed.last_error.clone(),
    }
}

fn insert(
    tx: &Tx<'_>,
    user_id: Option<UserId>,
    to: &Email,
    message: &Message,
    expires_at: Timestamp,
    now: Timestamp,
) -> Result<(), Error> {
    let id = MessageId(Uuid::now_v7());
    let plain = serde_json::to_vec(message).map_err(|e| Error::Internal(e.to_string()))?;
    let sealed = tx.secret().seal(&label(id), &plain)?;
    tx.enqueue(&SealedMessage {
        id,
        user_id,
        recipient: to.key().to_owned(),
        mailbox: to.mailbox(),
        urgent: message.kind.is_urgent(),
        sealed,
        state: MessageState::Waiting,
        attempts: 0,
        due_at: now.max(tx.core().outbox_pause.until()),
        created_at: now,
        expires_at,
        last_error: None,
    })?;
    tx.wake_outbox();
    Ok(())
}

/// What a message is sealed with, besides the secret.
fn label(id: MessageId) -> String {
    format!("message {}", id.0)
}
