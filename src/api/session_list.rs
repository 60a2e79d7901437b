//! `/me/sessions` and `/users/{id}/sessions`.

use poem_openapi::{Object, OpenApi, param::Path, types::Example};
use serde::Serialize;
use uuid::Uuid;

use super::{
    ApiResult, Tag,
    answers::{Json, NoContent},
    guards::{AsAdmin, SignedIn},
    views::Time,
};
use crate::{
    accounts::Accounts,
    domain::{Session, SessionId, Timestamp, UserId},
};

pub struct SessionList(pub Accounts);

/// A session: one login on one device.
#[derive(Object, Serialize)]
#[oai(rename = "Session", example)]
pub struct SessionView {
    /// The id of the session, a UUIDv7: the `sid` of its tokens.
    id: Uuid,
    /// When the user logged in.
    created_at: Time,
    /// When its tokens were last renewed. An app in use renews them whenever the access token expires.
    last_used_at: Time,
    /// When the session ends unless its tokens are renewed before.
    expires_at: Time,
    /// The `User-Agent` of the login.
    #[oai(nullable)]
    user_agent: Option<String>,
    /// The IP address of the login.
    #[oai(nullable)]
    ip: Option<String>,
    /// Whether this request belongs to the session.
    current: bool,
}

impl SessionView {
    /// A session as somebody in the session `own` sees it.
    pub fn new(session: Session, own: Option<SessionId>) -> Self {
        Self {
            id: *session.id.as_uuid(),
            created_at: Time(session.created_at),
            last_used_at: Time(session.last_used_at),
            expires_at: Time(session.expires_at),
            user_agent: session.client.user_agent,
            ip: session.client.ip.map(|ip| ip.to_string()),
            current: own == Some(session.id),
        }
    }
}

impl Example for SessionView {
    fn example() -> Self {
        let created_at = Timestamp::from_millis(1_795_339_800_000);
        Self {
            id: Uuid::from_u128(0x019a_af6e_5040_7b52_8f4e_2d1b_93c6_a7d4),
            created_at: Time(created_at),
            last_used_at: Time(created_at),
            expires_at: Time(created_at + std::time::Duration::from_hours(30 * 24)),
            user_agent: Some("Mozilla/5.0 (Linux; Android 16)".to_owned()),
            ip: Some("192.0.2.7".to_owned()),
            current: true,
        }
    }
}

/// The sessions of a user that have not ended, most recently used first.
#[derive(Object, Serialize)]
#[oai(example)]
struct Sessions {
    /// The sessions.
    items: Vec<SessionView>,
}

impl Sessions {
    fn new(sessions: Vec<Session>, own: Option<SessionId>) -> Self {
        Self { items: sessions.into_iter().map(|session| SessionView::new(session, own)).collect() }
    }
}

impl Example for Sessions {
    fn example() -> Self {
        Self { items: vec![SessionView::example()] }
    }
}

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
