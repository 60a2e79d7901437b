//! Passwords forgotten and chosen anew, and one exchanged for another.

use std::sync::Arc;

use super::{
    Accounts, Actor, Admin, Error, Proof,
    audit::AuditActor,
    change_limits::ChangeKind,
    codes::{CodeMessage, FreshCode},
    not_expired,
    timing::pad_to_step,
    verification::confirm,
};
use crate::{
    domain::{
        Action, Email, Invalid, MessageKind, NewPassword, Origin, Password, Profile, Purpose, Status,
        Timestamp, User, UserId,
    },
    store::Tx,
};

/// A one-time link to choose a password with, for an admin to hand over.
#[derive(Clone, Debug)]
pub struct PasswordReset {
    /// The link.
    pub link: String,
    /// The first instant at which it no longer counts.
    pub expires_at: Timestamp,
}

impl Accounts {
    /// Sends a code and link to choose a new password; for an address without account nothing happens, and nothing
    /// tells.
    ///
    /// # Errors
    /// `TooManyRequests` from this client.
    pub async fn forgot_password(&self, email: Email, origin: Origin) -> Result<(), Error> {
        pad_to_step(self.try_to_forget(email, origin)).await
    }

    async fn try_to_forget(&self, email: Email, origin: Origin) -> Result<(), Error> {
        let now = self.clock.now();
        let fresh = FreshCode::new();
        let accounts = self.clone();
        let sent = self.store.write(move |tx| {
            accounts.charge_message(tx, &origin.client, now)?;
            let found = tx.user_by_email(&email)?.map(|(user, _)| user);
            let Some(user) = not_expired(found, now).filter(|user| !user.disabled) else { return Ok(()) };
            if accounts.send_code_quietly(tx, CodeMessage::to(&user, Purpose::ResetPassword), &fresh, now)? {
                AuditActor::anonymous(origin).record(tx, Action::PasswordResetRequested, user.id, now)?;
            }
            Ok::<_, Error>(())
        });
        sent.await?;
        self.posted.notify_one();
        Ok(())
    }

    /// Sets a new password on a good proof, or the first one of somebody who was invited. Every session ends, every open
    /// code dies, and the address counts as verified: whoever read the message owns it.
    ///
    /// # Errors
    /// `VerificationFailed` for everything that can be wrong with the proof. With a good one, `Invalid` for a password that
    /// breaks a rule; then the proof can be used again.
    pub async fn reset_password(&self, proof: Proof, typed: String, origin: Origin) -> Result<(), Error> {
        pad_to_step(self.try_to_reset(proof, typed, origin)).await
    }

    async fn try_to_reset(&self, proof: Proof, typed: String, origin: Origin) -> Result<(), Error> {
        const PURPOSES: &[Purpose] = Purpose::FOR_PASSWORD;
        let now = self.clock.now();
        // A wrong proof is counted, and that is on the disk, before anything is done that depends on whether it was good.
        let owner = self.try_proof(&proof, PURPOSES, &origin.client, now).await?;
        let owner = owner.ok_or(Error::VerificationFailed)?;
        let new = self.judge_new_password(typed, owner.profile).await?;
        let hash = self.hasher.hash(new).await?;
        let accounts = self.clone();
        let reset = self.store.write(move |tx| {
            let Some(redeemed) = accounts.redeem(tx, &proof, PURPOSES, now)? else { return Ok(None) };
            let user = redeemed.user;
            accounts.reset_login_limits(tx, &user.profile.email, &origin.client, now)?;
            let had_one = tx.password(user.id)?.is_some();
            tx.set_password(user.id, &hash)?;
            tx.delete_sessions_of(user.id)?;
            tx.delete_codes_of(user.id)?;
            accounts.forget_resets(tx, &user.profile.email)?;
            let action = match redeemed.purpose {
                Purpose::AcceptInvitation => Action::InvitationAccepted,
                _ => Action::PasswordReset,
            };
            AuditActor::anonymous(origin).record(tx, action, user.id, now)?;
            let user = match user.status() {
                Status::Unverified => confirm(tx, user, now)?,
                Status::Verified => user,
            };
            if had_one {
                accounts.tell_password_changed(tx, &user, now)?;
            }
            Ok::<_, Error>(Some(()))
        });
        reset.await?.ok_or(Error::VerificationFailed)?;
        self.posted.notify_one();
        Ok(())
    }

    /// Exchanges the password of whoever asks for another. Their other sessions end, and every open code dies.
    ///
    /// # Errors
    /// `Invalid`, `WrongPassword`, `TooManyRequests`.
    pub async fn change_password(&self, actor: &Actor, current: Password, typed: &str) -> Result<(), Error> {
        let now = self.clock.now();
        let confirmed = self.confirm(actor, current).await?;
        let new = self.judge_new_password(typed.to_owned(), actor.user().profile.clone()).await?;
        let hash = self.hasher.hash(new).await?;
        let fresh = FreshCode::new();
        let (accounts, actor) = (self.clone(), actor.clone());
        let changed = self.store.write(move |tx| {
            let user = confirmed.recheck_session(tx, now)?;
            accounts.charge_change(tx, ChangeKind::WithPassword, &actor.audit_actor(), now)?;
            tx.set_password(user.id, &hash)?;
            tx.delete_sessions_but(user.id, Some(actor.session_id()))?;
            tx.delete_codes_of(user.id)?;
            actor.audit_actor().record(tx, Action::PasswordChanged, user.id, now)?;
            match user.status() {
                Status::Unverified => accounts.ask_to_verify(tx, &user, &fresh, now), // their code is dead, too
                Status::Verified => accounts.tell_password_changed(tx, &user, now),
            }
        });
        changed.await?;
        self.posted.notify_one();
        Ok(())
    }

    /// A one-time link with which a user can choose another password, for an admin to hand over; it replaces the one that an
    /// admin made before.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn reset_link(&self, by: &Admin, id: UserId) -> Result<PasswordReset, Error> {
        let now = self.clock.now();
        let fresh = FreshCode::link();
        let (accounts, by) = (self.clone(), by.clone());
        let made = self.store.write(move |tx| {
            by.recheck_admin(tx, now)?;
            let user = not_expired(tx.user(id)?, now).ok_or(Error::NotFound)?;
            by.audit_actor().record(tx, Action::PasswordResetLinkCreated, user.id, now)?;
            let (link, expires_at) = accounts.make_link(tx, &user, Purpose::AdminReset, &fresh, now)?;
            Ok::<_, Error>(PasswordReset { link, expires_at })
        });
        made.await
    }

    /// Judges a password where passwords are hashed, for it takes some milliseconds: only once a try was paid for, or the
    /// right password given.
    async fn judge_new_password(&self, typed: String, owner: Profile) -> Result<NewPassword, Error> {
        let rules = Arc::clone(&self.rules);
        let judged = self.hasher.run(move || rules.policy.check("new_password", &typed, &owner)).await?;
        judged.map_err(|error| Invalid(vec![error]).into())
    }

    /// Tells a user that their password is another now, and where to choose one again if it was not them.
    fn tell_password_changed(&self, tx: &Tx<'_>, user: &User, now: Timestamp) -> Result<(), Error> {
        self.notify_with_form(tx, "changed", MessageKind::PasswordChanged, &user.profile.email, now)
    }
}
