//! Whoever is signed in: found behind an access token, and asked for the password again where that matters.

use crate::accounts::{
    Accounts, Error,
    audit::AuditActor,
    not_expired,
    password_attempts::{Claim, PasswordAttempt},
    session_cache::Found,
    sessions::{active_session_user, is_open},
};
use crate::{
    domain::{Origin, Password, PasswordHash, SessionId, Timestamp, User},
    store::Tx,
};

/// Somebody who is signed in, as the store knew them when the request came.
#[derive(Clone, Debug)]
pub struct Actor {
    found: Found,
    origin: Origin,
}

impl Actor {
    /// Who it is.
    #[must_use]
    pub fn user(&self) -> &User {
        &self.found.1
    }

    /// The session they came with.
    #[must_use]
    pub fn session_id(&self) -> SessionId {
        self.found.0.id
    }

    /// Where the request came from.
    pub(crate) fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Who does what they do.
    pub(crate) fn audit_actor(&self) -> AuditActor {
        AuditActor::user(self.user().id, self.origin.clone())
    }

    /// Looks again, inside the transaction: the session may have ended since the request came.
    pub(crate) fn recheck_session(&self, tx: &Tx<'_>, now: Timestamp) -> Result<User, Error> {
        active_session_user(tx, self.session_id(), now)
    }
}

/// Somebody who is signed in and has just given the password.
pub(crate) struct Confirmed {
    actor: Actor,
    hash: PasswordHash,
}

impl Confirmed {
    /// Looks again, inside the transaction: the session may have ended, the password may have changed.
    pub(crate) fn recheck_session(&self, tx: &Tx<'_>, now: Timestamp) -> Result<User, Error> {
        let user = self.actor.recheck_session(tx, now)?;
        match tx.password(user.id)? {
            Some(hash) if hash == self.hash => Ok(user),
            _ => Err(Error::WrongPassword),
        }
    }
}

impl Accounts {
    /// Who is behind an access token. The store is asked each time, so that a logout, a deletion or a change of rights
    /// counts from the next request on.
    ///
    /// # Errors
    /// `InvalidToken`.
    pub async fn authenticate(&self, access_token: &str, origin: Origin) -> Result<Actor, Error> {
        let now = self.clock.now();
        let access = match self.tokens.check_access(access_token, now) {
            // Perhaps another process has made a new key, or signs under another issuer.
            Err(_) if self.tokens.names_unknown(access_token) && self.reload_on_unknown_kid(now).await? => {
                self.tokens.check_access(access_token, now)?
            }
            checked => checked?,
        };
        let found = self.session_with_user(access.session_id).await?;
        let is_theirs = |found: &Found| is_open(&found.0, &found.1, now) && found.1.id == access.user_id;
        let found = found.filter(is_theirs).ok_or(Error::InvalidToken)?;
        Ok(Actor { found, origin })
    }

    /// The session that an access token names, for what spares that session. A token whose time has run out names it as
    /// well: the client would have renewed it, and gains nothing else by it. Whether the session is still open, and whose it
    /// is, must be looked at where it is spared.
    ///
    /// # Errors
    /// `InvalidToken` if it is no access token of ours.
    pub async fn named_session(&self, access_token: &str) -> Result<SessionId, Error> {
        match self.tokens.named_session(access_token) {
            Err(_) if self.tokens.names_unknown(access_token) => {
                self.reload_on_unknown_kid(self.clock.now()).await?;
                self.tokens.named_session(access_token)
            }
            named => named,
        }
    }

    /// Asks for the password again, for what must not be done with a stolen token alone. Wrong ones have a budget for each
    /// session; after the right one nothing is owed any more, whatever comes of the rest.
    ///
    /// # Errors
    /// `WrongPassword`, `TooManyRequests`.
    pub(crate) async fn confirm(&self, actor: &Actor, password: Password) -> Result<Confirmed, Error> {
        let claim = Claim::by(actor);
        let (accounts, actor) = (self.clone(), actor.clone());
        let confirmed = self.attempt(claim, async move |tried| {
            let now = accounts.clock.now();
            let is_wanted = PasswordAttempt::is_wanted(tried.as_ref());
            let confirmed = accounts.check_password(&actor, password, is_wanted, now).await?;
            if tried.is_some() {
                let rules = accounts.clone();
                accounts.store.write(move |tx| rules.settle_correct(tx, tried, now)).await?;
            }
            Ok(confirmed)
        });
        confirmed.await
    }

    async fn check_password(
        &self,
        actor: &Actor,
        password: Password,
        is_wanted: impl FnOnce() -> bool + Send + 'static,
        now: Timestamp,
    ) -> Result<Confirmed, Error> {
        let id = actor.user().id;
        let found = self.store.read(move |tx| Ok::<_, Error>(tx.user(id)?.zip(tx.password(id)?))).await?;
        let hash = found.and_then(|(user, hash)| not_expired(Some(user), now).map(|_| hash));
        match (self.hasher.check(password, hash.clone(), is_wanted).await?.is_right(), hash) {
            (true, Some(hash)) => Ok(Confirmed { actor: actor.clone(), hash }),
            _ => Err(Error::WrongPassword),
        }
    }
}
