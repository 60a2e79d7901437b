//! One's own account.

use super::{Accounts, Actor, Error, living};
use crate::model::{ProfileChange, User};

impl Accounts {
    /// Changes what users may change about themselves.
    ///
    /// # Errors
    /// `InvalidToken` if the account went away in the meantime.
    pub async fn edit_profile(&self, actor: &Actor, change: ProfileChange) -> Result<User, Error> {
        let now = self.clock.now();
        let id = actor.user().id;
        let edited = self.store.write(move |tx| {
            let old = living(tx.user(id)?, now).ok_or(Error::InvalidToken)?;
            let mut user = old.clone();
            change.apply(&mut user.profile);
            if user != old {
                user.updated_at = now;
                tx.update_user(&user)?;
            }
            Ok::<_, Error>(user)
        });
        edited.await
    }
}
