//! How much an address is sent. These counts are no token bucket: they do not refill, but are dropped as a whole, so that a
//! code cannot be guessed by asking for many.

use std::time::Duration;

use super::{
    context::Tx,
    error::Error,
    settings::{MAX_CODE_MESSAGES, RESET_TTL},
};
use crate::{
    domain::{CountKey, Email, Purpose, Timestamp},
    store::Snapshot,
};

/// How long a message counts after its link is dead.
const COUNTED_FOR: Duration = Duration::from_hours(24);
/// The same for a new password, which can be asked for as long as the account exists: until its user has chosen one, or for
/// a year.
const RESETS_COUNTED_FOR: Duration = Duration::from_hours(365 * 24);

/// How many messages with a code an address was sent for a purpose.
pub struct SentCount {
    key: CountKey,
    pub sent: u8,
}

impl SentCount {
    /// # Errors
    /// `TooManyRequests` if it may be sent no more for now.
    pub fn of(tx: &Tx<'_>, purpose: Purpose, to: &Email, now: Timestamp) -> Result<Self, Error> {
        let key = purpose_key(tx, purpose, to);
        Ok(Self { key, sent: counted(tx, key, now)? })
    }

    /// Counts one more, whose link is dead from `until` on.
    pub fn count(self, tx: &Tx<'_>, purpose: Purpose, until: Timestamp, now: Timestamp) -> Result<(), Error> {
        let counted_for = match purpose {
            Purpose::ResetPassword => RESETS_COUNTED_FOR,
            _ => COUNTED_FOR,
        };
        Ok(tx.put_sent_codes(self.key, self.sent.saturating_add(1), now, until + counted_for)?)
    }
}

/// Counts a notice of a kind to an address, for a day.
///
/// # Errors
/// `TooManyRequests` if there may be no more for now.
pub fn count_notice(tx: &Tx<'_>, counted_as: &str, to: &Email, now: Timestamp) -> Result<(), Error> {
    let key = tx.secret().hash_count(counted_as, to);
    let sent = counted(tx, key, now)?;
    Ok(tx.put_sent_codes(key, sent.saturating_add(1), now, now + COUNTED_FOR)?)
}

/// The user has chosen a new password by what was sent: none of it counts any more.
pub fn forget_resets(tx: &Tx<'_>, email: &Email) -> Result<(), Error> {
    Ok(tx.delete_sent_codes(purpose_key(tx, Purpose::ResetPassword, email))?)
}

fn counted(tx: &Snapshot<'_>, key: CountKey, now: Timestamp) -> Result<u8, Error> {
    match tx.sent_codes(key, now)? {
        // Counted while the clock was ahead, it is no reason to wait until then.
        Some((sent, latest)) if sent >= MAX_CODE_MESSAGES && now.distance(latest) < RESET_TTL => {
            Err(Error::too_many_requests((latest + RESET_TTL).since(now)))
        }
        Some((sent, _)) => Ok(sent),
        None => Ok(0),
    }
}

/// Purposes that are counted together: an anonymous request for one does not use up what a user may be sent for another.
fn purpose_key(tx: &Tx<'_>, purpose: Purpose, to: &Email) -> CountKey {
    let kind = match purpose {
        Purpose::VerifyEmail => "address",
        Purpose::ChangeEmail => "change",
        Purpose::AcceptInvitation => "invitation",
        _ => "password",
    };
    tx.secret().hash_count(kind, to)
}
