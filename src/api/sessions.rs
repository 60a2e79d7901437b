//! `/auth/login`, `/auth/refresh`, `/auth/logout`, `/auth/logout-all`, `/me/sessions` and `/users/{id}/sessions`.

use poem_openapi::{OpenApi, param::Path};
use uuid::Uuid;

use super::{
    answers::{Json, NoContent},
    body::Body,
    guards::{AdminOnly, Authenticated, OptionalSession},
    inputs::{Login, Refresh},
    tags::Tag,
    views::{SessionList, Tokens},
};
use crate::{
    auth,
    domain::{SessionId, UserId},
    http::{ApiResult, RequestOrigin},
};

pub struct Sessions(pub auth::Sessions);

#[OpenApi]
impl Sessions {
    /// Log in
    ///
    /// Starts a session and returns its pair of tokens. An unverified user can log in unless the setting
    /// `auth.allow_unverified_login` is off. A user has at most {max-sessions} sessions; beyond that the least recently
    /// used ones are ended.
    ///
    /// An unknown address and a wrong password get the same answer, after the same time. That an account is disabled or
    /// not verified is told only after the right password.
    ///
    /// After too many failed attempts login is rate limited. Failed attempts of other clients at the same network address
    /// count towards the same limit. They do not count for a client that sends the access token of a session of the account
    /// in `Authorization`, even if that token has expired.
    ///
    /// Errors:
    /// - `401 invalid_credentials`: the address is unknown, or the password is wrong.
    /// - `403 account_disabled`: an admin has disabled the account.
    /// - `403 email_not_verified`: the e-mail address must be verified first.
    /// - `429 too_many_requests`: too many failed attempts, or too many logins of the account or the client.
    #[oai(path = "/auth/login", method = "post", operation_id = "login", tag = "Tag::Sessions")]
    async fn login(
        &self,
        origin: RequestOrigin,
        session: OptionalSession,
        body: Body<Login>,
    ) -> ApiResult<Json<Tokens>> {
        let (email, password) = body.check(Login::parse)?;
        let tokens = self.0.login(email, password, session.id(), origin.0).await?;
        Ok(Json(tokens.into()))
    }

    /// Renew the tokens
    ///
    /// Takes a refresh token and returns a new pair of tokens. A refresh token works once: store the new one before you use
    /// the new access token, and do not send two refreshes at the same time. If the answer was lost, send the same token
    /// again within {reuse-grace}: as long as its successor was not used, the answer has the same successor. Any other
    /// second use ends the session, because the token may have been stolen.
    ///
    /// Errors:
    /// - `401 invalid_refresh_token`: the token is invalid, expired or used, or its session has ended. This is final: the
    ///   user has to log in again.
    #[oai(path = "/auth/refresh", method = "post", operation_id = "refresh", tag = "Tag::Sessions")]
    async fn refresh(&self, origin: RequestOrigin, body: Body<Refresh>) -> ApiResult<Json<Tokens>> {
        let token = body.check(|refresh| Ok(refresh.token()))?;
        let tokens = self.0.refresh(&token, origin.0).await?;
        Ok(Json(tokens.into()))
    }

    /// Log out
    ///
    /// Ends the session of the refresh token: none of its access and refresh tokens is accepted any more. Idempotent: an
    /// expired or revoked token also gets `204`.
    #[oai(path = "/auth/logout", method = "post", operation_id = "logout", tag = "Tag::Sessions")]
    async fn logout(&self, origin: RequestOrigin, body: Body<Refresh>) -> ApiResult<NoContent> {
        let token = body.check(|refresh| Ok(refresh.token()))?;
        self.0.logout(&token, origin.0).await?;
        Ok(NoContent::Done)
    }

    /// Log out everywhere
    ///
    /// Ends all sessions of the authenticated user, including the current one: none of their access and refresh tokens is
    /// accepted any more.
    #[oai(path = "/auth/logout-all", method = "post", operation_id = "logout_all", tag = "Tag::Sessions")]
    async fn logout_all(&self, caller: Authenticated) -> ApiResult<NoContent> {
        self.0.revoke_all(&caller.0).await?;
        Ok(NoContent::Done)
    }

    /// List your sessions
    ///
    /// Returns all active sessions of the authenticated user, most recently used first, with the IP address and the
    /// `User-Agent` of each login. `current` marks the session of this request.
    #[oai(path = "/me/sessions", method = "get", operation_id = "list_my_sessions", tag = "Tag::OwnAccount")]
    async fn list_own(&self, caller: Authenticated) -> ApiResult<Json<SessionList>> {
        let sessions = self.0.list(&caller.0).await?;
        Ok(Json(SessionList::new(sessions, Some(caller.0.session_id()))))
    }

    /// End one of your sessions
    ///
    /// Ends a session of the authenticated user, which may be the current one: its tokens are no longer accepted.
    ///
    /// Errors:
    /// - `404 not_found`: the user has no active session with this id.
    #[oai(
        path = "/me/sessions/:id",
        method = "delete",
        operation_id = "end_my_session",
        tag = "Tag::OwnAccount"
    )]
    async fn end_own(
        &self,
        caller: Authenticated,
        /// The id of the session.
        id: Path<Uuid>,
    ) -> ApiResult<NoContent> {
        self.0.revoke(&caller.0, SessionId::from_uuid(id.0)).await?;
        Ok(NoContent::Done)
    }

    /// List a user's sessions
    ///
    /// Returns all active sessions of a user, most recently used first. For admins only.
    ///
    /// Errors:
    /// - `403 forbidden`: the caller is not an active admin.
    #[oai(path = "/users/:id/sessions", method = "get", operation_id = "list_sessions", tag = "Tag::Users")]
    async fn list(
        &self,
        admin: AdminOnly,
        /// The id of the user.
        id: Path<Uuid>,
    ) -> ApiResult<Json<SessionList>> {
        let sessions = self.0.list_of(&admin.0, UserId::from_uuid(id.0)).await?;
        Ok(Json(SessionList::new(sessions, admin.0.session_id())))
    }

    /// End a user's sessions
    ///
    /// Ends all sessions of a user: their tokens are no longer accepted. The user can log in again; to prevent that,
    /// disable the account with `PATCH /users/{id}`. For admins only.
    ///
    /// Errors:
    /// - `403 forbidden`: the caller is not an active admin.
    #[oai(path = "/users/:id/sessions", method = "delete", operation_id = "end_sessions", tag = "Tag::Users")]
    async fn end(
        &self,
        admin: AdminOnly,
        /// The id of the user.
        id: Path<Uuid>,
    ) -> ApiResult<NoContent> {
        self.0.revoke_all_of(&admin.0, UserId::from_uuid(id.0)).await?;
        Ok(NoContent::Done)
    }
}
