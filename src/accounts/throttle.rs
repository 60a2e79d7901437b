//! A brake on guessing passwords: so many wrong ones in a row, then one at a time.
//!
//! Simplified: counted in memory, for each account as seen from each client, so a restart forgives everything and a
//! guesser with many addresses has many budgets. With more time the counts would be rows of the store, written with the
//! same group commit, and a softer second tier would count an account's failures over all clients.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use super::Error;
use crate::{
    config::RateLimit,
    model::{Client, Email, Timestamp},
};

/// How many budgets are remembered before those that are whole again are dropped.
const REMEMBERED: usize = 10_000;

/// Wrong passwords, by account and client.
pub struct Throttle {
    limit: Option<(u32, Duration)>,
    budgets: Mutex<Budgets>,
}

#[derive(Default)]
struct Budgets {
    spent: HashMap<Key, Spent>,
    /// At how many to look for those that are whole again.
    sweep_at: usize,
}

type Key = (String, Option<IpAddr>);

/// A budget that is not whole.
struct Spent {
    tries: u32,
    /// Since when time has been giving tries back.
    since: Timestamp,
}

impl Throttle {
    /// A brake as the settings say.
    pub fn new(settings: &RateLimit) -> Self {
        let limit = settings.enabled.then(|| (settings.login_burst, settings.login_refill.get()));
        Self { limit, budgets: Mutex::default() }
    }

    /// Takes a try out of the budget before it is made, so that guesses at the same time cannot overrun it.
    pub fn take(&self, email: &Email, client: &Client, now: Timestamp) -> Result<(), Error> {
        let Some((burst, refill)) = self.limit else { return Ok(()) };
        let mut budgets = self.budgets.lock().unwrap_or_else(PoisonError::into_inner);
        if budgets.spent.len() >= budgets.sweep_at.max(REMEMBERED) {
            budgets.spent.retain(|_, budget| budget.refilled(refill, now).tries > 0);
            budgets.sweep_at = budgets.spent.len() * 2; // so that looking through them all stays rare
        }
        let budget = budgets.spent.entry(key(email, client)).or_insert(Spent { tries: 0, since: now });
        *budget = budget.refilled(refill, now);
        if budget.tries >= burst {
            let wait = (budget.since + refill).since(now);
            return Err(Error::too_many_requests(wait));
        }
        budget.tries += 1;
        Ok(())
    }

    /// A right password: the account owes nothing to this client any more.
    pub fn forgive(&self, email: &Email, client: &Client) {
        self.budgets.lock().unwrap_or_else(PoisonError::into_inner).spent.remove(&key(email, client));
    }

    /// A try that came to nothing, neither right nor wrong, does not count.
    pub fn give_back(&self, email: &Email, client: &Client) {
        let mut budgets = self.budgets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(budget) = budgets.spent.get_mut(&key(email, client)) {
            budget.tries = budget.tries.saturating_sub(1);
        }
    }
}

impl Spent {
    /// The budget after the time since has given tries back, one for each `refill`.
    fn refilled(&self, refill: Duration, now: Timestamp) -> Self {
        let refill = refill.as_millis().max(1);
        let back = u32::try_from(now.since(self.since).as_millis() / refill).unwrap_or(u32::MAX);
        if back >= self.tries {
            return Self { tries: 0, since: now };
        }
        let passed = Duration::from_millis(u64::try_from(refill * u128::from(back)).unwrap_or(u64::MAX));
        Self { tries: self.tries - back, since: self.since + passed }
    }
}

/// Whoever has one address of an IPv6 network has them all: the client is its /64.
fn key(email: &Email, client: &Client) -> Key {
    let network = client.ip.map(|ip| match ip.to_canonical() {
        IpAddr::V6(ip) => IpAddr::V6((u128::from(ip) >> 64 << 64).into()),
        ip @ IpAddr::V4(_) => ip,
    });
    (email.key().to_owned(), network)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn throttle() -> Throttle {
        let settings =
            RateLimit { enabled: true, login_burst: 3, login_refill: "10s".parse().expect("a period") };
        Throttle::new(&settings)
    }

    fn email(text: &str) -> Email {
        Email::parse("email", text).expect("plain")
    }

    fn from(ip: &str) -> Client {
        Client { user_agent: None, ip: ip.parse().ok() }
    }

    const START: Timestamp = Timestamp::from_millis(1_000_000);

    #[test]
    fn a_budget_is_spent_and_comes_back_with_time() {
        let (throttle, ann, client) = (throttle(), email("ann@example.com"), from("192.0.2.1"));
        for _ in 0..3 {
            assert!(throttle.take(&ann, &client, START).is_ok());
        }
        let refused = throttle.take(&ann, &client, START + Duration::from_millis(1));
        assert!(matches!(refused, Err(Error::TooManyRequests { retry_after: 10 })), "{refused:?}");
        let later = START + Duration::from_secs(10);
        assert!(throttle.take(&ann, &client, later).is_ok());
        assert!(throttle.take(&ann, &client, later).is_err());
        throttle.give_back(&ann, &client);
        assert!(throttle.take(&ann, &client, later).is_ok());
        assert!(throttle.take(&ann, &client, later).is_err());
        throttle.forgive(&ann, &client);
        assert!(throttle.take(&ann, &client, later).is_ok());
    }

    #[test]
    fn spellings_share_a_budget_and_so_do_addresses_of_one_network() {
        let throttle = throttle();
        for (spelling, ip) in [
            ("ann@example.com", "2001:db8::1"),
            ("ANN@EXAMPLE.COM", "2001:db8::2"),
            ("ａnn@example.com", "2001:db8:0:0:9::"),
        ] {
            assert!(throttle.take(&email(spelling), &from(ip), START).is_ok());
        }
        assert!(throttle.take(&email("ann@example.com"), &from("2001:db8::3"), START).is_err());
        assert!(
            throttle.take(&email("ann@example.com"), &from("2001:db8:0:1::1"), START).is_ok(),
            "the owner, elsewhere"
        );
        assert!(
            throttle.take(&email("bob@example.com"), &from("2001:db8::1"), START).is_ok(),
            "someone else"
        );
    }
}
