//! Which users and sessions exist: an expired account counts as deleted, purged or not.

use super::{error::Error, settings::Settings};
use crate::{
    domain::{Email, PasswordHash, Session, SessionId, Status, Timestamp, User, UserId},
    store::Snapshot,
};

/// The user with this id, unless the account has expired.
///
/// # Errors
/// `NotFound`.
pub fn live_user(tx: &Snapshot<'_>, id: UserId, now: Timestamp) -> Result<User, Error> {
    find_user(tx, id, now)?.ok_or(Error::NotFound)
}

/// The same, if there is one.
pub fn find_user(tx: &Snapshot<'_>, id: UserId, now: Timestamp) -> Result<Option<User>, Error> {
    Ok(tx.user(id)?.filter(|user| !user.is_expired(now)))
}

/// The user with this address and their password hash, unless the account has expired.
pub fn find_user_by_email(
    tx: &Snapshot<'_>,
    email: &Email,
    now: Timestamp,
) -> Result<Option<(User, Option<PasswordHash>)>, Error> {
    Ok(tx.user_by_email(email)?.filter(|(user, _)| !user.is_expired(now)))
}

/// A session and its user, if it has not ended.
pub fn find_session(
    tx: &Snapshot<'_>,
    id: SessionId,
    now: Timestamp,
) -> Result<Option<(Session, User)>, Error> {
    Ok(tx.session(id)?.filter(|(session, user)| is_active(session, user, now)))
}

/// The user of a session that has not ended.
///
/// # Errors
/// `InvalidToken`.
pub fn active_session_user(tx: &Snapshot<'_>, id: SessionId, now: Timestamp) -> Result<User, Error> {
    find_session(tx, id, now)?.map(|(_, user)| user).ok_or(Error::InvalidToken)
}

pub fn is_active(session: &Session, user: &User, now: Timestamp) -> bool {
    session.expires_at > now && !user.disabled && !user.is_expired(now)
}

/// Whether a user may have a session.
pub fn may_log_in(settings: &Settings, user: &User) -> Result<(), Error> {
    if user.disabled {
        return Err(Error::AccountDisabled);
    }
    if user.status() == Status::Unverified && !settings.allow_unverified_login {
        return Err(Error::EmailNotVerified);
    }
    Ok(())
}
