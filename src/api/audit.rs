//! `/audit`.

use poem_openapi::{Object, OpenApi, param::Query, types::Example};
use serde::Serialize;
use uuid::Uuid;

use super::{
    ApiResult, Tag,
    answers::Json,
    guards::AsAdmin,
    views::{Action, Channel, Time, cursor, limit},
};
use crate::{
    accounts::Accounts,
    domain::{self, AuditCursor, AuditQuery, Page, UserId},
};

pub struct Audit(pub Accounts);

/// A change to an account, or an attempt. It holds no secret, and of a profile no more than which fields changed.
#[derive(Object, Serialize)]
#[oai(rename = "AuditEvent", example)]
pub struct AuditEventView {
    /// The id of the event, a UUIDv7.
    id: Uuid,
    /// When it happened.
    at: Time,
    /// What was done.
    action: Action,
    /// The id of the authenticated user who did it. `null` without one, as for a sign-up, on the command line or in a
    /// scheduled job.
    #[oai(nullable)]
    actor_id: Option<Uuid>,
    /// The id of the user that it was done to, who may be deleted by now.
    user_id: Uuid,
    /// Where the change was made.
    channel: Channel,
    /// The IP address of the client, over HTTP.
    #[oai(nullable)]
    ip: Option<String>,
    /// The `User-Agent` of the client, over HTTP.
    #[oai(nullable)]
    user_agent: Option<String>,
    /// The user id in the operating system, on the command line.
    #[oai(nullable)]
    uid: Option<u32>,
    /// The id of the request, as in the header `X-Request-Id`, over HTTP.
    #[oai(nullable)]
    request_id: Option<String>,
    /// The fields that an edit changed. Empty for other events.
    changes: Vec<FieldChange>,
}

/// A field that was changed. The values of e-mail addresses and names are omitted: both are `null`.
#[derive(Object, Serialize)]
struct FieldChange {
    /// The name of the field.
    field: String,
    /// The value before.
    #[oai(nullable)]
    from: Option<String>,
    /// The value after.
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
struct AuditPage {
    /// The events of this page, newest first.
    items: Vec<AuditEventView>,
    /// Send it as `cursor` to get the next page. `null` on the last page.
    #[oai(nullable)]
    next_cursor: Option<String>,
}

impl Example for AuditPage {
    fn example() -> Self {
        Self { items: vec![AuditEventView::example()], next_cursor: Some("e2a".to_owned()) }
    }
}

#[OpenApi(tag = "Tag::Audit")]
impl Audit {
    /// List audit events
    ///
    /// Gives one page of the audit events that match every filter, newest first: who did what to which account, when and
    /// from where, over HTTP, on a page, on the command line or in a scheduled job. Events are kept for a year unless the
    /// shop has set another time (`audit.retention`), also those about deleted users. For admins only; other users get
    /// `403 forbidden`.
    #[oai(path = "/audit", method = "get", operation_id = "list_audit")]
    async fn list(
        &self,
        by: AsAdmin,
        /// The most events in a page.
        #[oai(validator(minimum(value = "1"), maximum(value = "200")), default = "limit::default")]
        limit: Query<i64>,
        /// The `next_cursor` of the page before. Leave it out to get the first page.
        #[oai(validator(max_length = 64))]
        cursor: Query<Option<String>>,
        /// Only events about this user.
        user_id: Query<Option<Uuid>>,
        /// Only events that this user caused.
        actor_id: Query<Option<Uuid>>,
        /// Only events with this action.
        action: Query<Option<Action>>,
    ) -> ApiResult<Json<AuditPage>> {
        let query = AuditQuery {
            user_id: user_id.0.map(UserId::from_uuid),
            actor_id: actor_id.0.map(UserId::from_uuid),
            action: action.0.map(Into::into),
            cursor: cursor.0.as_deref().map(place).transpose()?,
            limit: limit::parse(limit.0)?,
        };
        let page = self.0.audit(&by.0, query).await?;
        Ok(Json(page.into()))
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

fn place(text: &str) -> ApiResult<AuditCursor> {
    AuditCursor::decode(text).ok_or_else(|| cursor::foreign("this list"))
}
