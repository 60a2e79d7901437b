//! Everyone's accounts, for admins.

use super::{
    Accounts, Actor, Error,
    audit::{AuditActor, console},
    change_limits::ChangeKind,
    codes::FreshCode,
    not_expired,
    sessions::active_session_user,
    verification::end_email_change,
};
use crate::{
    domain::{
        Action, Change, Email, Origin, Page, Purpose, SessionId, Status, Timestamp, User, UserChange,
        UserCursor, UserId, UserQuery, Verification,
    },
    store::{Snapshot, Tx},
};

/// Somebody with an admin's rights. There is no other way to get one than to be found to be one in the store, or to
/// sit at the console.
#[derive(Clone, Debug)]
pub struct Admin {
    audit_actor: AuditActor,
    session_id: Option<SessionId>,
}

impl Admin {
    /// Whoever can run commands beside the store: they could change the file itself. For `cli/` alone.
    #[must_use]
    pub fn from_cli() -> Self {
        Self { audit_actor: AuditActor::anonymous(console()), session_id: None }
    }

    /// Who does what they do.
    pub(crate) const fn audit_actor(&self) -> &AuditActor {
        &self.audit_actor
    }

    /// The session they came with, unless they sit at the console.
    #[must_use]
    pub const fn session_id(&self) -> Option<SessionId> {
        self.session_id
    }

    /// Looks again, inside the transaction: between the request and now the session may have ended, or somebody may have
    /// taken the rights away.
    pub(crate) fn recheck_admin(&self, tx: &Snapshot<'_>, now: Timestamp) -> Result<(), Error> {
        let Some(session_id) = self.session_id else { return Ok(()) };
        let user = active_session_user(tx, session_id, now)?;
        if user.is_active_admin() { Ok(()) } else { Err(Error::Forbidden) }
    }
}

impl Accounts {
    /// The admin that somebody is.
    ///
    /// # Errors
    /// `Forbidden` unless role, status and not being disabled all say so.
    pub fn admin(&self, actor: &Actor) -> Result<Admin, Error> {
        if !actor.user().is_active_admin() {
            return Err(Error::Forbidden);
        }
        Ok(Admin { audit_actor: actor.audit_actor(), session_id: Some(actor.session_id()) })
    }

    /// One page of users.
    ///
    /// # Errors
    /// Only if the store does not answer.
    pub async fn users(&self, _by: &Admin, query: UserQuery) -> Result<Page<User, UserCursor>, Error> {
        let now = self.clock.now();
        self.store.read(move |tx| Ok::<_, Error>(tx.users(&query, now)?)).await
    }

    /// A user.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn user(&self, _by: &Admin, id: UserId) -> Result<User, Error> {
        let now = self.clock.now();
        let found = self.store.read(move |tx| Ok::<_, Error>(tx.user(id)?)).await?;
        not_expired(found, now).ok_or(Error::NotFound)
    }

    /// The user with an address.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn user_by_email(&self, _by: &Admin, email: Email) -> Result<User, Error> {
        let now = self.clock.now();
        let found = self.store.read(move |tx| Ok::<_, Error>(tx.user_by_email(&email)?)).await?;
        not_expired(found.map(|(user, _)| user), now).ok_or(Error::NotFound)
    }

    /// Changes a user, as an admin or, for the profile alone, as that user.
    ///
    /// # Errors
    /// `Forbidden`, whether or not there is such a user; what `change_user` says.
    pub async fn edit_user(&self, actor: &Actor, id: UserId, change: UserChange) -> Result<User, Error> {
        match self.admin(actor) {
            Ok(admin) => self.change_user(&admin, id, change).await,
            Err(_) if actor.user().id == id && change.is_profile_only() => {
                self.edit_profile(actor, change.profile).await
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
    pub async fn change_user(&self, by: &Admin, id: UserId, change: UserChange) -> Result<User, Error> {
        let now = self.clock.now();
        let fresh = FreshCode::new();
        let (accounts, by) = (self.clone(), by.clone());
        let changed = self.store.write(move |tx| {
            by.recheck_admin(tx, now)?;
            let old = not_expired(tx.user(id)?, now).ok_or(Error::NotFound)?;
            let mut user = accounts.changed(&old, change, now);
            if user == old {
                return Ok(old);
            }
            accounts.charge_change(tx, ChangeKind::ByAdmin, by.audit_actor(), now)?;
            user.updated_at = now;
            if old.is_active_admin() && !user.is_active_admin() {
                not_the_last_admin(tx)?;
            }
            if !user.profile.email.is(&old.profile.email) {
                free(tx, &user.profile.email, now)?;
            }
            tx.update_user(&user)?;
            by.audit_actor().record_edit(tx, &old, &user)?;
            accounts.follow_up(tx, &old, &user, &fresh)?;
            Ok::<_, Error>(user)
        });
        let user = changed.await?;
        self.posted.notify_one();
        Ok(user)
    }

    /// Deletes a user and everything that belongs to them.
    ///
    /// # Errors
    /// `NotFound`, `LastAdmin`, `TooManyRequests`.
    pub async fn delete_user(&self, by: &Admin, id: UserId) -> Result<(), Error> {
        let now = self.clock.now();
        let (accounts, by) = (self.clone(), by.clone());
        let deleted = self.store.write(move |tx| {
            by.recheck_admin(tx, now)?;
            let user = not_expired(tx.user(id)?, now).ok_or(Error::NotFound)?;
            accounts.charge_change(tx, ChangeKind::ByAdmin, by.audit_actor(), now)?;
            delete(tx, &user, by.audit_actor(), now)
        });
        deleted.await
    }

    fn changed(&self, old: &User, change: UserChange, now: Timestamp) -> User {
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
                user.verification = Verification::Pending { expires_at: now + self.rules.unverified_after };
            }
            Change::Set(_) | Change::Keep => {}
        }
        user
    }

    /// What has to end, or be sent, because of a change.
    fn follow_up(&self, tx: &Tx<'_>, old: &User, user: &User, fresh: &FreshCode) -> Result<(), Error> {
        let moved = !user.profile.email.is(&old.profile.email);
        if moved {
            self.after_email_change(tx, old, user, None)?;
        }
        if user.disabled && !old.disabled {
            tx.delete_sessions_of(user.id)?;
            tx.delete_codes_of(user.id)?;
        }
        if user.status() != old.status() {
            end_email_change(tx, user.id)?;
            // A verification ends the sessions of before, through every channel: a stranger may have begun them.
            if user.status() == Status::Verified || self.may_log_in(user).is_err() {
                tx.delete_sessions_of(user.id)?;
            }
        }
        match user.status() {
            Status::Verified => tx.delete_code(user.id, Purpose::VerifyEmail)?,
            Status::Unverified if !user.disabled && (moved || old.status() == Status::Verified) => {
                self.ask_to_verify(tx, user, fresh, user.updated_at)?;
            }
            Status::Unverified => {}
        }
        Ok(())
    }
}

/// Deletes a user and everything that belongs to them.
pub(crate) fn delete(tx: &Tx<'_>, user: &User, by: &AuditActor, now: Timestamp) -> Result<(), Error> {
    if user.is_active_admin() {
        not_the_last_admin(tx)?;
    }
    tx.delete_user(user.id)?;
    by.record(tx, Action::UserDeleted, user.id, now)
}

/// Makes an address free whose account has expired and was not purged yet.
pub(crate) fn free(tx: &Tx<'_>, email: &Email, now: Timestamp) -> Result<(), Error> {
    match tx.delete_expired_user(email, now)? {
        Some(id) => AuditActor::anonymous(Origin::job()).record(tx, Action::UserExpired, id, now),
        None => Ok(()),
    }
}

/// The shop keeps an admin who can act. Two who take each other's rights away at the same moment come here one after
/// the other.
fn not_the_last_admin(tx: &Snapshot<'_>) -> Result<(), Error> {
    if tx.count_active_admins()? > 1 { Ok(()) } else { Err(Error::LastAdmin) }
}
