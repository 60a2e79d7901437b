//! `/audit`.

use poem_openapi::{Object, OpenApi, param::Query, payload::Json, types::Example};
use uuid::Uuid;

use super::{
    ApiResult, Tag,
    guards::AsAdmin,
    views::{Action, Door, Time, cursor, limit},
};
use crate::{
    accounts::Accounts,
    model::{self, AuditCursor, AuditQuery, Page, UserId},
};

pub struct Audit(pub Accounts);

/// Something that was done to an account. It holds no secret, and of a profile no more than which fields changed.
#[derive(Object)]
#[oai(rename = "AuditEvent", example)]
pub struct AuditEventView {
    /// A UUIDv7.
    id: Uuid,
    /// When.
    at: Time,
    /// What.
    action: Action,
    /// Who was signed in and did it; `null` if nobody was, as at a sign-up, at the console or by the clock.
    #[oai(nullable)]
    actor_id: Option<Uuid>,
    /// Whose account it was done to; it may be gone.
    user_id: Uuid,
    /// How they came in.
    door: Door,
    /// The network address, over HTTP.
    #[oai(nullable)]
    ip: Option<String>,
    /// What the program called itself, over HTTP.
    #[oai(nullable)]
    user_agent: Option<String>,
    /// The user id in the operating system, at the console.
    #[oai(nullable)]
    uid: Option<u32>,
    /// The id of the request, for the log.
    #[oai(nullable)]
    request_id: Option<String>,
    /// The fields that an edit changed.
    changes: Vec<FieldChange>,
}

/// A field that was changed. Addresses and names are not repeated here: both values are `null`.
#[derive(Object)]
struct FieldChange {
    /// The field.
    field: String,
    /// What it was.
    #[oai(nullable)]
    from: Option<String>,
    /// What it is.
    #[oai(nullable)]
    to: Option<String>,
}

impl Example for AuditEventView {
    fn example() -> Self {
        let change = |word: &str| Some(word.to_owned());
        Self {
            id: Uuid::from_u128(0x019a_af6e_5040_7b52_8f4e_2d1b_93c6_a7d1),
            at: Time(model::Timestamp::from_millis(1_795_339_800_000)),
            action: Action::UserEdited,
            actor_id: Some(Uuid::from_u128(0x019a_af6e_5040_7b52_8f4e_2d1b_93c6_a7d2)),
            user_id: Uuid::from_u128(0x019a_af6e_5040_7b52_8f4e_2d1b_93c6_a7d0),
            door: Door::Api,
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

/// One page of events.
#[derive(Object)]
#[oai(example)]
struct AuditPage {
    /// The events of this page, newest first.
    items: Vec<AuditEventView>,
    /// Where the next page starts, to be sent as `cursor`; `null` on the last page.
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
    /// See what was done
    ///
    /// One page of events, newest first: who did what to whose account, when and from where, whichever door they came in
    /// by. Events are kept for `audit.retention`, also those about accounts that are gone. Admins only.
    #[oai(path = "/audit", method = "get", operation_id = "list_audit")]
    async fn list(
        &self,
        by: AsAdmin,
        /// How many events a page has at most.
        #[oai(validator(minimum(value = "1"), maximum(value = "200")), default = "limit::default")]
        limit: Query<i64>,
        /// `next_cursor` of the page before.
        #[oai(validator(max_length = 64))]
        cursor: Query<Option<String>>,
        /// Only what was done to this account.
        user_id: Query<Option<Uuid>>,
        /// Only what this user did.
        actor_id: Query<Option<Uuid>>,
        /// Only this.
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

impl From<Page<model::AuditEvent, AuditCursor>> for AuditPage {
    fn from(page: Page<model::AuditEvent, AuditCursor>) -> Self {
        Self {
            items: page.items.into_iter().map(Into::into).collect(),
            next_cursor: page.next.map(AuditCursor::encode),
        }
    }
}

impl From<model::AuditEvent> for AuditEventView {
    fn from(event: model::AuditEvent) -> Self {
        let origin = event.origin;
        let changes = event.changes.into_iter();
        Self {
            id: event.id,
            at: Time(event.at),
            action: event.action.into(),
            actor_id: event.actor_id.map(|id| *id.as_uuid()),
            user_id: *event.user_id.as_uuid(),
            door: origin.door.into(),
            ip: origin.client.ip.map(|ip| ip.to_string()),
            user_agent: origin.client.user_agent,
            uid: origin.uid,
            request_id: origin.request_id.map(|id| id.to_string()),
            changes: changes
                .map(|model::FieldChange { field, from, to }| FieldChange { field, from, to })
                .collect(),
        }
    }
}

fn place(text: &str) -> ApiResult<AuditCursor> {
    AuditCursor::decode(text).ok_or_else(|| cursor::foreign("this list"))
}
