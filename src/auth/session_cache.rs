//! Sessions with their users, cached per version of the store; any commit invalidates them.

use std::sync::Arc;

use quick_cache::sync::Cache;

use crate::{
    core::{Core, Error},
    domain::{Session, SessionId, User},
    store::Version,
};

/// How many sessions are cached: less than a kilobyte each.
const CACHED: usize = 4 * 1024;

/// A session and its user.
pub type Found = Arc<(Session, User)>;

/// What the latest read of each session found, and in which version of the store.
///
/// It cannot be older than the store: whatever ends a session or changes a user, in this process or at the command line,
/// is a commit, and every commit is another version.
#[derive(Clone)]
pub struct SessionCache(Arc<Cache<SessionId, (Version, Found)>>);

impl Default for SessionCache {
    fn default() -> Self {
        Self(Arc::new(Cache::new(CACHED)))
    }
}

impl SessionCache {
    /// A session and its user, as the store has them now; whether it is active is another question.
    pub async fn session_with_user(&self, core: &Core, id: SessionId) -> Result<Option<Found>, Error> {
        // Before the store is read: what is read then is of this version, or of a later one and never served again.
        let version = core.store.version();
        if let (Some(version), Some((seen_in, found))) = (version, self.0.get(&id))
            && version == seen_in
        {
            return Ok(Some(found));
        }
        let found = core.store.session_with_user(id).await?.map(Arc::new);
        if let (Some(version), Some(found)) = (version, &found) {
            self.0.insert(id, (version, Arc::clone(found)));
        }
        Ok(found)
    }
}
