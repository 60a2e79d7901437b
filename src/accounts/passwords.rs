//! Passwords forgotten and chosen anew, and one exchanged for another.

use std::sync::Arc;

use super::{
    Accounts, Actor, Admin, Error, Proof,
    audit::Author,
    codes::{FreshCode, Sending},
    living,
    silence::in_steps,
    verification::confirm,
};
use crate::{
    model::{
        Action, Client, Email, Invalid, Letter, NewPassword, Origin, Password, PasswordPolicy, Profile,
        Purpose, Status, Timestamp, User, UserId,
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
        in_steps(self.try_to_forget(email, origin)).await
    }

    async fn try_to_forget(&self, email: Email, origin: Origin) -> Result<(), Error> {
        let now = self.clock.now();
        self.take_message(&origin.client, now).await?;
        let fresh = FreshCode::new();
        let accounts = self.clone();
        let sent = self.store.write(move |tx| {
            let found = tx.user_by_email(&email)?.map(|(user, _)| user);
            let Some(user) = living(found, now).filter(|user| !user.disabled) else { return Ok(()) };
            if accounts.send_code_quietly(tx, Sending::to(&user, Purpose::ResetPassword), &fresh, now)? {
                Author::nobody(origin).record(tx, Action::PasswordForgotten, user.id, now)?;
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
    /// `Invalid` for a password that breaks a rule; then the proof can be used again. `VerificationFailed` for
    /// everything that can be wrong with the proof.
    pub async fn reset_password(&self, proof: Proof, typed: String, origin: Origin) -> Result<(), Error> {
        in_steps(self.try_to_reset(proof, typed, origin)).await
    }

    async fn try_to_reset(&self, proof: Proof, typed: String, origin: Origin) -> Result<(), Error> {
        const PURPOSES: [Purpose; 2] = [Purpose::ResetPassword, Purpose::AcceptInvitation];
        let now = self.clock.now();
        // Beside the claim first, whatever the proof is: a wrong code must be refused no sooner than a right one, or it
        // would cost no try.
        let mut new = self.judge_new_password(&typed, claimed_profile(&proof), &origin.client).await?;
        if let Some(owner) = self.owner_of(&proof, &PURPOSES, now).await? {
            new = self.judge_new_password(&typed, owner.profile, &origin.client).await?;
        }
        let hash = self.hasher.hash(new).await?;
        let accounts = self.clone();
        let reset = self.store.write(move |tx| {
            accounts.take_guess(tx, &origin.client, now)?;
            let Some(redeemed) = accounts.redeem(tx, &proof, &PURPOSES, now)? else { return Ok(None) };
            let user = redeemed.user;
            accounts.guessed_right(tx, &origin.client, now)?;
            accounts.forgive(tx, &user.profile.email, &origin.client, now)?;
            let had_one = tx.password(user.id)?.is_some();
            tx.set_password(user.id, &hash)?;
            tx.delete_sessions_of(user.id)?;
            tx.delete_codes_of(user.id)?;
            accounts.forget_resets(tx, &user.profile.email)?;
            let action = match redeemed.purpose {
                Purpose::AcceptInvitation => Action::InvitationAccepted,
                _ => Action::PasswordReset,
            };
            Author::nobody(origin).record(tx, action, user.id, now)?;
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
        let new = self.judge_new_password(typed, actor.user().profile.clone(), actor.client()).await?;
        let confirmed = self.confirm(actor, current).await?;
        let hash = self.hasher.hash(new).await?;
        let fresh = FreshCode::new();
        let (accounts, actor) = (self.clone(), actor.clone());
        let changed = self.store.write(move |tx| {
            let user = confirmed.still_here(tx, now)?;
            tx.set_password(user.id, &hash)?;
            tx.delete_other_sessions(user.id, actor.session_id())?;
            tx.delete_codes_of(user.id)?;
            actor.author().record(tx, Action::PasswordChanged, user.id, now)?;
            match user.status() {
                Status::Unverified => accounts.ask_to_verify(tx, &user, &fresh, now), // their code is dead, too
                Status::Verified => accounts.tell_password_changed(tx, &user, now),
            }
        });
        changed.await?;
        self.posted.notify_one();
        Ok(())
    }

    /// A one-time link with which a user can choose another password, for an admin to hand over.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn reset_link(&self, by: &Admin, id: UserId) -> Result<PasswordReset, Error> {
        let now = self.clock.now();
        let fresh = FreshCode::link();
        let (accounts, by) = (self.clone(), by.clone());
        let made = self.store.write(move |tx| {
            by.still_acts(tx, now)?;
            let user = living(tx.user(id)?, now).ok_or(Error::NotFound)?;
            by.author().record(tx, Action::PasswordLinkMade, user.id, now)?;
            let (link, expires_at) = accounts.make_link(tx, &user, Purpose::ResetPassword, &fresh, now)?;
            Ok::<_, Error>(PasswordReset { link, expires_at })
        });
        made.await
    }

    async fn judge_new_password(
        &self,
        typed: &str,
        owner: Profile,
        client: &Client,
    ) -> Result<NewPassword, Error> {
        let typed = typed.to_owned();
        let check = move |policy: &PasswordPolicy| {
            policy.check("new_password", &typed, &owner).map_err(|error| Invalid(vec![error]))
        };
        self.judge(client, check).await
    }

    /// Judges a new password where passwords are hashed, for it takes some milliseconds. One that is refused costs the client
    /// a try, as a wrong one would, so that nobody has us judge without end.
    ///
    /// # Errors
    /// What `check` says; `TooManyRequests`, `Busy`.
    pub(super) async fn judge<T: Send + 'static>(
        &self,
        client: &Client,
        check: impl FnOnce(&PasswordPolicy) -> Result<T, Invalid> + Send + 'static,
    ) -> Result<T, Error> {
        let now = self.clock.now();
        self.may_guess(client, now).await?;
        let rules = Arc::clone(&self.rules);
        let judged = self.hasher.run(move || check(&rules.policy)).await?;
        if judged.is_err() {
            let (accounts, client) = (self.clone(), client.clone());
            self.store.write(move |tx| accounts.take_guess(tx, &client, now)).await?;
        }
        Ok(judged?)
    }

    /// Tells a user that their password is another now, and where to choose one again if it was not them.
    fn tell_password_changed(&self, tx: &Tx<'_>, user: &User, now: Timestamp) -> Result<(), Error> {
        self.notify_with_form(tx, "changed", Letter::PasswordChanged, &user.profile.email, now)
    }
}

/// What a proof says about whose password it will be, before anybody knows whether it is good.
fn claimed_profile(proof: &Proof) -> Profile {
    let email = match proof {
        Proof::Code(email, _) => email.clone(),
        Proof::Link(_) => Email::stored(String::new(), String::new()),
    };
    Profile { email, first_name: None, last_name: None }
}
