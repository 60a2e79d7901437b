//! Who asks, as a type: a user who is signed in, an admin, a user who has just given the password.

use std::sync::Arc;

use super::{
    audit::{AuditActor, cli},
    change_limits::{ChangeKind, change_charge},
    context::{Core, Tx},
    error::Error,
    live::active_session_user,
};
use crate::{
    domain::{Origin, PasswordHash, Session, SessionId, Timestamp, User},
    store::Snapshot,
};

/// A user who is signed in, as the store knew them when the request came. Only a checked access token makes one.
#[derive(Clone, Debug)]
pub struct Actor {
    found: Arc<(Session, User)>,
    origin: Origin,
}

/// A user with an admin's rights. Only a look at the stored state makes one, or the command line.
#[derive(Clone, Debug)]
pub struct Admin {
    audit_actor: AuditActor,
    session_id: Option<SessionId>,
}

/// A user who is signed in and has just given the password.
#[derive(Clone)]
pub struct Confirmed {
    actor: Actor,
    hash: PasswordHash,
}

impl Actor {
    /// For a session that was found active.
    pub(crate) fn new(found: Arc<(Session, User)>, origin: Origin) -> Self {
        Self { found, origin }
    }

    #[must_use]
    pub fn user(&self) -> &User {
        &self.found.1
    }

    /// The session of the request.
    #[must_use]
    pub fn session_id(&self) -> SessionId {
        self.found.0.id
    }

    pub(crate) fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The admin that this user is.
    ///
    /// # Errors
    /// `Forbidden` unless role, status and not being disabled all say so.
    pub fn admin(&self) -> Result<Admin, Error> {
        if !self.user().is_active_admin() {
            return Err(Error::Forbidden);
        }
        Ok(Admin { audit_actor: self.audit_actor(), session_id: Some(self.session_id()) })
    }

    fn audit_actor(&self) -> AuditActor {
        AuditActor::user(self.user().id, self.origin.clone())
    }

    /// Checks again, inside the transaction: the session may have ended since the request came.
    fn recheck_session(&self, tx: &Snapshot<'_>, now: Timestamp) -> Result<User, Error> {
        active_session_user(tx, self.session_id(), now)
    }
}

impl Admin {
    /// The operator, who can run commands beside the store and so could change its file directly. For `cli/` alone.
    #[must_use]
    pub fn from_cli() -> Self {
        Self { audit_actor: AuditActor::anonymous(cli()), session_id: None }
    }

    /// The session of the request; none at the command line.
    #[must_use]
    pub const fn session_id(&self) -> Option<SessionId> {
        self.session_id
    }

    /// Checks again, inside the transaction: since the request came the session may have ended, or another admin may have
    /// taken the rights away.
    fn recheck_admin(&self, tx: &Snapshot<'_>, now: Timestamp) -> Result<(), Error> {
        let Some(session_id) = self.session_id else { return Ok(()) };
        let user = active_session_user(tx, session_id, now)?;
        if user.is_active_admin() { Ok(()) } else { Err(Error::Forbidden) }
    }
}

impl Confirmed {
    /// For a password that was found to be that of `hash`.
    pub(crate) fn new(actor: Actor, hash: PasswordHash) -> Self {
        Self { actor, hash }
    }

    /// Checks again, inside the transaction: the session may have ended, the password may have changed.
    fn recheck_password(&self, tx: &Snapshot<'_>, now: Timestamp) -> Result<User, Error> {
        let user = self.actor.recheck_session(tx, now)?;
        match tx.password(user.id)? {
            Some(hash) if hash == self.hash => Ok(user),
            _ => Err(Error::WrongPassword),
        }
    }
}

/// The writes that need a right. Each checks it again inside the transaction, and hands out who is audited: without this no
/// change can be recorded as theirs. What is done again and again is a change, and charged: see [`ChangeKind`].
impl Core {
    /// Writes as an admin.
    ///
    /// # Errors
    /// `InvalidToken` or `Forbidden` if the right is gone by now; what `work` answers, or that the store cannot.
    pub async fn write_as<T: Send + 'static>(
        &self,
        admin: &Admin,
        work: impl FnOnce(&Tx<'_>, &AuditActor, Timestamp) -> Result<T, Error> + Clone + Send + 'static,
    ) -> Result<T, Error> {
        self.write(as_admin(admin.clone(), self.now(), work)).await
    }

    /// Makes a change as an admin. If `work` is refused, it is not charged.
    ///
    /// # Errors
    /// `TooManyRequests`; those of [`Self::write_as`].
    pub async fn write_change_as<T: Send + 'static>(
        &self,
        admin: &Admin,
        work: impl FnOnce(&Tx<'_>, &AuditActor, Timestamp) -> Result<T, Error> + Clone + Send + 'static,
    ) -> Result<T, Error> {
        let now = self.now();
        let charge = change_charge(self, ChangeKind::ByAdmin, &admin.audit_actor, now);
        self.write_charged(charge, as_admin(admin.clone(), now, work)).await
    }

    /// Writes as a user who is signed in. `work` is given the user as they are now.
    ///
    /// # Errors
    /// `InvalidToken` if the session has ended by now; what `work` answers, or that the store cannot.
    pub async fn write_as_user<T: Send + 'static>(
        &self,
        actor: &Actor,
        work: impl FnOnce(&Tx<'_>, User, &AuditActor, Timestamp) -> Result<T, Error> + Clone + Send + 'static,
    ) -> Result<T, Error> {
        self.write(as_user(actor.clone(), self.now(), work)).await
    }

    /// Makes an edit as a user who is signed in. If `work` is refused, it is not charged.
    ///
    /// # Errors
    /// `TooManyRequests`; those of [`Self::write_as_user`].
    pub async fn write_change_as_user<T: Send + 'static>(
        &self,
        actor: &Actor,
        work: impl FnOnce(&Tx<'_>, User, &AuditActor, Timestamp) -> Result<T, Error> + Clone + Send + 'static,
    ) -> Result<T, Error> {
        let now = self.now();
        let charge = change_charge(self, ChangeKind::OwnEdit, &actor.audit_actor(), now);
        self.write_charged(charge, as_user(actor.clone(), now, work)).await
    }

    /// Writes as a user who has given the password.
    ///
    /// # Errors
    /// `InvalidToken` if the session has ended by now, `WrongPassword` if the password was changed; what `work` answers, or
    /// that the store cannot.
    pub async fn write_confirmed<T: Send + 'static>(
        &self,
        confirmed: Confirmed,
        work: impl FnOnce(&Tx<'_>, User, &AuditActor, Timestamp) -> Result<T, Error> + Clone + Send + 'static,
    ) -> Result<T, Error> {
        self.write(as_confirmed(confirmed, self.now(), work)).await
    }

    /// Makes a change as a user who has given the password. If `work` is refused, it is not charged.
    ///
    /// # Errors
    /// `TooManyRequests`; those of [`Self::write_confirmed`].
    pub async fn write_confirmed_change<T: Send + 'static>(
        &self,
        confirmed: Confirmed,
        work: impl FnOnce(&Tx<'_>, User, &AuditActor, Timestamp) -> Result<T, Error> + Clone + Send + 'static,
    ) -> Result<T, Error> {
        let now = self.now();
        let charge = change_charge(self, ChangeKind::WithPassword, &confirmed.actor.audit_actor(), now);
        self.write_charged(charge, as_confirmed(confirmed, now, work)).await
    }
}

fn as_admin<T>(
    admin: Admin,
    now: Timestamp,
    work: impl FnOnce(&Tx<'_>, &AuditActor, Timestamp) -> Result<T, Error> + Clone + Send + 'static,
) -> impl FnOnce(&Tx<'_>) -> Result<T, Error> + Clone + Send + 'static {
    move |tx| {
        admin.recheck_admin(tx, now)?;
        work(tx, &admin.audit_actor, now)
    }
}

fn as_user<T>(
    actor: Actor,
    now: Timestamp,
    work: impl FnOnce(&Tx<'_>, User, &AuditActor, Timestamp) -> Result<T, Error> + Clone + Send + 'static,
) -> impl FnOnce(&Tx<'_>) -> Result<T, Error> + Clone + Send + 'static {
    move |tx| {
        let user = actor.recheck_session(tx, now)?;
        work(tx, user, &actor.audit_actor(), now)
    }
}

fn as_confirmed<T>(
    confirmed: Confirmed,
    now: Timestamp,
    work: impl FnOnce(&Tx<'_>, User, &AuditActor, Timestamp) -> Result<T, Error> + Clone + Send + 'static,
) -> impl FnOnce(&Tx<'_>) -> Result<T, Error> + Clone + Send + 'static {
    move |tx| {
        let user = confirmed.recheck_password(tx, now)?;
        work(tx, user, &confirmed.actor.audit_actor(), now)
    }
}
