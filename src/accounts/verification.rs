//! Proving that an address is one's own.

use super::{Accounts, Error, audit::Author, codes::FreshCode, living};
use crate::model::{
    Action, Email, Origin, PlainCode, PlainToken, Purpose, Standing, Status, Timestamp, User,
};
use crate::store::Tx;

/// What proves that one reads the mail of an address.
#[derive(Clone, Debug)]
pub enum Proof {
    /// The digits, and the address they were sent to.
    Code(Email, String),
    /// The token of the link.
    Link(PlainToken),
}

impl Accounts {
    /// Verifies a user by the code or link that was sent to them.
    ///
    /// # Errors
    /// `VerificationFailed`, the same for everything that can be wrong.
    pub async fn verify(&self, proof: Proof, origin: Origin) -> Result<User, Error> {
        let now = self.clock.now();
        let accounts = self.clone();
        // A wrong code is counted, so that answer is committed too.
        let verified =
            self.store.write(move |tx| match accounts.spend(tx, &proof, Purpose::VerifyEmail, now)? {
                Some(user) if user.status() == Status::Unverified => {
                    Author::nobody(origin).record(tx, Action::UserVerified, user.id, now)?;
                    confirm(tx, user, now).map(Some)
                }
                _ => Ok::<_, Error>(None),
            });
        verified.await?.ok_or(Error::VerificationFailed)
    }

    /// Sends a fresh code and link to an unverified user; for everybody else nothing happens, and nothing tells.
    ///
    /// # Errors
    /// Only if the store does not answer.
    pub async fn resend_verification(&self, email: Email) -> Result<(), Error> {
        let now = self.clock.now();
        let fresh = FreshCode::new();
        let accounts = self.clone();
        let sent = self.store.write(move |tx| {
            let user = living(tx.user_by_email(&email)?.map(|(user, _)| user), now);
            match user.filter(|user| user.status() == Status::Unverified && !user.disabled) {
                Some(user) => accounts.send_code(tx, &user, Purpose::VerifyEmail, &fresh, now),
                None => Ok(()),
            }
        });
        sent.await?;
        self.posted.notify_one();
        Ok(())
    }

    /// The user whose proof this is, if it is good; it is not good a second time.
    pub(super) fn spend(
        &self,
        tx: &Tx<'_>,
        proof: &Proof,
        purpose: Purpose,
        now: Timestamp,
    ) -> Result<Option<User>, Error> {
        match proof {
            Proof::Link(link) => Self::spend_link(tx, link, purpose, now),
            Proof::Code(email, typed) => match PlainCode::typed(typed) {
                Some(code) => self.spend_code(tx, email, &code, purpose, now),
                None => Ok(None),
            },
        }
    }
}

/// Writes that a user owns their address.
pub(super) fn confirm(tx: &Tx<'_>, user: User, now: Timestamp) -> Result<User, Error> {
    let user = User { standing: Standing::Verified { verified_at: now }, updated_at: now, ..user };
    tx.update_user(&user)?;
    tx.delete_code(user.id, Purpose::VerifyEmail)?;
    Ok(user)
}
