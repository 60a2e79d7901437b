//! How far `created_at` of users may lag insertion order, on which a search by age relies; the triggers of `users` maintain it.

use crate::store::{
    error::Error,
    tx::{Snapshot, Tx},
};

/// Milliseconds that two servers' clocks may differ by; a larger disorder comes from a wrong clock.
const USUAL_DISORDER: i64 = 60 * 60 * 1000;

impl Snapshot<'_> {
    /// Whether a wrong clock has made searches by age slow.
    pub(super) fn has_arrival_disorder(&self) -> Result<bool, Error> {
        Ok(self.number("SELECT disorder > ?1 FROM user_arrivals", [USUAL_DISORDER])? > 0)
    }
}

impl Tx<'_> {
    /// Recomputes the disorder from the users that exist now.
    pub(super) fn recompute_arrival_disorder(&self) -> Result<(), Error> {
        self.execute_one(
            "UPDATE user_arrivals SET (latest, disorder) = \
             (SELECT ifnull(max(latest), 0), ifnull(max(latest - created_at), 0) FROM (SELECT created_at, \
             max(created_at) OVER (ORDER BY seq ROWS UNBOUNDED PRECEDING) AS latest FROM users))",
            (),
        )
    }
}
