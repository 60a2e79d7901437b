//! Authentication: the user and session of an access token.

use super::{session_cache::Found, sessions::Sessions};
use crate::{
    core::{Actor, Error, is_active},
    domain::{Origin, SessionId},
};

impl Sessions {
    /// The user of an access token. The store is asked each time, so that a logout, a deletion or a change of rights counts
    /// from the next request on.
    ///
    /// # Errors
    /// `InvalidToken`.
    pub async fn authenticate(&self, access_token: &str, origin: Origin) -> Result<Actor, Error> {
        let now = self.core.now();
        let access = self.keys.check(now, |tokens| tokens.check_access(access_token, now)).await?;
        let access = access.ok_or(Error::InvalidToken)?;
        let found = self.cache.session_with_user(&self.core, access.session_id).await?;
        let is_valid = |found: &Found| is_active(&found.0, &found.1, now) && found.1.id == access.user_id;
        Ok(Actor::new(found.filter(is_valid).ok_or(Error::InvalidToken)?, origin))
    }

    /// The session that an access token names, for what spares that session. An expired token names it, too: the client would
    /// have renewed it, and gains nothing else by it. Whether the session is still active, and whose it is, must be checked
    /// where it is spared.
    ///
    /// # Errors
    /// `InvalidToken` if it is no access token of ours.
    pub async fn named_session(&self, access_token: &str) -> Result<SessionId, Error> {
        let named = self.keys.check(self.core.now(), |tokens| tokens.named_session(access_token)).await?;
        named.ok_or(Error::InvalidToken)
    }

    /// Caches sessions from now on, if a commit shows in the store's version. Where it does not, the store is asked each
    /// time.
    pub async fn enable_cache(&self) {
        match self.core.store.prove_version().await {
            Ok(Some(true) | None) => {}
            Ok(Some(false)) => tracing::warn!(
                "sessions are not cached, which makes requests slower: in this file system a commit does not change the \
                 header of the store's -shm file as it is read"
            ),
            Err(error) => tracing::warn!(
                %error,
                "sessions are not cached, which makes requests slower: no commit could be made to prove that it would be \
                 noticed"
            ),
        }
    }
}
