//! One's own account.

use super::{Accounts, Actor, Error, change_limits::ChangeKind, users::delete};
use crate::domain::{Message, MessageKind, Password, ProfileChange, Status, User};

impl Accounts {
    /// Changes what users may change about themselves.
    ///
    /// # Errors
    /// `InvalidToken` if the account went away in the meantime; `TooManyRequests`.
    pub async fn edit_profile(&self, actor: &Actor, change: ProfileChange) -> Result<User, Error> {
        let now = self.clock.now();
        let (accounts, actor, by) = (self.clone(), actor.clone(), actor.audit_actor());
        let edited = self.store.write(move |tx| {
            let old = actor.recheck_session(tx, now)?;
            let mut user = old.clone();
            change.apply(&mut user.profile);
            if user != old {
                accounts.charge_change(tx, ChangeKind::OwnEdit, &by, now)?;
                user.updated_at = now;
                tx.update_user(&user)?;
                by.record_edit(tx, &old, &user)?;
            }
            Ok::<_, Error>(user)
        });
        edited.await
    }

    /// Deletes the account of whoever asks, and everything that belongs to it.
    ///
    /// # Errors
    /// `WrongPassword`, `TooManyRequests`, `LastAdmin`.
    pub async fn delete_own_account(&self, actor: &Actor, current: Password) -> Result<(), Error> {
        let now = self.clock.now();
        let confirmed = self.confirm(actor, current).await?;
        let (accounts, by) = (self.clone(), actor.audit_actor());
        let deleted = self.store.write(move |tx| {
            let user = confirmed.recheck_session(tx, now)?;
            if user.status() == Status::Verified {
                let to = user.profile.email.as_str().to_owned();
                let message = Message::plain(to, MessageKind::AccountDeleted);
                accounts.notify(tx, &user.profile.email, &message, now)?;
            }
            delete(tx, &user, &by, now)
        });
        deleted.await?;
        self.posted.notify_one();
        Ok(())
    }
}
