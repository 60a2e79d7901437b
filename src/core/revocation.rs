//! Ending sessions, and with them the codes and links by which others could come back.

use super::{audit::AuditActor, context::Tx, error::Error};
use crate::domain::{Action, Purpose, SessionId, Timestamp, UserId};

/// Which sessions of a user end.
#[derive(Clone, Copy, Debug)]
pub enum Revoke {
    All,
    /// All but this one, if it is a session of the user.
    Others(SessionId),
}

impl Revoke {
    /// All, or all but the session that is to be kept.
    pub fn but(kept: Option<SessionId>) -> Self {
        kept.map_or(Self::All, Self::Others)
    }
}

/// Ends sessions.
pub fn revoke_sessions(tx: &Tx<'_>, id: UserId, sessions: Revoke) -> Result<(), Error> {
    match sessions {
        Revoke::All => Ok(tx.delete_sessions_of(id)?),
        Revoke::Others(kept) => Ok(tx.delete_sessions_but(id, Some(kept))?),
    }
}

/// Ends sessions, and every open code and link.
pub fn revoke_access(tx: &Tx<'_>, id: UserId, sessions: Revoke) -> Result<(), Error> {
    revoke_sessions(tx, id, sessions)?;
    Ok(tx.delete_codes_of(id)?)
}

/// Ends every session; audited if there was one.
pub fn log_out_everywhere(tx: &Tx<'_>, id: UserId, by: &AuditActor, now: Timestamp) -> Result<(), Error> {
    let had_sessions = !tx.sessions_of(id, now)?.is_empty();
    revoke_sessions(tx, id, Revoke::All)?;
    if had_sessions {
        by.record(tx, Action::SessionsEnded, id, now)?;
    }
    Ok(())
}

/// Ends a pending change of address, with the link by which its user could cancel it.
pub fn end_email_change(tx: &Tx<'_>, id: UserId) -> Result<(), Error> {
    tx.delete_code(id, Purpose::ChangeEmail)?;
    Ok(tx.delete_code(id, Purpose::CancelEmailChange)?)
}
