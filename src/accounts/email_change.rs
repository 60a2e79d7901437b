//! Another address for an account: requested with the password, in force once it is confirmed.

use super::new_user::release_expired_email;
use crate::{
    core::{
        Actor, AuditActor, CodeMessage, Confirmation, Core, Error, FreshCode, Revoke, Tx, count_notice,
        make_link, outbox, revoke_access, send_code,
    },
    domain::{
        Action, Email, FieldError, Invalid, Message, MessageKind, Password, Purpose, SessionId, Status,
        Timestamp, User, Verification,
    },
};

#[derive(Clone)]
pub struct EmailChange {
    core: Core,
    confirmation: Confirmation,
}

impl EmailChange {
    pub(crate) fn new(core: Core, confirmation: Confirmation) -> Self {
        Self { core, confirmation }
    }

    /// Sends a code and link to the address that the user wants to have, and a notice to the one they have, with a link to
    /// cancel the change by choosing a new password. The old address stays in force until the new one is confirmed. Whether
    /// an account has the new address already is not told here, but to its mailbox alone.
    ///
    /// # Errors
    /// `Invalid` if it is the address they have, `WrongPassword`, `TooManyRequests`.
    pub async fn request(&self, actor: &Actor, new: Email, current: Password) -> Result<(), Error> {
        if new == actor.user().profile.email {
            let message = "The field new_email is the address that you have already.";
            return Err(Invalid(vec![FieldError::new("new_email", "unchanged", message)]).into());
        }
        let confirmed = self.confirmation.confirm(actor, current).await?;
        let (fresh, cancel) = (FreshCode::new(), FreshCode::link());
        let requested = self.core.write_confirmed(confirmed, move |tx, user, by, now| {
            // Counted for the user who asks, too: one account cannot send messages to very many addresses.
            let counted = count_notice(tx, "asked", &user.profile.email, now);
            let code = CodeMessage { to: &new, ..CodeMessage::to(&user, Purpose::ChangeEmail) };
            longer_refusal(counted, send_code(tx, code, &fresh, now))?;
            let (link, until) = make_link(tx, &user, Purpose::CancelEmailChange, &cancel, now)?;
            let notice = MessageKind::EmailChangeRequested { masked: new.masked() };
            let message = Message {
                link: Some(link),
                link_until: Some(until),
                ..Message::plain(user.profile.email.as_str().to_owned(), notice)
            };
            outbox::notify(tx, &user.profile.email, &message, now)?;
            by.record(tx, Action::EmailChangeRequested, user.id, now)
        });
        requested.await
    }
}

/// Moves a user to an address that they have proven to own. Every session ends and every open code dies, as if
/// another person had the account from now on: perhaps it is so. Only when it is verified for the first time the
/// session `kept` goes on, as after a verification of the address that it had.
pub fn apply(
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
        release_expired_email(tx, &user.profile.email, now)?;
    }
    tx.update_user(&user)?;
    by.record(tx, Action::EmailChanged, user.id, now)?;
    follow_up(tx, old, &user, Revoke::but(kept.filter(|_| old.status() == Status::Unverified)))?;
    Ok(user)
}

/// Ends what has to end because a user has another address, and tells the old one.
pub fn follow_up(tx: &Tx<'_>, old: &User, user: &User, sessions: Revoke) -> Result<(), Error> {
    revoke_access(tx, user.id, sessions)?;
    // An address that was never confirmed may be another person's, who has been told enough.
    if old.status() == Status::Verified {
        let notice = MessageKind::EmailChanged { masked: user.profile.email.masked() };
        let message = Message::plain(old.profile.email.as_str().to_owned(), notice);
        outbox::notify(tx, &old.profile.email, &message, user.updated_at)?;
    }
    Ok(())
}

/// Both, or the refusal of both that lasts longer.
fn longer_refusal(one: Result<(), Error>, other: Result<(), Error>) -> Result<(), Error> {
    match (one, other) {
        (Err(Error::TooManyRequests { retry_after: one }), Err(Error::TooManyRequests { retry_after })) => {
            Err(Error::TooManyRequests { retry_after: retry_after.max(one) })
        }
        (one, other) => one.and(other),
    }
}
