//! How long a message waits after a failed attempt: exponential back-off with jitter.

use std::time::Duration;

use super::delivery_error::{DeliveryError, Kind};
use crate::crypto::random;

pub(super) const FIRST_PAUSE: Duration = Duration::from_secs(5);
/// The longest pause while the server does not answer: waiting messages must leave soon after it is back.
pub(super) const LONGEST_OUTAGE_PAUSE: Duration = Duration::from_secs(40);
/// The longest pause of a message that is deferred: more frequent attempts do not help.
const LONGEST_DEFERRAL: Duration = Duration::from_mins(15);
/// The first pause of a message that may have arrived.
const FIRST_UNCONFIRMED_PAUSE: Duration = Duration::from_mins(15);
/// The longest pause of a message that may have arrived.
pub const LONGEST_UNCONFIRMED_PAUSE: Duration = Duration::from_hours(1);
/// The longest pause of all others.
pub const LONGEST_PAUSE: Duration = LONGEST_DEFERRAL;

/// Which messages wait after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// This one alone.
    Message,
    /// All that were attempted before; first attempts go on, and show when the outage is over.
    Retries,
    /// All.
    All,
}

/// How long a message waits after this many attempts.
pub fn retry_delay(attempts: u32, error: &DeliveryError, scope: Scope) -> Duration {
    let (first, longest) = match (error.kind, scope) {
        (Kind::Unconfirmed, _) => (FIRST_UNCONFIRMED_PAUSE, LONGEST_UNCONFIRMED_PAUSE),
        // It waits with all others for the circuit breaker; its own attempts say nothing about the login.
        (Kind::AuthRejected, _) => return Duration::ZERO,
        (Kind::Unreachable | Kind::Unavailable, _) | (_, Scope::Retries) => {
            (FIRST_PAUSE, LONGEST_OUTAGE_PAUSE)
        }
        (Kind::NotAttempted | Kind::Deferred | Kind::Rejected, _) => (FIRST_PAUSE, LONGEST_DEFERRAL),
    };
    back_off(first, attempts, longest)
}

/// Doubles with each failure up to `longest`; the jitter, up to half of it, spreads messages that failed together.
pub(super) fn back_off(first: Duration, failures: u32, longest: Duration) -> Duration {
    let pause = (first * 2_u32.pow(failures.saturating_sub(1).min(16))).min(longest);
    pause / 2 + pause.mul_f64(f64::from(random::bytes::<1>()[0]) / 512.0)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn pauses_grow_up_to_the_longest_and_differ() {
        let deferred = || DeliveryError::deferred(String::new(), None);
        let unconfirmed = || DeliveryError::unconfirmed(String::new());
        for (error, scope, first, longest) in [
            (DeliveryError::unreachable(String::new()), Scope::All, FIRST_PAUSE, LONGEST_OUTAGE_PAUSE),
            (deferred(), Scope::Message, FIRST_PAUSE, LONGEST_DEFERRAL),
            (deferred(), Scope::Retries, FIRST_PAUSE, LONGEST_OUTAGE_PAUSE),
            (unconfirmed(), Scope::Message, FIRST_UNCONFIRMED_PAUSE, LONGEST_UNCONFIRMED_PAUSE),
            (unconfirmed(), Scope::Retries, FIRST_UNCONFIRMED_PAUSE, LONGEST_UNCONFIRMED_PAUSE),
        ] {
            for (attempts, most) in [(1, first), (2, first * 2), (3, (first * 4).min(longest)), (99, longest)]
            {
                for _ in 0..50 {
                    let pause = retry_delay(attempts, &error, scope);
                    assert!(most / 2 <= pause && pause <= most, "{attempts}: {pause:?}");
                }
            }
        }
        let pauses: HashSet<_> = (0..50).map(|_| retry_delay(99, &deferred(), Scope::Message)).collect();
        assert!(pauses.len() > 10);
    }
}
