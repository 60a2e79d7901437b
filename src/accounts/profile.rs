//! One's own account.

use super::deletion::delete;
use crate::{
    core::{Actor, ChangeKind, Confirmation, Core, Error, outbox, refund_change},
    domain::{Message, MessageKind, Password, ProfileChange, Status, User},
};

#[derive(Clone)]
pub struct Profile {
    core: Core,
    confirmation: Confirmation,
}

impl Profile {
    pub(crate) fn new(core: Core, confirmation: Confirmation) -> Self {
        Self { core, confirmation }
    }

    /// Changes what users may change about themselves.
    ///
    /// # Errors
    /// `InvalidToken` if the session has ended meanwhile; `TooManyRequests`.
    pub async fn update(&self, actor: &Actor, change: ProfileChange) -> Result<User, Error> {
        // What changes nothing is not charged, even if there is no token.
        let mut asked = actor.user().profile.clone();
        change.clone().apply(&mut asked);
        if asked == actor.user().profile {
            return Ok(actor.user().clone());
        }
        let updated = self.core.write_change_as_user(actor, |tx, old, by, now| {
            let mut user = old.clone();
            change.apply(&mut user.profile);
            if user == old {
                refund_change(tx, ChangeKind::OwnEdit, by, now);
                return Ok(old);
            }
            user.updated_at = now;
            tx.update_user(&user)?;
            by.record_edit(tx, &old, &user)?;
            Ok(user)
        });
        updated.await
    }

    /// Deletes the user's own account, and everything that belongs to it.
    ///
    /// # Errors
    /// `WrongPassword`, `TooManyRequests`, `LastAdmin`.
    pub async fn delete(&self, actor: &Actor, current: Password) -> Result<(), Error> {
        let confirmed = self.confirmation.confirm(actor, current).await?;
        let deleted = self.core.write_confirmed(confirmed, |tx, user, by, now| {
            if user.status() == Status::Verified {
                let to = user.profile.email.as_str().to_owned();
                let message = Message::plain(to, MessageKind::AccountDeleted);
                outbox::notify(tx, &user.profile.email, &message, now)?;
            }
            delete(tx, &user, by, now)
        });
        deleted.await
    }
}
