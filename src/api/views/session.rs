//! Sessions and their tokens.

use poem_openapi::{Object, types::Example};
use serde::Serialize;
use uuid::Uuid;

use super::time::Time;
use crate::{
    auth::TokenPair,
    domain::{Session, SessionId, Timestamp},
};

/// A session: from a login to a logout, expiry or revocation.
#[derive(Object, Serialize)]
#[oai(rename = "Session", example)]
pub struct SessionView {
    /// The id of the session, a UUIDv7. The tokens contain it as `sid`.
    id: Uuid,
    /// When the user logged in.
    created_at: Time,
    /// When its tokens were last renewed.
    last_used_at: Time,
    /// When the session ends, unless its tokens are renewed before.
    expires_at: Time,
    /// The `User-Agent` of the login, cut off after {user-agent-chars} characters.
    #[oai(nullable)]
    user_agent: Option<String>,
    /// The IP address of the login.
    #[oai(nullable)]
    ip: Option<String>,
    /// Whether this is the session of the request.
    current: bool,
}

impl SessionView {
    /// `own` is the session of the request.
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

/// The active sessions of a user.
#[derive(Object, Serialize)]
#[oai(example)]
pub struct SessionList {
    /// The sessions, most recently used first.
    items: Vec<SessionView>,
}

impl SessionList {
    pub fn new(sessions: Vec<Session>, own: Option<SessionId>) -> Self {
        Self { items: sessions.into_iter().map(|session| SessionView::new(session, own)).collect() }
    }
}

impl Example for SessionList {
    fn example() -> Self {
        Self { items: vec![SessionView::example()] }
    }
}

/// A pair of access and refresh tokens.
#[derive(Object, Serialize)]
#[oai(example)]
pub struct Tokens {
    /// The access token, a JWT. Send it with every request as `Authorization: Bearer …`.
    access_token: String,
    /// Always `Bearer`.
    token_type: String,
    /// For how many seconds the access token is valid.
    expires_in: u64,
    /// The refresh token. Exchange it once for a new pair with `POST /auth/refresh`. Store it where no other app can read it.
    refresh_token: String,
    /// For how many seconds the refresh token is valid.
    refresh_expires_in: u64,
}

impl Example for Tokens {
    fn example() -> Self {
        Self {
            access_token: "eyJ0eXAiOiJhdCtqd3QiLCJhbGciOiJFZERTQSJ9.…".to_owned(),
            token_type: "Bearer".to_owned(),
            expires_in: 900,
            refresh_token: "eyJ0eXAiOiJydCtqd3QiLCJhbGciOiJFZERTQSJ9.…".to_owned(),
            refresh_expires_in: 2_592_000,
        }
    }
}

impl From<TokenPair> for Tokens {
    fn from(pair: TokenPair) -> Self {
        let TokenPair { access_token, expires_in, refresh_token, refresh_expires_in } = pair;
        Self { access_token, token_type: "Bearer".to_owned(), expires_in, refresh_token, refresh_expires_in }
    }
}
