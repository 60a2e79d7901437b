//! `/audit`.

use poem_openapi::{OpenApi, param::Query};
use uuid::Uuid;

use super::{
    answers::Json,
    guards::AdminOnly,
    inputs::{AuditCursorText, page},
    tags::Tag,
    views::{Action, AuditPage},
};
use crate::{
    accounts,
    domain::{AuditQuery, UserId},
    http::ApiResult,
};

pub struct Audit(pub accounts::Audit);

#[OpenApi(tag = "Tag::Audit")]
impl Audit {
    /// List audit events
    ///
    /// Returns one page of the audit events that match all filters, newest first. An event tells who changed which account,
    /// when and from where: over HTTP, on a page, on the command line or in a scheduled job. Events are kept for
    /// {audit-retention}, including those about deleted users. For admins only.
    ///
    /// Errors:
    /// - `403 forbidden`: the caller is not an active admin.
    #[oai(path = "/audit", method = "get", operation_id = "list_audit")]
    async fn list(
        &self,
        admin: AdminOnly,
        /// The maximum number of events in the page.
        #[oai(validator(minimum(value = "1"), maximum(value = "200")), default = "page::default_limit")]
        limit: Query<i64>,
        /// The `next_cursor` of the page before. Omit it to get the first page.
        cursor: Query<Option<AuditCursorText>>,
        /// Filter by the user whom the event is about.
        user_id: Query<Option<Uuid>>,
        /// Filter by the user who caused the event.
        actor_id: Query<Option<Uuid>>,
        /// Filter by action.
        action: Query<Option<Action>>,
    ) -> ApiResult<Json<AuditPage>> {
        let query = AuditQuery {
            user_id: user_id.0.map(UserId::from_uuid),
            actor_id: actor_id.0.map(UserId::from_uuid),
            action: action.0.map(Into::into),
            cursor: page::audit_cursor(cursor.0)?,
            limit: page::limit(limit.0)?,
        };
        let page = self.0.list(&admin.0, query).await?;
        Ok(Json(page.into()))
    }
}
