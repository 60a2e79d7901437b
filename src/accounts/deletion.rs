//! Deleting a user, and keeping the last admin.

use crate::{
    core::{AuditActor, Error, Tx},
    domain::{Action, Timestamp, User},
};

/// Deletes a user and everything that belongs to them.
///
/// # Errors
/// `LastAdmin`.
pub fn delete(tx: &Tx<'_>, user: &User, by: &AuditActor, now: Timestamp) -> Result<(), Error> {
    if user.is_active_admin() {
        check_not_last_admin(tx)?;
    }
    tx.delete_user(user.id)?;
    by.record(tx, Action::UserDeleted, user.id, now)
}

/// The shop keeps an active admin. Two admins who take each other's rights away at the same moment come here one after the
/// other.
///
/// # Errors
/// `LastAdmin`.
pub fn check_not_last_admin(tx: &Tx<'_>) -> Result<(), Error> {
    if tx.count_active_admins()? > 1 { Ok(()) } else { Err(Error::LastAdmin) }
}
