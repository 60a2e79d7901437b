//! Asking a user who is signed in for the password again, for what must not be done with a stolen access token alone.

use super::{
    attempt_price::Claim,
    authority::{Actor, Confirmed},
    context::Core,
    error::Error,
    live::find_user,
    password_attempts::{PasswordAttempt, attempt},
};
use crate::{
    crypto::Hasher,
    domain::{Password, Timestamp},
};

#[derive(Clone)]
pub struct Confirmation {
    core: Core,
    hasher: Hasher,
}

impl Confirmation {
    pub fn new(core: Core, hasher: Hasher) -> Self {
        Self { core, hasher }
    }

    /// Wrong passwords are charged to the session. A correct password resets the limits even if the operation then fails.
    ///
    /// # Errors
    /// `WrongPassword`, `TooManyRequests`, `Busy`.
    pub async fn confirm(&self, actor: &Actor, password: Password) -> Result<Confirmed, Error> {
        let (confirmation, actor) = (self.clone(), actor.clone());
        let confirmed = attempt(&self.core, Claim::by(&actor), async move |attempt| {
            let now = confirmation.core.now();
            let is_wanted = PasswordAttempt::is_wanted(attempt.as_ref());
            let confirmed = confirmation.check(&actor, password, is_wanted, now).await?;
            if let Some(attempt) = attempt {
                let settled =
                    confirmation.core.write_rate_limits(move |limits| attempt.write_correct(limits, now));
                settled.await?;
            }
            Ok(confirmed)
        });
        confirmed.await
    }

    async fn check(
        &self,
        actor: &Actor,
        password: Password,
        is_wanted: impl FnOnce() -> bool + Send + 'static,
        now: Timestamp,
    ) -> Result<Confirmed, Error> {
        let id = actor.user().id;
        let hash = self.core.read(move |tx| match find_user(tx, id, now)? {
            Some(_) => Ok(tx.password(id)?),
            None => Ok(None),
        });
        let hash = hash.await?;
        match (self.hasher.check(password, hash.clone(), is_wanted).await?.is_right(), hash) {
            (true, Some(hash)) => Ok(Confirmed::new(actor.clone(), hash)),
            _ => Err(Error::WrongPassword),
        }
    }
}
