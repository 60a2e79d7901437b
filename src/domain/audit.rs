//! An audit event: what was done to an account, by whom, when and from where; never a secret, never the content of a
//! profile.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr, VariantArray};
use uuid::Uuid;

use super::{Client, Limit, Timestamp, UserId};

/// Where a change was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, IntoStaticStr, EnumString)]
#[strum(const_into_str, serialize_all = "snake_case")]
pub enum Channel {
    /// Over the HTTP API.
    #[default]
    Api,
    /// On a page for customers.
    Page,
    /// In the web console for admins: reserved, nothing writes it yet.
    Console,
    /// On the command line.
    Cli,
    /// In a scheduled job.
    Job,
}

/// Where a request or a command came from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// How they came in.
    pub channel: Channel,
    /// The program and the address.
    pub client: Client,
    /// At the console: the user id in the operating system.
    pub uid: Option<u32>,
    /// Over HTTP: the id under which the request is in the log.
    pub request_id: Option<Arc<str>>,
}

impl Origin {
    /// The server itself, by the clock.
    #[must_use]
    pub fn job() -> Self {
        Self { channel: Channel::Job, ..Self::default() }
    }

    /// The command line, run by this user of the operating system.
    #[must_use]
    pub fn cli(uid: u32) -> Self {
        Self { channel: Channel::Cli, uid: Some(uid), ..Self::default() }
    }
}

/// What was done.
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

/// A field that an edit changed. What people tell about themselves stays out of it: for an address or a name there is
/// neither value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldChange {
    /// The field, as the API calls it.
    pub field: String,
    /// What it was.
    pub from: Option<String>,
    /// What it is.
    pub to: Option<String>,
}

/// Something that was done to an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEvent {
    /// A UUIDv7.
    pub id: Uuid,
    /// When.
    pub at: Timestamp,
    /// What.
    pub action: Action,
    /// By whom; none if nobody was signed in.
    pub actor_id: Option<UserId>,
    /// To whose account, which may be gone.
    pub user_id: UserId,
    /// From where.
    pub origin: Origin,
    /// The fields of an edit.
    pub changes: Vec<FieldChange>,
}

/// Which page of which events, newest first.
#[derive(Clone, Debug, Default)]
pub struct AuditQuery {
    /// Only what was done to this account.
    pub user_id: Option<UserId>,
    /// Only what this user did.
    pub actor_id: Option<UserId>,
    /// Only this.
    pub action: Option<Action>,
    /// From where on; from the newest if there is none.
    pub cursor: Option<AuditCursor>,
    /// How many.
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

    /// The place as clients hand it back, who need not know what is in it.
    #[must_use]
    pub fn encode(self) -> String {
        format!("e{:x}", self.0)
    }

    /// The place that a client hands back, if it is one.
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
