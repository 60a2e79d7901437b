//! `/me/sessions` and `/users/{id}/sessions`.

use poem_openapi::{OpenApi, param::Path};
use uuid::Uuid;

use super::{
    ApiResult, Tag,
    answers::{Json, NoContent},
    guards::{AsAdmin, SignedIn},
    views::Sessions,
};
use crate::{
    accounts::Accounts,
    domain::{SessionId, UserId},
};

pub struct SessionList(pub Accounts);

#[OpenApi]
impl SessionList {
    /// List your sessions
    ///
    /// Gives every session of the authenticated user that has not ended, most recently used first, with the program and
    /// the IP address of its login. `current` marks the session that this request belongs to.
    #[oai(path = "/me/sessions", method = "get", operation_id = "list_my_sessions", tag = "Tag::OwnAccount")]
    async fn own(&self, who: SignedIn) -> ApiResult<Json<Sessions>> {
        let sessions = self.0.own_sessions(&who.0).await?;
        Ok(Json(Sessions::new(sessions, Some(who.0.session_id()))))
    }

    /// End one of your sessions
    ///
    /// Ends one session of the authenticated user: its tokens are no longer accepted. It may be the session that this
    /// request belongs to. An id that is no session of the user gets `404 not_found`.
    #[oai(
        path = "/me/sessions/:id",
        method = "delete",
        operation_id = "end_my_session",
        tag = "Tag::OwnAccount"
    )]
    async fn end_own(
        &self,
        who: SignedIn,
        /// The id of the session.
        id: Path<Uuid>,
    ) -> ApiResult<NoContent> {
        self.0.end_own_session(&who.0, SessionId::from_uuid(id.0)).await?;
        Ok(NoContent::Done)
    }

    /// List a user's sessions
    ///
    /// Gives every session of a user that has not ended, most recently used first. For admins only; other users get `403
    /// forbidden`.
    #[oai(path = "/users/:id/sessions", method = "get", operation_id = "list_sessions", tag = "Tag::Users")]
    async fn list(
        &self,
        by: AsAdmin,
        /// The id of the user.
        id: Path<Uuid>,
    ) -> ApiResult<Json<Sessions>> {
        let sessions = self.0.sessions_of(&by.0, UserId::from_uuid(id.0)).await?;
        Ok(Json(Sessions::new(sessions, by.0.session_id())))
    }

    /// End a user's sessions
    ///
    /// Ends every session of a user: none of their tokens is accepted any more. The user may log in again; to prevent that,
    /// disable the account with `PATCH /users/{id}`. For admins only; other users get `403 forbidden`.
    #[oai(path = "/users/:id/sessions", method = "delete", operation_id = "end_sessions", tag = "Tag::Users")]
    async fn end(
        &self,
        by: AsAdmin,
        /// The id of the user.
        id: Path<Uuid>,
    ) -> ApiResult<NoContent> {
        self.0.end_sessions_of(&by.0, UserId::from_uuid(id.0)).await?;
        Ok(NoContent::Done)
    }
}
