//! A session: one login on one device, until it is logged out or left alone for too long.

use std::net::IpAddr;

use uuid::Uuid;

use super::{Timestamp, TokenHash, UserId};

/// A session's id: a UUIDv7.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SessionId(Uuid);

impl SessionId {
    /// A fresh id.
    #[must_use]
    pub fn new() -> Self {
        Self(Uuid::now_v7())
    }

    /// An id that came from outside or from the store.
    #[must_use]
    pub const fn from_uuid(id: Uuid) -> Self {
        Self(id)
    }

    /// The id as a UUID.
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

/// Where a login came from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Client {
    /// What the program calls itself, cut to 256 characters.
    pub user_agent: Option<String>,
    /// The address of the nearest party that is not a trusted proxy.
    pub ip: Option<IpAddr>,
}

/// A session as it is stored.
#[derive(Clone, Debug)]
pub struct Session {
    /// Its id, the `sid` of its tokens.
    pub id: SessionId,
    /// Whose it is.
    pub user_id: UserId,
    /// When the login was.
    pub created_at: Timestamp,
    /// When it was last renewed.
    pub last_used_at: Timestamp,
    /// The first instant at which it is over.
    pub expires_at: Timestamp,
    /// Where the login came from.
    pub client: Client,
    /// The refresh token that is good now.
    pub current: TokenHash,
    /// The one before it, for a client whose reply was lost.
    pub previous: Option<TokenHash>,
}
