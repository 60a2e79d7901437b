//! `/audit`.

use poem_openapi::{OpenApi, param::Query};
use uuid::Uuid;

use super::{
    ApiResult, Tag,
    answers::Json,
    guards::AsAdmin,
    inputs::page::{audit_cursor, default_limit, limit as page_limit},
    views::{Action, AuditPage},
};
use crate::{
    accounts::Accounts,
    domain::{AuditQuery, UserId},
};

pub struct Audit(pub Accounts);

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
        #[oai(validator(minimum(value = "1"), maximum(value = "200")), default = "default_limit")]
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
            cursor: audit_cursor(cursor.0)?,
            limit: page_limit(limit.0)?,
        };
        let page = self.0.audit(&by.0, query).await?;
        Ok(Json(page.into()))
    }
}
