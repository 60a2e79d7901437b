//! The export of a user's data.

use poem_openapi::{Object, types::Example};
use serde::Serialize;
use uuid::Uuid;

use super::{audit_event::AuditEventView, session::SessionView, time::Time, user::UserView};
use crate::{
    accounts,
    domain::{self, MessageState, SessionId, Timestamp},
};

/// Everything that is stored about a user. It contains no password, code or token: they are stored as hashes, codes and links also encrypted in messages that wait to be sent.
#[derive(Object, Serialize)]
#[oai(example)]
pub struct Export {
    /// When the export was made.
    exported_at: Time,
    /// The user.
    user: UserView,
    /// Whether the account has a password. An invited user has none until the invitation is accepted.
    has_password: bool,
    /// The active sessions.
    sessions: Vec<SessionView>,
    /// The codes and links that were sent and not used yet.
    codes: Vec<SentCode>,
    /// The messages that are not sent yet.
    messages: Vec<WaitingMessage>,
    /// The latest audit events about the user or caused by the user, newest first.
    events: Vec<AuditEventView>,
}

/// A code and a link that were sent to the user.
#[derive(Object, Serialize)]
struct SentCode {
    /// What they are for: `verify_email`, `change_email`, `reset_password`, `accept_invitation`, `admin_reset`,
    /// `cancel_email_change` or `choose_password`.
    purpose: String,
    /// The e-mail address they were sent to.
    sent_to: String,
    /// When the code expires. `null` if there is no valid code.
    #[oai(nullable)]
    code_until: Option<Time>,
    /// When the link expires.
    link_until: Time,
}

/// A message in the outbox, where it waits to be sent.
#[derive(Object, Serialize)]
struct WaitingMessage {
    /// The id of the message, a UUIDv7.
    id: Uuid,
    /// The e-mail address of the recipient.
    to: String,
    /// The kind of message, such as `password_changed`.
    about: String,
    /// `waiting`, or `dead` after the last attempt to send it.
    state: String,
    /// When it was enqueued.
    created_at: Time,
}

impl Example for Export {
    fn example() -> Self {
        let now = Time(Timestamp::from_millis(1_795_339_800_000));
        Self {
            exported_at: now,
            user: UserView::example(),
            has_password: true,
            sessions: vec![SessionView::example()],
            codes: vec![SentCode {
                purpose: "verify_email".to_owned(),
                sent_to: "ann@example.com".to_owned(),
                code_until: Some(now),
                link_until: now,
            }],
            messages: vec![WaitingMessage {
                id: Uuid::from_u128(0x019a_af6e_5040_7b52_8f4e_2d1b_93c6_a7d5),
                to: "ann@example.com".to_owned(),
                about: "verify_email".to_owned(),
                state: MessageState::Waiting.into_str().to_owned(),
                created_at: now,
            }],
            events: vec![AuditEventView::example()],
        }
    }
}

impl Export {
    pub fn new(export: accounts::Export, own: SessionId) -> Self {
        let sessions = export.sessions.into_iter();
        Self {
            exported_at: Time(export.exported_at),
            user: (&export.user).into(),
            has_password: export.has_password,
            sessions: sessions.map(|session| SessionView::new(session, Some(own))).collect(),
            codes: export.codes.into_iter().map(Into::into).collect(),
            messages: export.messages.into_iter().map(Into::into).collect(),
            events: export.events.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<domain::Code> for SentCode {
    fn from(code: domain::Code) -> Self {
        Self {
            purpose: code.purpose.into_str().to_owned(),
            sent_to: code.email.as_str().to_owned(),
            code_until: code.code_hash.map(|_| Time(code.code_expires_at)),
            link_until: Time(code.token_expires_at),
        }
    }
}

impl From<domain::OutboxEntry> for WaitingMessage {
    fn from(message: domain::OutboxEntry) -> Self {
        Self {
            id: message.id.0,
            about: message.about().to_owned(),
            to: message.to,
            state: message.state.into_str().to_owned(),
            created_at: Time(message.created_at),
        }
    }
}
