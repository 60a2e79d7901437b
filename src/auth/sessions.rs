//! Sessions: their tokens, and the lists of them that users and admins see and end.

use super::{key_reload::KeyReload, session_cache::SessionCache};
use crate::{
    core::{Actor, Admin, Core, Error, live_user, log_out_everywhere},
    crypto::Hasher,
    domain::{Action, PlainToken, Session, SessionId, Timestamp, User, UserId},
};

/// Logging in, refreshing and ending sessions, and authentication.
#[derive(Clone)]
pub struct Sessions {
    pub(super) core: Core,
    pub(super) hasher: Hasher,
    pub(super) keys: KeyReload,
    pub(super) cache: SessionCache,
}

/// What a login gives.
#[derive(Clone)]
pub struct TokenPair {
    pub access_token: String,
    /// Seconds.
    pub expires_in: u64,
    /// Valid once.
    pub refresh_token: String,
    /// Seconds.
    pub refresh_expires_in: u64,
}

impl Sessions {
    pub(crate) fn new(core: Core, hasher: Hasher, keys: KeyReload) -> Self {
        Self { core, hasher, keys, cache: SessionCache::default() }
    }

    /// The user's own sessions, most recently used first.
    ///
    /// # Errors
    /// Only if the store does not answer.
    pub async fn list(&self, actor: &Actor) -> Result<Vec<Session>, Error> {
        let (user_id, now) = (actor.user().id, self.core.now());
        self.core.read(move |tx| Ok(tx.sessions_of(user_id, now)?)).await
    }

    /// Ends one of the user's own sessions, perhaps that of the request.
    ///
    /// # Errors
    /// `NotFound` if it is not theirs, or over; `InvalidToken` if that of the request has ended meanwhile.
    pub async fn revoke(&self, actor: &Actor, id: SessionId) -> Result<(), Error> {
        let ended = self.core.write_as_user(actor, move |tx, user, by, now| {
            if !tx.delete_session(id, user.id, now)? {
                return Err(Error::NotFound);
            }
            by.record(tx, Action::SessionEnded, user.id, now)
        });
        ended.await
    }

    /// Ends all of the user's own sessions.
    ///
    /// # Errors
    /// `InvalidToken` if that of the request has ended meanwhile.
    pub async fn revoke_all(&self, actor: &Actor) -> Result<(), Error> {
        let ended =
            self.core.write_as_user(actor, |tx, user, by, now| log_out_everywhere(tx, user.id, by, now));
        ended.await
    }

    /// A user's sessions, most recently used first.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn list_of(&self, _by: &Admin, id: UserId) -> Result<Vec<Session>, Error> {
        let now = self.core.now();
        let found = self.core.read(move |tx| {
            let user = live_user(tx, id, now)?;
            Ok(tx.sessions_of(user.id, now)?)
        });
        found.await
    }

    /// Ends all sessions of a user.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn revoke_all_of(&self, by: &Admin, id: UserId) -> Result<(), Error> {
        let ended = self.core.write_as(by, move |tx, by, now| {
            let user = live_user(tx, id, now)?;
            log_out_everywhere(tx, user.id, by, now)
        });
        ended.await
    }

    pub(super) fn token_pair(
        &self,
        session: &Session,
        user: &User,
        token: &PlainToken,
        now: Timestamp,
    ) -> Result<TokenPair, Error> {
        let (access_token, expires_at) = self.keys.tokens.sign_access(session, user, now)?;
        Ok(TokenPair {
            access_token,
            expires_in: expires_at.since(now).as_secs(),
            refresh_token: self.keys.tokens.sign_refresh(session, token)?,
            refresh_expires_in: session.expires_at.since(now).as_secs(),
        })
    }
}
