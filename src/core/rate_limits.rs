//! The sizes of all rate limits, from the settings.

use std::time::Duration;

use tokio::sync::Semaphore;

use super::attempts_in_progress::AttemptsInProgress;
use crate::config::RateLimit;

/// How often an account is exported.
pub const EXPORTS: Rate = Rate { burst: 5, refill: Duration::from_mins(1) };

/// How many requests wait at a time for the end of attempts that are in progress.
const MAX_WAITING: usize = 512;

/// The size of every rate limit, and the attempts in progress.
pub struct RateLimits {
    pub enabled: bool,
    /// Attempts at an account from one network, and at its password from one session.
    pub login: Rate,
    /// The same from one network or site in the long run.
    pub lasting: Rate,
    /// Attempts at an account from anywhere.
    pub account: Rate,
    /// Attempts at an account from networks where its user is logged in.
    pub trusted: Rate,
    /// The same, with those of the account's own sessions.
    pub signed_in: Rate,
    /// Attempts at all accounts from one client: at passwords, and at codes.
    pub client: Rate,
    /// Strength checks of new passwords for one client; each takes some milliseconds of a processor.
    pub strength_check: Rate,
    /// Messages that one client causes without being signed in.
    pub mail: Rate,
    /// Changes by one account.
    pub change: Rate,
    /// Changes from one network.
    pub client_change: Rate,
    pub in_progress: AttemptsInProgress,
    pub waiting: Semaphore,
}

/// So many at once, and one more after each `refill`.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    pub burst: u32,
    pub refill: Duration,
}

impl Rate {
    /// So many times as much.
    pub fn times(self, factor: u32) -> Self {
        Self { burst: self.burst.saturating_mul(factor), refill: self.refill / factor }
    }
}

impl RateLimits {
    pub fn new(settings: &RateLimit) -> Self {
        let rate = |burst, refill: crate::config::Period| Rate { burst, refill: refill.get() };
        let login = rate(settings.login_burst, settings.login_refill);
        let account = rate(settings.account_burst, settings.account_refill);
        let client = rate(settings.client_burst, settings.client_refill);
        // Less than the account's own, so that one network alone never uses that up.
        let lasting = Rate { burst: login.burst.saturating_mul(2), refill: account.refill.max(login.refill) };
        let signed_in = Rate { burst: lasting.burst.saturating_add(login.burst), ..lasting };
        Self {
            enabled: settings.enabled,
            login,
            lasting,
            account,
            trusted: lasting,
            signed_in,
            client,
            strength_check: Rate { refill: client.refill / 5, ..client },
            mail: rate(settings.mail_burst, settings.mail_refill),
            change: rate(settings.change_burst, settings.change_refill),
            client_change: rate(settings.client_change_burst, settings.client_change_refill),
            in_progress: AttemptsInProgress::default(),
            waiting: Semaphore::new(MAX_WAITING),
        }
    }
}
