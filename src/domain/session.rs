//! A session: from a login to a logout, expiry or revocation.

use std::net::IpAddr;

use uuid::Uuid;

use super::{Timestamp, TokenHash, UserId};

/// A UUIDv7.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SessionId(Uuid);

impl SessionId {
    #[must_use]
    pub fn new() -> Self {
        Self(Uuid::now_v7())
    }

    #[must_use]
    pub const fn from_uuid(id: Uuid) -> Self {
        Self(id)
    }

    #[must_use]
    pub const fn as_uuid(&self) -> &Uuid {
        &self.0
    }
}

impl Default for SessionId {
    fn default() -> Self {
        Self::new()
    }
}

/// Where a request came from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Client {
    /// Cut to 256 characters.
    pub user_agent: Option<String>,
    /// The nearest address that is not a trusted proxy.
    pub ip: Option<IpAddr>,
}

#[derive(Clone, Debug)]
pub struct Session {
    /// The `sid` of its tokens.
    pub id: SessionId,
    pub user_id: UserId,
    pub created_at: Timestamp,
    /// The time of the last refresh.
    pub last_used_at: Timestamp,
    /// From then on it is expired.
    pub expires_at: Timestamp,
    /// Of the login.
    pub client: Client,
    /// The valid refresh token.
    pub current: TokenHash,
    /// The one before, accepted for a short time from a client that did not get the reply.
    pub previous: Option<TokenHash>,
}
