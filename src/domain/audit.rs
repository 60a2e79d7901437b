//! Audit events: what was done to an account, by whom, when and from where. They contain no secret and no content of a profile.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr, VariantArray};
use uuid::Uuid;

use super::{Client, Limit, Timestamp, UserId};

/// Where a change was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, IntoStaticStr, EnumString)]
#[strum(const_into_str, serialize_all = "snake_case")]
pub enum Channel {
    /// The JSON API.
    #[default]
    Api,
    /// A page behind a link in a message.
    Page,
    /// Reserved for the web console.
    Console,
    Cli,
    Job,
}

/// Where a request or a command came from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    pub channel: Channel,
    pub client: Client,
    /// The user id in the operating system, on the command line.
    pub uid: Option<u32>,
    /// The id under which a request over HTTP is in the log.
    pub request_id: Option<Arc<str>>,
}

impl Origin {
    #[must_use]
    pub fn job() -> Self {
        Self { channel: Channel::Job, ..Self::default() }
    }

    #[must_use]
    pub fn cli(uid: u32) -> Self {
        Self { channel: Channel::Cli, uid: Some(uid), ..Self::default() }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, IntoStaticStr, EnumString, VariantArray)]
#[strum(const_into_str)]
pub enum Action {
    #[strum(serialize = "user.signed_up")]
    UserSignedUp,
    #[strum(serialize = "user.invited")]
    UserInvited,
    #[strum(serialize = "user.created")]
    UserCreated,
    #[strum(serialize = "user.verified")]
    UserVerified,
    #[strum(serialize = "user.edited")]
    UserEdited,
    #[strum(serialize = "user.deleted")]
    UserDeleted,
    #[strum(serialize = "user.expired")]
    UserExpired,
    #[strum(serialize = "user.rejected")]
    UserRejected,
    #[strum(serialize = "invitation.accepted")]
    InvitationAccepted,
    #[strum(serialize = "email.change_requested")]
    EmailChangeRequested,
    #[strum(serialize = "email.change_cancelled")]
    EmailChangeCancelled,
    #[strum(serialize = "email.changed")]
    EmailChanged,
    #[strum(serialize = "password.reset_requested")]
    PasswordResetRequested,
    #[strum(serialize = "password.reset_link_created")]
    PasswordResetLinkCreated,
    #[strum(serialize = "password.reset")]
    PasswordReset,
    #[strum(serialize = "password.changed")]
    PasswordChanged,
    #[strum(serialize = "session.started")]
    SessionStarted,
    #[strum(serialize = "session.ended")]
    SessionEnded,
    #[strum(serialize = "session.refresh_reuse_detected")]
    SessionRefreshReuseDetected,
    #[strum(serialize = "sessions.ended")]
    SessionsEnded,
}

/// A field that an edit changed. For an address or a name both values are `None`, since they are personal data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldChange {
    /// The name of the field in the API.
    pub field: String,
    pub from: Option<String>,
    pub to: Option<String>,
}

/// A change of an account, or an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEvent {
    /// A UUIDv7.
    pub id: Uuid,
    pub at: Timestamp,
    pub action: Action,
    /// `None` if anonymous, on the command line and in jobs.
    pub actor_id: Option<UserId>,
    /// The user it was done to, who may be deleted by now.
    pub user_id: UserId,
    pub origin: Origin,
    /// Empty unless it is an edit.
    pub changes: Vec<FieldChange>,
}

/// A page of audit events, newest first.
#[derive(Clone, Debug, Default)]
pub struct AuditQuery {
    /// Filters by the user it was done to.
    pub user_id: Option<UserId>,
    /// Filters by the user who did it.
    pub actor_id: Option<UserId>,
    /// Filters by action.
    pub action: Option<Action>,
    pub cursor: Option<AuditCursor>,
    pub limit: Limit,
}

/// The last event of the page before: its place in the order in which events were recorded, which only the store interprets.
///
/// Time and id would not do. A clock that is set back changes the order of times, a purge records thousands of events at one
/// time, and the event may be deleted by the next page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuditCursor(i64);

impl AuditCursor {
    pub(crate) const fn after(recorded: i64) -> Self {
        Self(recorded)
    }

    pub(crate) const fn recorded(self) -> i64 {
        self.0
    }

    /// The opaque text that clients send back.
    #[must_use]
    pub fn encode(self) -> String {
        format!("e{:x}", self.0)
    }

    /// Returns `None` if the text is no cursor.
    #[must_use]
    pub fn decode(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('e').filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))?;
        i64::from_str_radix(digits, 16).ok().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_action_is_found_by_its_name() {
        for action in Action::VARIANTS {
            assert_eq!(action.into_str().parse(), Ok(*action));
            assert!(action.into_str().contains('.'), "{action:?}");
        }
    }

    #[test]
    fn a_cursor_comes_back_or_is_refused() {
        let cursor = AuditCursor(0x1234_5678_9abc);
        assert_eq!(AuditCursor::decode(&cursor.encode()), Some(cursor));
        for text in ["", "e", "12", "e-1", "e+1", "e1g", "effffffffffffffffff", "ｅ1"] {
            assert_eq!(AuditCursor::decode(text), None, "{text}");
        }
    }
}
