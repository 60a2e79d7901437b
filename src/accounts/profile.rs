//! One's own account.

use super::{Accounts, Actor, Error};
use crate::model::{ProfileChange, User};

impl Accounts {
    /// Changes what users may change about themselves.
    ///
    /// # Errors
    /// `InvalidToken` if the account went away in the meantime.
    pub async fn edit_profile(&self, actor: &Actor, change: ProfileChange) -> Result<User, Error> {
        let now = self.clock.now();
        let actor = actor.clone();
        let edited = self.store.write(move |tx| {
            let old = actor.still_here(tx, now)?;
            let mut user = old.clone();
            change.apply(&mut user.profile);
            if user != old {
                user.updated_at = now;
                tx.update_user(&user)?;
                actor.author().record_edit(tx, &old, &user)?;
            }
            Ok::<_, Error>(user)
        });
        edited.await
    }
}
