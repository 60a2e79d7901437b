//! Whoever is signed in: found behind an access token, and asked for the password again where that matters.

use super::{
    Accounts, Error,
    audit::Author,
    living,
    sessions::{is_open, still_open},
    sightings::Found,
};
use crate::{
    model::{Origin, Password, PasswordHash, SessionId, Timestamp, User},
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

    /// Who does what they do.
    pub(super) fn author(&self) -> Author {
        Author::somebody(self.user().id, self.origin.clone())
    }

    /// Looks again, inside the transaction: the session may have ended since the request came.
    pub(super) fn still_here(&self, tx: &Tx<'_>, now: Timestamp) -> Result<User, Error> {
        still_open(tx, self.session_id(), now)
    }
}

/// Somebody who is signed in and has just given the password.
pub(super) struct Confirmed {
    actor: Actor,
    hash: PasswordHash,
}

impl Confirmed {
    /// Looks again, inside the transaction: the session may have ended, the password may have changed.
    pub(super) fn still_here(&self, tx: &Tx<'_>, now: Timestamp) -> Result<User, Error> {
        let user = self.actor.still_here(tx, now)?;
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
            // Perhaps another process has made a new key.
            Err(_) if self.tokens.names_unknown_key(access_token) && self.look_for_new_key(now).await? => {
                self.tokens.check_access(access_token, now)?
            }
            checked => checked?,
        };
        let found = self.behind(access.session_id).await?;
        let is_theirs = |found: &Found| is_open(&found.0, &found.1, now) && found.1.id == access.user_id;
        let found = found.filter(is_theirs).ok_or(Error::InvalidToken)?;
        Ok(Actor { found, origin })
    }

    /// Asks for the password again, for what must not be done with a stolen token alone. A wrong one counts like one at
    /// a login, in the same budget; after the right one nothing is owed any more, whatever comes of the rest.
    ///
    /// # Errors
    /// `WrongPassword`, `TooManyRequests`.
    pub(super) async fn confirm(&self, actor: &Actor, password: Password) -> Result<Confirmed, Error> {
        let now = self.clock.now();
        let tried = self.take_try(&actor.user().profile.email, &actor.origin.client, now).await?;
        let checked = self.check_password(actor, password, now).await;
        self.settle_try(tried, &checked, now).await?;
        if checked.is_ok() && tried.is_some() {
            let accounts = self.clone();
            self.store.write(move |tx| accounts.was_right(tx, tried, now)).await?;
        }
        checked
    }

    async fn check_password(
        &self,
        actor: &Actor,
        password: Password,
        now: Timestamp,
    ) -> Result<Confirmed, Error> {
        let id = actor.user().id;
        let found = self.store.read(move |tx| Ok::<_, Error>(tx.user(id)?.zip(tx.password(id)?))).await?;
        let hash = found.and_then(|(user, hash)| living(Some(user), now).map(|_| hash));
        match (self.hasher.check(password, hash.clone()).await?.is_right(), hash) {
            (true, Some(hash)) => Ok(Confirmed { actor: actor.clone(), hash }),
            _ => Err(Error::WrongPassword),
        }
    }
}
