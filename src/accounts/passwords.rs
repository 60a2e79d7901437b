//! Forgotten passwords: proving who one is by mail, and choosing another.

use super::{
    Accounts, Admin, Error, Proof, audit::Author, codes, codes::FreshCode, living, verification::confirm,
};
use crate::model::{
    Action, Email, Invalid, NewPassword, Origin, Profile, Purpose, Status, Timestamp, UserId, Word,
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
    /// Only if the store does not answer.
    pub async fn forgot_password(&self, email: Email, origin: Origin) -> Result<(), Error> {
        let now = self.clock.now();
        let fresh = FreshCode::new();
        let accounts = self.clone();
        let sent =
            self.store.write(move |tx| match living(tx.user_by_email(&email)?.map(|(user, _)| user), now) {
                Some(user) => {
                    accounts.send_code(tx, &user, Purpose::ResetPassword, &fresh, now)?;
                    Author::nobody(origin).record(tx, Action::PasswordForgotten, user.id, now)
                }
                None => Ok(()),
            });
        sent.await?;
        self.posted.notify_one();
        Ok(())
    }

    /// Sets a new password on a good proof. Every session ends, every open code dies, and the address counts as
    /// verified: whoever read the message owns it.
    ///
    /// # Errors
    /// `Invalid` for a password that breaks a rule; then the proof can be used again. `VerificationFailed` for
    /// everything that can be wrong with the proof.
    pub async fn reset_password(&self, proof: Proof, typed: String, origin: Origin) -> Result<(), Error> {
        let now = self.clock.now();
        let hash = self.hasher.hash(self.check_new_password(&typed, &claimed_profile(&proof))?).await?;
        let accounts = self.clone();
        let reset = self.store.write(move |tx| {
            let Some(user) = accounts.spend(tx, &proof, Purpose::ResetPassword, now)? else {
                return Ok(None);
            };
            // Only now that the proof is good may an answer depend on whose account it is.
            accounts.check_new_password(&typed, &user.profile)?;
            tx.set_password(user.id, &hash)?;
            tx.delete_sessions_of(user.id)?;
            Author::nobody(origin).record(tx, Action::PasswordReset, user.id, now)?;
            for purpose in Purpose::ALL {
                tx.delete_code(user.id, *purpose)?;
            }
            if user.status() == Status::Unverified {
                confirm(tx, user, now)?;
            }
            Ok::<_, Error>(Some(()))
        });
        reset.await?.ok_or(Error::VerificationFailed)
    }

    fn check_new_password(&self, typed: &str, profile: &Profile) -> Result<NewPassword, Invalid> {
        self.rules.policy.check("new_password", typed, profile).map_err(|error| Invalid(vec![error]))
    }

    /// A one-time link with which a user can choose another password, for an admin to hand over.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn reset_link(&self, by: &Admin, id: UserId) -> Result<PasswordReset, Error> {
        let now = self.clock.now();
        let fresh = FreshCode::new();
        let (accounts, by) = (self.clone(), by.clone());
        let made = self.store.write(move |tx| {
            by.still_acts(tx)?;
            let user = living(tx.user(id)?, now).ok_or(Error::NotFound)?;
            let issued = tx.code(user.id, Purpose::ResetPassword)?.map_or(0, |code| code.issued);
            let code = accounts.keep_code(tx, &user, Purpose::ResetPassword, &fresh, now, issued)?;
            by.author().record(tx, Action::PasswordLinkMade, user.id, now)?;
            let link = codes::link(&accounts.rules.reset_url, &fresh.link);
            Ok::<_, Error>(PasswordReset { link, expires_at: code.token_expires_at })
        });
        made.await
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
