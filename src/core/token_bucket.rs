//! Rate limiting: token buckets that are kept in the store, taken from before an attempt is made, and refilled by time.
//!
//! They are written in transactions of their own, before and after that of the use case: the table is small, so that in one
//! with it every login would be in conflict with every other. A charge is committed before a secret is checked, and refunded
//! once it was found correct; if the program ends in between, a token stays used, which time refills.

use std::time::Duration;

use super::{error::Error, rate_limits::Rate};
use crate::{
    domain::{CountKey, Timestamp},
    store::{RateLimitTx, UsedTokens},
};

/// A bucket: what it is kept under, and its size.
#[derive(Clone, Copy, Debug)]
pub struct TokenBucket {
    pub key: CountKey,
    pub rate: Rate,
}

/// A token of each of some buckets; of none where rate limits are off.
#[derive(Clone, Debug)]
pub struct Charge {
    pub buckets: Vec<TokenBucket>,
    pub now: Timestamp,
}

/// How full a bucket is, after the refill.
pub struct Level {
    bucket: TokenBucket,
    /// As it was read.
    stored: Option<UsedTokens>,
    /// How many tokens are missing.
    used: u32,
    /// Since when the next one is refilled.
    since: Timestamp,
}

impl TokenBucket {
    fn level(self, limits: &RateLimitTx<'_>, now: Timestamp) -> Result<Level, Error> {
        let stored = limits.used(self.key)?;
        let (used, since) = stored.map_or((0, now), |stored| self.refilled(stored, now));
        Ok(Level { bucket: self, stored, used, since })
    }

    fn refilled(self, UsedTokens { used, since }: UsedTokens, now: Timestamp) -> (u32, Timestamp) {
        let Rate { refill, .. } = self.rate;
        if since > now + refill {
            // Used while the clock was ahead: no client waits until that time comes.
            return (0, now);
        }
        // A clock that was set back a little refills nothing and takes nothing.
        let refilled = now.since(since).as_millis() / refill.as_millis().max(1);
        let refilled = u32::try_from(refilled).unwrap_or(u32::MAX);
        match used.checked_sub(refilled).filter(|rest| *rest > 0) {
            Some(rest) => (rest, since + refill * refilled),
            None => (0, now),
        }
    }
}

impl Charge {
    /// Takes a token from each bucket, or none.
    ///
    /// # Errors
    /// `TooManyRequests`.
    pub fn take(&self, limits: &RateLimitTx<'_>) -> Result<(), Error> {
        let mut levels = levels(limits, self.buckets.iter().copied(), self.now)?;
        if let Some(wait) = longest_wait(&levels, self.now) {
            return Err(Error::too_many_requests(wait));
        }
        levels.iter_mut().for_each(Level::take);
        store_levels(limits, levels)
    }

    /// Puts a token back into each bucket.
    pub fn refund(&self, limits: &RateLimitTx<'_>) -> Result<(), Error> {
        let mut levels = levels(limits, self.buckets.iter().copied(), self.now)?;
        for level in &mut levels {
            level.refund(1);
        }
        store_levels(limits, levels)
    }
}

impl Level {
    pub fn key(&self) -> CountKey {
        self.bucket.key
    }

    /// How long it takes until there is a token; none if there is one now.
    pub fn wait(&self, now: Timestamp) -> Option<Duration> {
        let Rate { burst, refill } = self.bucket.rate;
        let missing = self.used.saturating_add(1).saturating_sub(burst);
        (missing > 0).then(|| (self.since + refill * missing).since(now))
    }

    /// Takes a token, also from an empty bucket.
    pub fn take(&mut self) {
        self.used = self.used.saturating_add(1);
    }

    /// Puts so many tokens back.
    pub fn refund(&mut self, tokens: u32) {
        self.used = self.used.saturating_sub(tokens);
    }

    /// Puts all tokens back but so many; answers how many that were.
    pub fn refund_all_but(&mut self, kept: u32) -> u32 {
        let refunded = self.used.saturating_sub(kept);
        self.refund(refunded);
        refunded
    }

    fn store(&self, limits: &RateLimitTx<'_>) -> Result<(), Error> {
        let Self { bucket, stored, used, since } = *self;
        let after = (used > 0).then(|| (UsedTokens { used, since }, since + bucket.rate.refill * used));
        Ok(limits.store(bucket.key, stored, after)?)
    }
}

/// The levels of buckets, in the same order.
pub fn levels(
    limits: &RateLimitTx<'_>,
    buckets: impl IntoIterator<Item = TokenBucket>,
    now: Timestamp,
) -> Result<Vec<Level>, Error> {
    buckets.into_iter().map(|bucket| bucket.level(limits, now)).collect()
}

/// Stores the levels of buckets, in the order of their keys: two transactions that wait for each other's rows would be in
/// conflict.
pub fn store_levels(limits: &RateLimitTx<'_>, mut levels: Vec<Level>) -> Result<(), Error> {
    levels.sort_unstable_by_key(|level| level.key().0);
    levels.iter().try_for_each(|level| level.store(limits))
}

/// How long it takes until there is a token in each bucket; none if there is one now.
///
/// As long as all of them take: a caller that waits for that is not refused again by another.
pub fn longest_wait(levels: &[Level], now: Timestamp) -> Option<Duration> {
    levels.iter().filter_map(|level| level.wait(now)).max()
}
