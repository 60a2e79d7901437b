//! Proving that an address is one's own, or that one has nothing to do with it.

use super::{
    Accounts, Error,
    audit::AuditActor,
    codes::{CodeMessage, FreshCode, find_by_link},
    not_expired,
    timing::pad_to_step,
};
use crate::{
    domain::{
        Action, Code, Email, MessageKind, Origin, PlainToken, Purpose, SessionId, Status, Timestamp, User,
        UserId, Verification,
    },
    store::{Snapshot, Tx},
};

/// What proves that one reads the mail of an address.
#[derive(Clone, Debug)]
pub enum Proof {
    /// The digits, and the address they were sent to.
    Code(Email, String),
    /// The token of the link.
    Link(PlainToken),
}

/// What a link is good for, found without using it.
#[derive(Clone, Debug)]
pub struct LinkInfo {
    /// What for.
    pub purpose: Purpose,
    /// The address that it proves.
    pub email: Email,
    /// Whether its reader can say that they have nothing to do with it.
    pub can_be_rejected: bool,
}

/// What came of saying that one has nothing to do with an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejected {
    /// The account is deleted.
    Account,
    /// The account stays without this address.
    EmailChange,
}

impl Accounts {
    /// Verifies a user by the code or link that was sent to them, or moves one to the new address that it was sent to.
    /// Every session of the account ends, for it may have been made by another person than the owner of the address; when it
    /// is verified for the first time, the session `kept` goes on if it belongs to it.
    ///
    /// # Errors
    /// `VerificationFailed`, the same for everything that can be wrong; `EmailTaken` if another account has the new address
    /// by now.
    pub async fn verify(&self, proof: Proof, kept: Option<SessionId>, origin: Origin) -> Result<User, Error> {
        pad_to_step(self.try_to_verify(proof, kept, origin, |_, user| Ok(user))).await
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
        let (accounts, now, fresh) = (self.clone(), self.clock.now(), FreshCode::link());
        let offer = move |tx: &Tx<'_>, user: User| {
            let link = accounts.keep_link(tx, &user, Purpose::ChoosePassword, &fresh, now)?;
            Ok((user, link))
        };
        pad_to_step(self.try_to_verify(Proof::Link(link), None, origin, offer)).await
    }

    /// Verifies, and then does the rest in the same transaction.
    async fn try_to_verify<T: Send + 'static>(
        &self,
        proof: Proof,
        kept: Option<SessionId>,
        origin: Origin,
        rest: impl FnOnce(&Tx<'_>, User) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        const PURPOSES: [Purpose; 2] = [Purpose::VerifyEmail, Purpose::ChangeEmail];
        let now = self.clock.now();
        self.look_for(&proof, now).await?;
        let accounts = self.clone();
        // A wrong code is counted, so that answer is committed too.
        let verified = self.write_to_the_end(move |tx| {
            accounts.charge_code(tx, &proof, &origin.client, now)?;
            let Some(redeemed) = accounts.redeem(tx, &proof, &PURPOSES, now)? else { return Ok(None) };
            accounts.refund_code(tx, &proof, &origin.client, now)?;
            let by = AuditActor::anonymous(origin);
            let user = match (redeemed.purpose, redeemed.user.status()) {
                (Purpose::ChangeEmail, _) => {
                    accounts.apply_email_change(tx, &redeemed.user, redeemed.email, kept, &by, now)?
                }
                (_, Status::Unverified) => {
                    by.record(tx, Action::UserVerified, redeemed.user.id, now)?;
                    tx.delete_sessions_but(redeemed.user.id, kept)?;
                    confirm(tx, redeemed.user, now)?
                }
                (_, Status::Verified) => return Ok(None),
            };
            rest(tx, user).map(Some)
        });
        let verified = verified.await?.ok_or(Error::VerificationFailed)?;
        self.posted.notify_one();
        Ok(verified)
    }

    /// Sends a fresh code and link to an unverified user; for everybody else nothing happens, and nothing tells.
    ///
    /// # Errors
    /// `TooManyRequests` from this client.
    pub async fn resend_verification(&self, email: Email, origin: Origin) -> Result<(), Error> {
        pad_to_step(self.try_to_resend(email, origin)).await
    }

    async fn try_to_resend(&self, email: Email, origin: Origin) -> Result<(), Error> {
        let now = self.clock.now();
        let fresh = FreshCode::new();
        let accounts = self.clone();
        let sent = self.store.write(move |tx| {
            accounts.charge_message(tx, &origin.client, now)?;
            let user = not_expired(tx.user_by_email(&email)?.map(|(user, _)| user), now);
            match user.filter(|user| user.status() == Status::Unverified && !user.disabled) {
                Some(user) => accounts.ask_to_verify(tx, &user, &fresh, now),
                None => Ok(()),
            }
        });
        sent.await?;
        self.posted.notify_one();
        Ok(())
    }

    /// What a link is good for; looking does not use it. Nothing if it is good for nothing any more.
    ///
    /// # Errors
    /// Only if the store does not answer.
    pub async fn inspect_link(&self, link: PlainToken) -> Result<Option<LinkInfo>, Error> {
        let now = self.clock.now();
        let found = self.store.read(move |tx| find_by_link(tx, &link, now)).await?;
        let open = |(code, user): (Code, User)| LinkInfo {
            purpose: code.purpose,
            email: code.email,
            can_be_rejected: code.purpose == Purpose::ChangeEmail || self.is_newcomer(&user),
        };
        Ok(found.map(open))
    }

    /// Takes an address back that somebody else gave: an account that waits for it is deleted, an account that was to
    /// move to it stays where it is.
    ///
    /// # Errors
    /// `VerificationFailed`.
    pub async fn reject(&self, link: PlainToken, origin: Origin) -> Result<Rejected, Error> {
        const PURPOSES: [Purpose; 3] =
            [Purpose::VerifyEmail, Purpose::ChangeEmail, Purpose::AcceptInvitation];
        let (proof, now) = (Proof::Link(link), self.clock.now());
        self.look_for(&proof, now).await?;
        let accounts = self.clone();
        let rejected = self.store.write(move |tx| {
            let redeemed = accounts.redeem(tx, &proof, &PURPOSES, now)?;
            let redeemed = redeemed.ok_or(Error::VerificationFailed)?;
            let (by, id) = (AuditActor::anonymous(origin), redeemed.user.id);
            if redeemed.purpose == Purpose::ChangeEmail {
                end_email_change(tx, id)?;
                by.record(tx, Action::EmailChangeCancelled, id, now)?;
                return Ok(Rejected::EmailChange);
            }
            if !accounts.is_newcomer(&redeemed.user) {
                return Err(Error::VerificationFailed);
            }
            tx.delete_user(id)?;
            by.record(tx, Action::UserRejected, id, now)?;
            Ok(Rejected::Account)
        });
        rejected.await
    }

    /// Whether an account has never been anybody's: it waits for its first verification. One that an admin made
    /// unverified again got its time later than at its sign-up.
    ///
    /// Simplified: that is so as long as `auth.unverified_after` is not changed in between. With more time an account would
    /// keep when it was first verified.
    fn is_newcomer(&self, user: &User) -> bool {
        match user.verification {
            Verification::Pending { expires_at } => {
                expires_at <= user.created_at + self.rules.unverified_after
            }
            Verification::Done { .. } => false,
        }
    }

    /// Sends an unverified user what they need to become verified, if they were not sent too much already.
    pub(crate) fn ask_to_verify(
        &self,
        tx: &Tx<'_>,
        user: &User,
        fresh: &FreshCode,
        now: Timestamp,
    ) -> Result<(), Error> {
        let purpose = verified_by(tx, user.id)?;
        self.send_code_quietly(tx, CodeMessage::to(user, purpose), fresh, now).map(|_| ())
    }

    /// Reminds an unverified user of what they need to become verified.
    pub(crate) fn remind_to_verify(
        &self,
        tx: &Tx<'_>,
        user: &User,
        fresh: &FreshCode,
        now: Timestamp,
    ) -> Result<(), Error> {
        let purpose = verified_by(tx, user.id)?;
        let kind = match purpose {
            Purpose::AcceptInvitation => MessageKind::InvitationReminder,
            _ => MessageKind::VerifyReminder,
        };
        self.send_code_quietly(tx, CodeMessage { kind, ..CodeMessage::to(user, purpose) }, fresh, now)
            .map(|_| ())
    }
}

/// What an unverified user proves their address with: who was invited chooses a password by the same step.
fn verified_by(tx: &Snapshot<'_>, id: UserId) -> Result<Purpose, Error> {
    Ok(match tx.password(id)? {
        Some(_) => Purpose::VerifyEmail,
        None => Purpose::AcceptInvitation,
    })
}

/// Writes that a user owns their address. Whoever had it before and asked for another one was perhaps somebody else.
pub(crate) fn confirm(tx: &Tx<'_>, user: User, now: Timestamp) -> Result<User, Error> {
    let user = User { verification: Verification::Done { at: now }, updated_at: now, ..user };
    tx.update_user(&user)?;
    tx.delete_code(user.id, Purpose::VerifyEmail)?;
    end_email_change(tx, user.id)?;
    Ok(user)
}

/// Ends a pending change of address, with the link by which its owner could cancel it.
pub(crate) fn end_email_change(tx: &Tx<'_>, id: UserId) -> Result<(), Error> {
    tx.delete_code(id, Purpose::ChangeEmail)?;
    Ok(tx.delete_code(id, Purpose::CancelEmailChange)?)
}
