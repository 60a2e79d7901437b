//! Audit events.

use poem_openapi::{Enum, Object, types::Example};
use serde::{Serialize, Serializer};
use uuid::Uuid;

use super::time::Time;
use crate::domain::{self, AuditCursor, Page};

/// A change to an account, or a relevant attempt. It contains no secrets, and of a profile only which fields changed.
#[derive(Object, Serialize)]
#[oai(rename = "AuditEvent", example)]
pub struct AuditEventView {
    /// The id of the event, a UUIDv7.
    id: Uuid,
    /// When it happened.
    at: Time,
    /// What was done.
    action: Action,
    /// The id of the user who did it. `null` if none was authenticated, as for a sign-up, on the command line or in a
    /// scheduled job.
    #[oai(nullable)]
    actor_id: Option<Uuid>,
    /// The id of the user it was done to. The account may be deleted by now.
    user_id: Uuid,
    /// Where the change was made.
    channel: Channel,
    /// The IP address of the client. `null` if the change was not made over HTTP.
    #[oai(nullable)]
    ip: Option<String>,
    /// The `User-Agent` of the client, cut off after {user-agent-chars} characters.
    #[oai(nullable)]
    user_agent: Option<String>,
    /// The id of the operating system's user who ran the command. `null` if the change was not made on the command line.
    #[oai(nullable)]
    uid: Option<u32>,
    /// The id of the request, as in the header `X-Request-Id`.
    #[oai(nullable)]
    request_id: Option<String>,
    /// The changed fields, for `user.edited`. Empty for other events.
    changes: Vec<FieldChange>,
}

/// A changed field. For e-mail addresses and names both values are `null`: they are not recorded.
#[derive(Object, Serialize)]
struct FieldChange {
    /// The name of the field.
    field: String,
    /// The old value.
    #[oai(nullable)]
    from: Option<String>,
    /// The new value.
    #[oai(nullable)]
    to: Option<String>,
}

impl Example for AuditEventView {
    fn example() -> Self {
        let change = |word: &str| Some(word.to_owned());
        Self {
            id: Uuid::from_u128(0x019a_af6e_5040_7b52_8f4e_2d1b_93c6_a7d1),
            at: Time(domain::Timestamp::from_millis(1_795_339_800_000)),
            action: Action::UserEdited,
            actor_id: Some(Uuid::from_u128(0x019a_af6e_5040_7b52_8f4e_2d1b_93c6_a7d2)),
            user_id: Uuid::from_u128(0x019a_af6e_5040_7b52_8f4e_2d1b_93c6_a7d0),
            channel: Channel::Api,
            ip: Some("192.0.2.7".to_owned()),
            user_agent: Some("till/2.1".to_owned()),
            uid: None,
            request_id: Some("019aaf6e-5040-7b52-8f4e-2d1b93c6a7d3".to_owned()),
            changes: vec![FieldChange {
                field: "role".to_owned(),
                from: change("user"),
                to: change("admin"),
            }],
        }
    }
}

/// One page of audit events.
#[derive(Object, Serialize)]
#[oai(example)]
pub struct AuditPage {
    /// The events of this page, newest first.
    items: Vec<AuditEventView>,
    /// Send this as `cursor` to get the next page. `null` on the last page.
    #[oai(nullable)]
    next_cursor: Option<String>,
}

impl Example for AuditPage {
    fn example() -> Self {
        Self { items: vec![AuditEventView::example()], next_cursor: Some("e2a".to_owned()) }
    }
}

/// Where a change was made: `api` (JSON over HTTP), `page` (a page of a link), `console` (reserved for the web console), `cli`
/// (the command line) or `job` (a scheduled job).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename_all = "lowercase", remote = "domain::Channel")]
pub enum Channel {
    Api,
    Page,
    Console,
    Cli,
    Job,
}

/// What was done. New actions can be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(remote = "domain::Action")]
pub enum Action {
    #[oai(rename = "user.signed_up")]
    UserSignedUp,
    #[oai(rename = "user.invited")]
    UserInvited,
    #[oai(rename = "user.created")]
    UserCreated,
    #[oai(rename = "user.verified")]
    UserVerified,
    #[oai(rename = "user.edited")]
    UserEdited,
    #[oai(rename = "user.deleted")]
    UserDeleted,
    #[oai(rename = "user.expired")]
    UserExpired,
    #[oai(rename = "user.rejected")]
    UserRejected,
    #[oai(rename = "invitation.accepted")]
    InvitationAccepted,
    #[oai(rename = "email.change_requested")]
    EmailChangeRequested,
    #[oai(rename = "email.change_cancelled")]
    EmailChangeCancelled,
    #[oai(rename = "email.changed")]
    EmailChanged,
    #[oai(rename = "password.reset_requested")]
    PasswordResetRequested,
    #[oai(rename = "password.reset_link_created")]
    PasswordResetLinkCreated,
    #[oai(rename = "password.reset")]
    PasswordReset,
    #[oai(rename = "password.changed")]
    PasswordChanged,
    #[oai(rename = "session.started")]
    SessionStarted,
    #[oai(rename = "session.ended")]
    SessionEnded,
    #[oai(rename = "session.refresh_reuse_detected")]
    SessionRefreshReuseDetected,
    #[oai(rename = "sessions.ended")]
    SessionsEnded,
}

impl Serialize for Channel {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(domain::Channel::from(*self).into_str())
    }
}

impl Serialize for Action {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(domain::Action::from(*self).into_str())
    }
}

impl From<Page<domain::AuditEvent, AuditCursor>> for AuditPage {
    fn from(page: Page<domain::AuditEvent, AuditCursor>) -> Self {
        Self {
            items: page.items.into_iter().map(Into::into).collect(),
            next_cursor: page.next.map(AuditCursor::encode),
        }
    }
}

impl From<domain::AuditEvent> for AuditEventView {
    fn from(event: domain::AuditEvent) -> Self {
        let origin = event.origin;
        let changes = event.changes.into_iter();
        Self {
            id: event.id,
            at: Time(event.at),
            action: event.action.into(),
            actor_id: event.actor_id.map(|id| *id.as_uuid()),
            user_id: *event.user_id.as_uuid(),
            channel: origin.channel.into(),
            ip: origin.client.ip.map(|ip| ip.to_string()),
            user_agent: origin.client.user_agent,
            uid: origin.uid,
            request_id: origin.request_id.map(|id| id.to_string()),
            changes: changes
                .map(|domain::FieldChange { field, from, to }| FieldChange { field, from, to })
                .collect(),
        }
    }
}
