//! Rate limiting: token buckets that are kept in the store, taken from before an attempt is made, and refilled by time.

use std::time::Duration;

use super::{context::Tx, error::Error, rate_limits::Rate};
use crate::{
    domain::{CountKey, Timestamp},
    store::Snapshot,
};

/// A bucket: what it is kept under, and its size.
#[derive(Clone, Copy, Debug)]
pub struct TokenBucket {
    pub key: CountKey,
    pub rate: Rate,
}

impl TokenBucket {
    /// How long it takes until there is a token; none if there is one now.
    pub fn wait(self, tx: &Snapshot<'_>, now: Timestamp) -> Result<Option<Duration>, Error> {
        let (used, since) = self.used(tx, now)?;
        let missing = used.saturating_add(1).saturating_sub(self.rate.burst);
        Ok((missing > 0).then(|| (since + self.rate.refill * missing).since(now)))
    }

    /// Takes a token, also from an empty bucket: see [`take_from_all`].
    pub fn take(self, tx: &Tx<'_>, now: Timestamp) -> Result<(), Error> {
        let (used, since) = self.used(tx, now)?;
        self.store(tx, used.saturating_add(1), since)
    }

    /// Puts so many tokens back.
    pub fn refund(self, tx: &Tx<'_>, tokens: u32, now: Timestamp) -> Result<(), Error> {
        let (used, since) = self.used(tx, now)?;
        self.store(tx, used.saturating_sub(tokens), since)
    }

    /// Puts all tokens back but so many; answers how many that were.
    pub fn refund_all_but(self, tx: &Tx<'_>, kept: u32, now: Timestamp) -> Result<u32, Error> {
        let (used, since) = self.used(tx, now)?;
        self.store(tx, used.min(kept), since)?;
        Ok(used.saturating_sub(kept))
    }

    /// How many tokens are missing after the refill, and since when the next one is refilled.
    fn used(self, tx: &Snapshot<'_>, now: Timestamp) -> Result<(u32, Timestamp), Error> {
        let Rate { refill, .. } = self.rate;
        let Some((used, since)) = tx.used(self.key)? else { return Ok((0, now)) };
        if since > now + refill {
            // Used while the clock was ahead: no client waits until that time comes.
            return Ok((0, now));
        }
        // A clock that was set back a little refills nothing and takes nothing.
        let refilled = now.since(since).as_millis() / refill.as_millis().max(1);
        let refilled = u32::try_from(refilled).unwrap_or(u32::MAX);
        Ok(match used.checked_sub(refilled).filter(|rest| *rest > 0) {
            Some(rest) => (rest, since + refill * refilled),
            None => (0, now),
        })
    }

    fn store(self, tx: &Tx<'_>, used: u32, since: Timestamp) -> Result<(), Error> {
        match used {
            0 => Ok(tx.delete_used(self.key)?),
            _ => Ok(tx.put_used(self.key, used, since, since + self.rate.refill * used)?),
        }
    }
}

/// Takes a token from each of these buckets, or none.
///
/// # Errors
/// `TooManyRequests` for as long as all of them take: a caller that waits for that is not refused again by another.
pub fn take_from_all(tx: &Tx<'_>, buckets: &[TokenBucket], now: Timestamp) -> Result<(), Error> {
    let mut longest = None;
    for bucket in buckets {
        longest = longest.max(bucket.wait(tx, now)?);
    }
    if let Some(wait) = longest {
        return Err(Error::too_many_requests(wait));
    }
    buckets.iter().try_for_each(|bucket| bucket.take(tx, now))
}

/// Puts a token back into each of these buckets.
pub fn refund_to_all(tx: &Tx<'_>, buckets: &[TokenBucket], now: Timestamp) -> Result<(), Error> {
    buckets.iter().try_for_each(|bucket| bucket.refund(tx, 1, now))
}
