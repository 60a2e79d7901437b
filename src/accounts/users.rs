//! All users, for admins.

use super::{
    deletion::{check_not_last_admin, delete},
    email_change,
    new_user::release_expired_email,
    profile::Profile,
};
use crate::{
    core::{
        Actor, Admin, ChangeKind, Core, Error, FreshCode, Revoke, Tx, end_email_change, find_user_by_email,
        live_user, may_log_in, refund_change, revoke_access, revoke_sessions, send_verification,
        settings::Settings,
    },
    domain::{
        Change, Email, Page, Purpose, Status, Timestamp, User, UserChange, UserCursor, UserId, UserQuery,
        Verification,
    },
};

#[derive(Clone)]
pub struct Users {
    core: Core,
    profile: Profile,
}

impl Users {
    pub(crate) fn new(core: Core, profile: Profile) -> Self {
        Self { core, profile }
    }

    /// One page of users.
    ///
    /// # Errors
    /// Only if the store does not answer.
    pub async fn list(&self, _by: &Admin, query: UserQuery) -> Result<Page<User, UserCursor>, Error> {
        let now = self.core.now();
        self.core.read(move |tx| Ok(tx.users(&query, now)?)).await
    }

    /// # Errors
    /// `NotFound`.
    pub async fn get(&self, _by: &Admin, id: UserId) -> Result<User, Error> {
        let now = self.core.now();
        self.core.read(move |tx| live_user(tx, id, now)).await
    }

    /// # Errors
    /// `NotFound`.
    pub async fn get_by_email(&self, _by: &Admin, email: Email) -> Result<User, Error> {
        let now = self.core.now();
        let found = self.core.read(move |tx| find_user_by_email(tx, &email, now)).await?;
        found.map(|(user, _)| user).ok_or(Error::NotFound)
    }

    /// Changes a user, as an admin or, for the profile alone, as that user.
    ///
    /// # Errors
    /// `Forbidden`, whether or not there is such a user; those of [`Self::update`].
    pub async fn update_as(&self, actor: &Actor, id: UserId, change: UserChange) -> Result<User, Error> {
        match actor.admin() {
            Ok(admin) => self.update(&admin, id, change).await,
            Err(_) if actor.user().id == id && change.is_profile_only() => {
                self.profile.update(actor, change.profile).await
            }
            Err(forbidden) => Err(forbidden),
        }
    }

    /// Changes a user. An address that an admin sets is in force at once, under the status that the user has; sessions
    /// end, codes sent to the old address die, and it is told. Disabling ends every session and kills every code; verifying
    /// ends every session. A user who is unverified from now on has as much time as after a sign-up, and gets a message,
    /// unless they are disabled.
    ///
    /// # Errors
    /// `NotFound`, `EmailTaken`, `LastAdmin`, `TooManyRequests`.
    pub async fn update(&self, by: &Admin, id: UserId, change: UserChange) -> Result<User, Error> {
        // What changes nothing is not charged, even if there is no token.
        let (core, asked, now) = (self.core.clone(), change.clone(), self.core.now());
        let unchanged = self.core.read(move |tx| {
            let user = live_user(tx, id, now)?;
            Ok((changed(&core.settings, &user, asked, now) == user).then_some(user))
        });
        if let Some(user) = unchanged.await? {
            return Ok(user);
        }
        let fresh = FreshCode::new();
        let updated = self.core.write_change_as(by, move |tx, by, now| {
            let old = live_user(tx, id, now)?;
            let mut user = changed(tx.settings(), &old, change, now);
            if user == old {
                refund_change(tx, ChangeKind::ByAdmin, by, now);
                return Ok(old);
            }
            user.updated_at = now;
            if old.is_active_admin() && !user.is_active_admin() {
                check_not_last_admin(tx)?;
            }
            if !user.profile.email.is(&old.profile.email) {
                release_expired_email(tx, &user.profile.email, now)?;
            }
            tx.update_user(&user)?;
            by.record_edit(tx, &old, &user)?;
            follow_up(tx, &old, &user, &fresh)?;
            Ok(user)
        });
        updated.await
    }

    /// Deletes a user and everything that belongs to them.
    ///
    /// # Errors
    /// `NotFound`, `LastAdmin`, `TooManyRequests`.
    pub async fn delete(&self, by: &Admin, id: UserId) -> Result<(), Error> {
        let deleted = self.core.write_change_as(by, move |tx, by, now| {
            let user = live_user(tx, id, now)?;
            delete(tx, &user, by, now)
        });
        deleted.await
    }
}

fn changed(settings: &Settings, old: &User, change: UserChange, now: Timestamp) -> User {
    let mut user = old.clone();
    change.profile.apply(&mut user.profile);
    change.email.apply(&mut user.profile.email);
    change.role.apply(&mut user.role);
    change.disabled.apply(&mut user.disabled);
    match change.status {
        Change::Set(Status::Verified) if old.status() != Status::Verified => {
            user.verification = Verification::Done { at: now };
        }
        Change::Set(Status::Unverified) if old.status() != Status::Unverified => {
            user.verification = Verification::Pending { expires_at: now + settings.unverified_after };
        }
        Change::Set(_) | Change::Keep => {}
    }
    user
}

/// What has to end, or be sent, because of a change.
fn follow_up(tx: &Tx<'_>, old: &User, user: &User, fresh: &FreshCode) -> Result<(), Error> {
    let moved = !user.profile.email.is(&old.profile.email);
    if moved {
        email_change::follow_up(tx, old, user, Revoke::All)?;
    }
    if user.disabled && !old.disabled {
        revoke_access(tx, user.id, Revoke::All)?;
    }
    if user.status() != old.status() {
        end_email_change(tx, user.id)?;
        // A verification ends the sessions of before, through every channel: another person may have begun them.
        if user.status() == Status::Verified || may_log_in(tx.settings(), user).is_err() {
            revoke_sessions(tx, user.id, Revoke::All)?;
        }
    }
    match user.status() {
        Status::Verified => tx.delete_code(user.id, Purpose::VerifyEmail)?,
        Status::Unverified if !user.disabled && (moved || old.status() == Status::Verified) => {
            send_verification(tx, user, fresh, user.updated_at)?;
        }
        Status::Unverified => {}
    }
    Ok(())
}
