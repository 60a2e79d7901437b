//! Adding a user: the database alone decides whose address it is.

use crate::{
    core::{AuditActor, Error, Tx},
    domain::{Action, Email, FieldError, Name, Origin, PasswordHash, Timestamp, User},
};

/// Adds a user; an expired account gives its address up first. There is no look before the insert.
///
/// # Errors
/// `EmailTaken`.
pub fn insert(tx: &Tx<'_>, user: &User, hash: Option<&PasswordHash>) -> Result<(), Error> {
    release_expired_email(tx, &user.profile.email, user.created_at)?;
    Ok(tx.insert_user(user, hash)?)
}

/// Deletes the account with this address if it has expired and was not purged yet.
pub fn release_expired_email(tx: &Tx<'_>, email: &Email, now: Timestamp) -> Result<(), Error> {
    match tx.delete_expired_user(email, now)? {
        Some(id) => AuditActor::anonymous(Origin::job()).record(tx, Action::UserExpired, id, now),
        None => Ok(()),
    }
}

/// Checks an optional name.
pub fn name(field: &'static str, typed: Option<&str>) -> Result<Option<Name>, FieldError> {
    typed.map(|typed| Name::parse(field, typed)).transpose()
}
