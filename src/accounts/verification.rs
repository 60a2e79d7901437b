//! Proving that an address is one's own, or rejecting an account that another person made for it.

use super::email_change;
use crate::{
    core::{
        AuditActor, Core, Error, FreshCode, Proof, Revoke, Tx, code_charge, end_email_change, find_by_link,
        find_user_by_email, make_token, message_charge, pad_to_step, redeem, refund_code, refuse_dead_link,
        revoke_sessions, send_verification,
    },
    domain::{
        Action, Code, Email, Origin, PlainToken, Purpose, SessionId, Status, Timestamp, User,
        Verification as State,
    },
};

#[derive(Clone)]
pub struct Verification {
    core: Core,
}

/// What a link is valid for, found without using it.
#[derive(Clone, Debug)]
pub struct LinkInfo {
    pub purpose: Purpose,
    /// The address that it proves.
    pub email: Email,
    /// Whether its reader can say that they have nothing to do with it.
    pub can_be_rejected: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejected {
    /// The account is deleted.
    Account,
    /// The account stays without this address.
    EmailChange,
}

impl Verification {
    pub(crate) fn new(core: Core) -> Self {
        Self { core }
    }

    /// Verifies a user by the code or link that was sent to them, or moves one to the new address that it was sent to.
    /// Every session of the account ends, for it may have been made by another person than the owner of the address; when it
    /// is verified for the first time, the session `kept` goes on if it belongs to it.
    ///
    /// # Errors
    /// `VerificationFailed`, the same for everything that can be wrong; `EmailTaken` if another account has the new address
    /// by now.
    pub async fn verify(&self, proof: Proof, kept: Option<SessionId>, origin: Origin) -> Result<User, Error> {
        pad_to_step(self.redeem(proof, kept, origin, |_, user, _| Ok(user))).await
    }

    /// The same on a page, where no access token comes along. It also answers the token of a link to choose a password with,
    /// since the one that the account has may be another person's.
    ///
    /// # Errors
    /// The same.
    pub async fn verify_on_page(
        &self,
        link: PlainToken,
        origin: Origin,
    ) -> Result<(User, PlainToken), Error> {
        let fresh = FreshCode::link();
        let offer = move |tx: &Tx<'_>, user: User, now| {
            let link = make_token(tx, &user, Purpose::ChoosePassword, &fresh, now)?;
            Ok((user, link))
        };
        pad_to_step(self.redeem(Proof::Link(link), None, origin, offer)).await
    }

    /// Sends a new code and link to an unverified user; for any other address nothing happens, and nothing tells.
    ///
    /// # Errors
    /// `TooManyRequests` from this client.
    pub async fn resend(&self, email: Email, origin: Origin) -> Result<(), Error> {
        pad_to_step(self.send(email, origin)).await
    }

    /// What a link is valid for; this does not use it. None if it is valid for nothing any more.
    ///
    /// # Errors
    /// Only if the store does not answer.
    pub async fn inspect_link(&self, link: PlainToken) -> Result<Option<LinkInfo>, Error> {
        let now = self.core.now();
        let found = self.core.read(move |tx| find_by_link(tx, &link, now)).await?;
        let info = |(code, user): (Code, User)| LinkInfo {
            can_be_rejected: code.purpose == Purpose::ChangeEmail || was_never_verified(&self.core, &user),
            purpose: code.purpose,
            email: code.email,
        };
        Ok(found.map(info))
    }

    /// Rejects what another person did with an address: an account that waits for it is deleted, an account that was to
    /// move to it stays where it is.
    ///
    /// # Errors
    /// `VerificationFailed`.
    pub async fn reject(&self, link: PlainToken, origin: Origin) -> Result<Rejected, Error> {
        const PURPOSES: [Purpose; 3] =
            [Purpose::VerifyEmail, Purpose::ChangeEmail, Purpose::AcceptInvitation];
        let (proof, now) = (Proof::Link(link), self.core.now());
        refuse_dead_link(&self.core, &proof, now).await?;
        let rejected = self.core.write(move |tx| {
            let redeemed = redeem(tx, &proof, &PURPOSES, now)?.ok_or(Error::VerificationFailed)?;
            let (by, id) = (AuditActor::anonymous(origin), redeemed.user.id);
            if redeemed.purpose == Purpose::ChangeEmail {
                end_email_change(tx, id)?;
                by.record(tx, Action::EmailChangeCancelled, id, now)?;
                return Ok(Rejected::EmailChange);
            }
            if !was_never_verified(tx.core(), &redeemed.user) {
                return Err(Error::VerificationFailed);
            }
            tx.delete_user(id)?;
            by.record(tx, Action::UserRejected, id, now)?;
            Ok(Rejected::Account)
        });
        rejected.await
    }

    /// Verifies, and then does the rest in the same transaction.
    async fn redeem<T: Send + 'static>(
        &self,
        proof: Proof,
        kept: Option<SessionId>,
        origin: Origin,
        rest: impl FnOnce(&Tx<'_>, User, Timestamp) -> Result<T, Error> + Clone + Send + 'static,
    ) -> Result<T, Error> {
        const PURPOSES: [Purpose; 2] = [Purpose::VerifyEmail, Purpose::ChangeEmail];
        let now = self.core.now();
        refuse_dead_link(&self.core, &proof, now).await?;
        // A wrong code is counted, so that answer is committed too.
        let charge = code_charge(&self.core, &proof, &origin.client, now);
        let verified = self.core.write_charged_to_the_end(charge, move |tx| {
            let Some(redeemed) = redeem(tx, &proof, &PURPOSES, now)? else { return Ok(None) };
            refund_code(tx, &proof, &origin.client, now);
            let by = AuditActor::anonymous(origin);
            let user = match (redeemed.purpose, redeemed.user.status()) {
                (Purpose::ChangeEmail, _) => {
                    email_change::apply(tx, &redeemed.user, redeemed.email, kept, &by, now)?
                }
                (_, Status::Unverified) => {
                    by.record(tx, Action::UserVerified, redeemed.user.id, now)?;
                    revoke_sessions(tx, redeemed.user.id, Revoke::but(kept))?;
                    mark_verified(tx, redeemed.user, now)?
                }
                (_, Status::Verified) => return Ok(None),
            };
            rest(tx, user, now).map(Some)
        });
        verified.await?.ok_or(Error::VerificationFailed)
    }

    async fn send(&self, email: Email, origin: Origin) -> Result<(), Error> {
        let now = self.core.now();
        let fresh = FreshCode::new();
        let charge = message_charge(&self.core, &origin.client, now);
        let sent = self.core.write_charged(charge, move |tx| {
            let user = find_user_by_email(tx, &email, now)?.map(|(user, _)| user);
            match user.filter(|user| user.status() == Status::Unverified && !user.disabled) {
                Some(user) => send_verification(tx, &user, &fresh, now),
                None => Ok(()),
            }
        });
        sent.await
    }
}

/// Writes that a user owns their address. A change of address that was requested before may have been another person's.
pub fn mark_verified(tx: &Tx<'_>, user: User, now: Timestamp) -> Result<User, Error> {
    let user = User { verification: State::Done { at: now }, updated_at: now, ..user };
    tx.update_user(&user)?;
    tx.delete_code(user.id, Purpose::VerifyEmail)?;
    end_email_change(tx, user.id)?;
    Ok(user)
}

/// Whether an account waits for its first verification, so that it has never been used by the owner of its address. One that
/// an admin made unverified again got its time later than at its sign-up.
///
/// Simplified: that is so as long as `cleanup.unverified_after` is not changed in between. With more time an account would
/// keep when it was first verified.
fn was_never_verified(core: &Core, user: &User) -> bool {
    match user.verification {
        State::Pending { expires_at } => expires_at <= user.created_at + core.settings.unverified_after,
        State::Done { .. } => false,
    }
}
