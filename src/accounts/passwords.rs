//! Passwords: forgotten and reset by mail, changed with the current one, reset by an admin's link.

use super::verification::mark_verified;
use crate::{
    core::{
        Actor, Admin, AuditActor, CodeMessage, Confirmation, Core, Error, FreshCode, Proof, Revoke, Tx,
        check_proof, find_user_by_email, forget_resets, live_user, make_link, message_charge, outbox,
        pad_to_step, redeem, reset_login_limits, revoke_access, send_code_quietly, send_verification,
    },
    crypto::Hasher,
    domain::{
        Action, Email, Invalid, MessageKind, NewPassword, Origin, Password, Profile, Purpose, Status,
        Timestamp, User, UserId,
    },
};

#[derive(Clone)]
pub struct Passwords {
    core: Core,
    hasher: Hasher,
    confirmation: Confirmation,
}

/// A one-time link to choose a password with, for an admin to hand over.
#[derive(Clone, Debug)]
pub struct PasswordReset {
    pub link: String,
    /// The first instant at which it is no longer valid.
    pub expires_at: Timestamp,
}

impl Passwords {
    pub(crate) fn new(core: Core, hasher: Hasher, confirmation: Confirmation) -> Self {
        Self { core, hasher, confirmation }
    }

    /// Sends a code and link to choose a new password; for an address without account nothing happens, and nothing
    /// tells.
    ///
    /// # Errors
    /// `TooManyRequests` from this client.
    pub async fn request_reset(&self, email: Email, origin: Origin) -> Result<(), Error> {
        pad_to_step(self.send_reset(email, origin)).await
    }

    /// Sets a new password by a valid proof, or the first one of a user who was invited. Every session ends, every open
    /// code dies, and the address counts as verified: the proof was sent to it.
    ///
    /// # Errors
    /// `VerificationFailed` for everything that can be wrong with the proof. With a valid one, `Invalid` for a password that
    /// breaks a rule; then the proof can be used again.
    pub async fn reset(&self, proof: Proof, typed: String, origin: Origin) -> Result<(), Error> {
        pad_to_step(self.redeem(proof, typed, origin)).await
    }

    /// Changes the user's own password. Their other sessions end, and every open code dies.
    ///
    /// # Errors
    /// `Invalid`, `WrongPassword`, `TooManyRequests`.
    pub async fn change(&self, actor: &Actor, current: Password, typed: &str) -> Result<(), Error> {
        let confirmed = self.confirmation.confirm(actor, current).await?;
        let new = self.check_new(typed.to_owned(), actor.user().profile.clone()).await?;
        let hash = self.hasher.hash(new).await?;
        let (fresh, own) = (FreshCode::new(), actor.session_id());
        let changed = self.core.write_confirmed_change(confirmed, move |tx, user, by, now| {
            tx.set_password(user.id, &hash)?;
            revoke_access(tx, user.id, Revoke::Others(own))?;
            by.record(tx, Action::PasswordChanged, user.id, now)?;
            match user.status() {
                Status::Unverified => send_verification(tx, &user, &fresh, now), // their code is dead, too
                Status::Verified => notify_changed(tx, &user, now),
            }
        });
        changed.await
    }

    /// Makes a one-time link with which a user can choose another password, for an admin to hand over; it replaces the one
    /// that an admin made before.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn create_reset_link(&self, by: &Admin, id: UserId) -> Result<PasswordReset, Error> {
        let fresh = FreshCode::link();
        let created = self.core.write_as(by, move |tx, by, now| {
            let user = live_user(tx, id, now)?;
            by.record(tx, Action::PasswordResetLinkCreated, user.id, now)?;
            let (link, expires_at) = make_link(tx, &user, Purpose::AdminReset, &fresh, now)?;
            Ok(PasswordReset { link, expires_at })
        });
        created.await
    }

    async fn send_reset(&self, email: Email, origin: Origin) -> Result<(), Error> {
        let now = self.core.now();
        let fresh = FreshCode::new();
        let charge = message_charge(&self.core, &origin.client, now);
        let sent = self.core.write_charged(charge, move |tx| {
            let found = find_user_by_email(tx, &email, now)?.map(|(user, _)| user);
            let Some(user) = found.filter(|user| !user.disabled) else { return Ok(()) };
            if send_code_quietly(tx, CodeMessage::to(&user, Purpose::ResetPassword), &fresh, now)? {
                AuditActor::anonymous(origin).record(tx, Action::PasswordResetRequested, user.id, now)?;
            }
            Ok(())
        });
        sent.await
    }

    async fn redeem(&self, proof: Proof, typed: String, origin: Origin) -> Result<(), Error> {
        const PURPOSES: &[Purpose] = Purpose::FOR_PASSWORD;
        let now = self.core.now();
        // A wrong proof is counted, and that is on the disk, before anything is done that depends on whether it was valid.
        let user = check_proof(&self.core, &proof, PURPOSES, &origin.client, now).await?;
        let user = user.ok_or(Error::VerificationFailed)?;
        let new = self.check_new(typed, user.profile).await?;
        let hash = self.hasher.hash(new).await?;
        let reset = self.core.write(move |tx| {
            let Some(redeemed) = redeem(tx, &proof, PURPOSES, now)? else { return Ok(None) };
            let user = redeemed.user;
            reset_login_limits(tx, &user.profile.email, &origin.client, now);
            let had_password = tx.password(user.id)?.is_some();
            tx.set_password(user.id, &hash)?;
            revoke_access(tx, user.id, Revoke::All)?;
            forget_resets(tx, &user.profile.email)?;
            let action = match redeemed.purpose {
                Purpose::AcceptInvitation => Action::InvitationAccepted,
                _ => Action::PasswordReset,
            };
            AuditActor::anonymous(origin).record(tx, action, user.id, now)?;
            let user = match user.status() {
                Status::Unverified => mark_verified(tx, user, now)?,
                Status::Verified => user,
            };
            if had_password {
                notify_changed(tx, &user, now)?;
            }
            Ok(Some(()))
        });
        reset.await?.ok_or(Error::VerificationFailed)
    }

    /// The strength check takes some milliseconds: it runs where passwords are hashed, and only once an attempt was charged,
    /// or the correct password given.
    async fn check_new(&self, typed: String, owner: Profile) -> Result<NewPassword, Error> {
        let core = self.core.clone();
        let checked =
            self.hasher.run(move || core.settings.policy.check("new_password", &typed, &owner)).await?;
        checked.map_err(|error| Invalid(vec![error]).into())
    }
}

/// Tells a user that their password was changed, and where to choose another if it was not them.
fn notify_changed(tx: &Tx<'_>, user: &User, now: Timestamp) -> Result<(), Error> {
    outbox::notify_with_form(tx, "changed", MessageKind::PasswordChanged, &user.profile.email, now)
}
