//! Who was found behind a session: good for as long as nothing at all was committed since, by anybody.

use std::sync::Arc;

use quick_cache::sync::Cache;

use crate::accounts::{Accounts, Error};
use crate::{
    domain::{Session, SessionId, User},
    store::Version,
};

/// How many sessions are remembered: less than a kilobyte each.
const REMEMBERED: usize = 4 * 1024;

/// A session and whose it is.
pub(crate) type Found = Arc<(Session, User)>;

/// What the latest look at each session found, and in which version of the store.
///
/// It cannot be older than the store: whatever ends a session or changes a user, in this process or at the command line,
/// is a commit, and every commit is another version.
pub(crate) struct SessionCache(Cache<SessionId, (Version, Found)>);

impl Default for SessionCache {
    fn default() -> Self {
        Self(Cache::new(REMEMBERED))
    }
}

impl Accounts {
    /// Remembers who is behind a session from now on, if a commit shows in the store's version, by which it is known
    /// that nothing has changed. Where it does not, the store is asked each time.
    pub async fn remember_sessions(&self) {
        match self.store.prove_version().await {
            Ok(true) => {}
            Ok(false) => tracing::warn!(
                "nothing is remembered between requests, which makes them slower: in this file system a commit does not \
                 change the header of the store's -shm file as it is read"
            ),
            Err(error) => tracing::warn!(
                %error,
                "nothing is remembered between requests, which makes them slower: no commit could be made to prove that \
                 it would be noticed"
            ),
        }
    }

    /// A session and whose it is, as the store knows them now; whether it is open is another question.
    pub(crate) async fn session_with_user(&self, id: SessionId) -> Result<Option<Found>, Error> {
        // Before the store is read: what is read then is of this version, or of a later one and never served again.
        let version = self.store.version();
        if let (Some(version), Some((seen_in, found))) = (version, self.session_cache.0.get(&id))
            && version == seen_in
        {
            return Ok(Some(found));
        }
        let found = self.store.read(move |tx| Ok::<_, Error>(tx.session(id)?)).await?.map(Arc::new);
        if let (Some(version), Some(found)) = (version, &found) {
            self.session_cache.0.insert(id, (version, Arc::clone(found)));
        }
        Ok(found)
    }
}
