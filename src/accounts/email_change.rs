//! Another address for an account: asked for with the password, in force once it is confirmed.

use super::{
    Accounts, Actor, Error,
    audit::AuditActor,
    codes::{CodeMessage, FreshCode, count_one},
    rate_limits::longer_refusal,
    users::free,
};
use crate::{
    domain::{
        Action, Email, FieldError, Invalid, Message, MessageKind, Password, Purpose, SessionId, Status,
        Timestamp, User, Verification,
    },
    store::Tx,
};

impl Accounts {
    /// Sends a code and link to the address that the user wants to have, and a notice to the one they have, with a link to
    /// cancel the change by choosing a new password. The old address stays in force until the new one is confirmed. Whether
    /// an account has the new address already is not told here, but to its mailbox alone.
    ///
    /// # Errors
    /// `Invalid` if it is the address they have, `WrongPassword`, `TooManyRequests`.
    pub async fn change_email(&self, actor: &Actor, new: Email, current: Password) -> Result<(), Error> {
        if new == actor.user().profile.email {
            let message = "The field new_email is the address that you have already.";
            return Err(Invalid(vec![FieldError::new("new_email", "unchanged", message)]).into());
        }
        let now = self.clock.now();
        let confirmed = self.confirm(actor, current).await?;
        let (fresh, objection) = (FreshCode::new(), FreshCode::link());
        let (accounts, by) = (self.clone(), actor.audit_actor());
        let asked = self.store.write(move |tx| {
            let user = confirmed.recheck_session(tx, now)?;
            // Counted for whoever asks, too: nobody sends messages to the whole town from one account.
            let asked = count_one(tx, accounts.secret.hash_count("asked", &user.profile.email), now);
            let sending = CodeMessage { to: &new, ..CodeMessage::to(&user, Purpose::ChangeEmail) };
            longer_refusal(asked, accounts.send_code(tx, sending, &fresh, now))?;
            let (link, until) = accounts.make_link(tx, &user, Purpose::CancelEmailChange, &objection, now)?;
            let notice = MessageKind::EmailChangeRequested { masked: new.masked() };
            let message = Message {
                link: Some(link),
                link_until: Some(until),
                ..Message::plain(user.profile.email.as_str().to_owned(), notice)
            };
            accounts.notify(tx, &user.profile.email, &message, now)?;
            by.record(tx, Action::EmailChangeRequested, user.id, now)
        });
        asked.await?;
        self.posted.notify_one();
        Ok(())
    }

    /// Moves a user to an address that they have proven to own. Every session ends and every open code dies, as if
    /// another person had the account from now on: perhaps it is so. Only when it is verified for the first time the
    /// session `kept` goes on, as after a verification of the address that it had.
    pub(crate) fn apply_email_change(
        &self,
        tx: &Tx<'_>,
        old: &User,
        email: Email,
        kept: Option<SessionId>,
        by: &AuditActor,
        now: Timestamp,
    ) -> Result<User, Error> {
        let mut user = old.clone();
        user.verification = Verification::Done { at: now };
        user.updated_at = now;
        user.profile.email = email;
        if !user.profile.email.is(&old.profile.email) {
            free(tx, &user.profile.email, now)?;
        }
        tx.update_user(&user)?;
        by.record(tx, Action::EmailChanged, user.id, now)?;
        self.after_email_change(tx, old, &user, kept.filter(|_| old.status() == Status::Unverified))?;
        Ok(user)
    }

    /// What has to end because a user has another address, but for the session `kept`, and who has to hear of it.
    pub(crate) fn after_email_change(
        &self,
        tx: &Tx<'_>,
        old: &User,
        user: &User,
        kept: Option<SessionId>,
    ) -> Result<(), Error> {
        tx.delete_sessions_but(user.id, kept)?;
        tx.delete_codes_of(user.id)?;
        // An address that was never confirmed is perhaps a stranger's, who has heard enough.
        if old.status() == Status::Verified {
            let notice = MessageKind::EmailChanged { masked: user.profile.email.masked() };
            let message = Message::plain(old.profile.email.as_str().to_owned(), notice);
            self.notify(tx, &old.profile.email, &message, user.updated_at)?;
        }
        Ok(())
    }
}
