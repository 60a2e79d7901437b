//! Limits on guessing and on causing messages: budgets that are paid from before a try is made, kept in the store, and
//! given back by time.
//!
//! A client is an IPv4 address or an IPv6 /64; all /64s of a /48 together have a budget of twice the size. What is paid for
//! a try at a password is in `tries`.

use std::{sync::Arc, time::Duration};

use tokio::sync::Semaphore;

use crate::accounts::{Accounts, Error, Proof, attempts_in_progress::AttemptsInProgress};
use crate::{
    config::RateLimit,
    domain::{Client, CountKey, PlainCode, Timestamp, network, site},
    store::{Snapshot, Tx},
};

/// How many requests wait at a time for the end of tries that are under way.
const MOST_WAITING: usize = 512;

/// Every budget's size, and the tries that are under way.
pub(crate) struct RateLimits {
    pub(crate) enabled: bool,
    /// Tries at an account from one network, and at its password from one session.
    pub(crate) login: Rate,
    /// The same from one network or site in the long run.
    pub(crate) lasting: Rate,
    /// Tries at an account from anywhere.
    pub(crate) account: Rate,
    /// Tries at an account from wherever its owner is logged in.
    pub(crate) home: Rate,
    /// The same, those of sessions of the account included.
    pub(crate) signed_in: Rate,
    /// Tries at all accounts from one client: at passwords, and at codes.
    pub(crate) client: Rate,
    /// New passwords that are judged for one client, of which each costs some milliseconds of a processor.
    judged: Rate,
    mail: Rate,
    /// Changes by one account.
    pub(crate) change: Rate,
    /// Changes from one network.
    pub(crate) client_change: Rate,
    pub(crate) in_progress: AttemptsInProgress,
    pub(crate) line: Arc<Semaphore>,
}

/// So much at once, and one more after each `refill`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate {
    pub(crate) burst: u32,
    pub(crate) refill: Duration,
}

/// A budget: what it is kept under, and its size.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    pub(crate) key: CountKey,
    pub(crate) rate: Rate,
}

impl Rate {
    /// For as many as a site has networks there is twice as much.
    fn of_site(self) -> Self {
        self.times(2)
    }

    /// So many times as much.
    pub(crate) fn times(self, factor: u32) -> Self {
        Self { burst: self.burst.saturating_mul(factor), refill: self.refill / factor }
    }
}

impl RateLimits {
    pub(crate) fn new(settings: &RateLimit) -> Self {
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
            home: lasting,
            signed_in,
            client,
            judged: Rate { refill: client.refill / 5, ..client },
            mail: rate(settings.mail_burst, settings.mail_refill),
            change: rate(settings.change_burst, settings.change_refill),
            client_change: rate(settings.client_change_burst, settings.client_change_refill),
            in_progress: AttemptsInProgress::default(),
            line: Arc::new(Semaphore::new(MOST_WAITING)),
        }
    }
}

impl Accounts {
    /// Takes a guess at a code out of the budget of its client. A link is none: 256 bits cannot be guessed.
    ///
    /// # Errors
    /// `TooManyRequests`.
    pub(crate) fn charge_code(
        &self,
        tx: &Tx<'_>,
        proof: &Proof,
        client: &Client,
        now: Timestamp,
    ) -> Result<(), Error> {
        take_from_all(tx, &self.budgets_of_code(proof, client), now)
    }

    /// The code was good.
    pub(crate) fn refund_code(
        &self,
        tx: &Tx<'_>,
        proof: &Proof,
        client: &Client,
        now: Timestamp,
    ) -> Result<(), Error> {
        refund_all(tx, &self.budgets_of_code(proof, client), now)
    }

    /// The same for a guess behind which a new password is judged, if it is good: that takes some milliseconds.
    ///
    /// # Errors
    /// `TooManyRequests`.
    pub(crate) fn charge_code_and_strength_check(
        &self,
        tx: &Tx<'_>,
        proof: &Proof,
        client: &Client,
        now: Timestamp,
    ) -> Result<(), Error> {
        let mut budgets = self.budgets_of_code(proof, client);
        budgets.extend(self.budgets_of("judged", self.limits.judged, client));
        take_from_all(tx, &budgets, now)
    }

    /// The guess was wrong, and no password was judged.
    pub(crate) fn refund_strength_check(
        &self,
        tx: &Tx<'_>,
        client: &Client,
        now: Timestamp,
    ) -> Result<(), Error> {
        refund_all(tx, &self.budgets_of("judged", self.limits.judged, client), now)
    }

    /// Takes the judgement of a password, behind which a message is sent if it is good, out of the budget of a client that is
    /// not signed in.
    ///
    /// # Errors
    /// `TooManyRequests`, also if there is no message left.
    pub(crate) async fn charge_strength_check(&self, client: &Client, now: Timestamp) -> Result<(), Error> {
        let mut budgets = self.budgets_of("judged", self.limits.judged, client);
        let messages = self.budgets_of("messages", self.limits.mail, client);
        if budgets.is_empty() {
            return Ok(());
        }
        budgets.extend(&messages);
        let taken = self.store.write(move |tx| {
            take_from_all(tx, &budgets, now)?;
            refund_all(tx, &messages, now)
        });
        taken.await
    }

    /// Takes a message that a client who is not signed in causes out of its budget.
    ///
    /// # Errors
    /// `TooManyRequests`.
    pub(crate) fn charge_message(&self, tx: &Tx<'_>, client: &Client, now: Timestamp) -> Result<(), Error> {
        take_from_all(tx, &self.budgets_of("messages", self.limits.mail, client), now)
    }

    /// What a proof has to be paid from: only six digits can be guessed.
    fn budgets_of_code(&self, proof: &Proof, client: &Client) -> Vec<Budget> {
        match proof {
            Proof::Code(_, typed) if PlainCode::typed(typed).is_some() => {
                self.budgets_of("codes", self.limits.client, client)
            }
            Proof::Code(..) | Proof::Link(_) => Vec::new(),
        }
    }

    /// The budgets of a client, and of the site that it is at; none where there are no limits or it came by no network.
    pub(crate) fn budgets_of(&self, kind: &str, rate: Rate, client: &Client) -> Vec<Budget> {
        let Some(ip) = client.ip.filter(|_| self.limits.enabled) else { return Vec::new() };
        let budget = |kind, from: String, rate| Budget { key: self.secret.hash_limit(kind, &[&from]), rate };
        let own = budget(kind, network(ip).to_string(), rate);
        let site = site(ip).map(|site| budget(kind, format!("{site}/48"), rate.of_site()));
        [Some(own), site].into_iter().flatten().collect()
    }
}

/// Takes one out of each of these budgets, or none.
///
/// # Errors
/// `TooManyRequests` for as long as all of them take: a caller that waits for that is not refused again by another.
pub(crate) fn take_from_all(tx: &Tx<'_>, budgets: &[Budget], now: Timestamp) -> Result<(), Error> {
    let mut longest = None;
    for budget in budgets {
        longest = longest.max(wait_for(tx, *budget, now)?);
    }
    if let Some(wait) = longest {
        return Err(Error::too_many_requests(wait));
    }
    budgets.iter().try_for_each(|budget| take(tx, *budget, now))
}

/// Puts one back into each of these budgets.
fn refund_all(tx: &Tx<'_>, budgets: &[Budget], now: Timestamp) -> Result<(), Error> {
    budgets.iter().try_for_each(|budget| refund(tx, *budget, 1, now))
}

/// Both, or the refusal of both that lasts longer.
///
/// # Errors
/// Of either.
pub(crate) fn longer_refusal(one: Result<(), Error>, other: Result<(), Error>) -> Result<(), Error> {
    match (one, other) {
        (Err(Error::TooManyRequests { retry_after: one }), Err(Error::TooManyRequests { retry_after })) => {
            Err(Error::TooManyRequests { retry_after: retry_after.max(one) })
        }
        (one, other) => one.and(other),
    }
}

/// How long it takes until there is something in a budget; none if there is now.
pub(crate) fn wait_for(
    tx: &Snapshot<'_>,
    Budget { key, rate }: Budget,
    now: Timestamp,
) -> Result<Option<Duration>, Error> {
    let (used, since) = used(tx, Budget { key, rate }, now)?;
    let missing = used.saturating_add(1).saturating_sub(rate.burst);
    Ok((missing > 0).then(|| (since + rate.refill * missing).since(now)))
}

/// Takes one out of a budget, whatever is in it.
pub(crate) fn take(tx: &Tx<'_>, budget: Budget, now: Timestamp) -> Result<(), Error> {
    let (used, since) = used(tx, budget, now)?;
    put(tx, budget, used.saturating_add(1), since)
}

/// Puts so much back into a budget.
pub(crate) fn refund(tx: &Tx<'_>, budget: Budget, much: u32, now: Timestamp) -> Result<(), Error> {
    let (used, since) = used(tx, budget, now)?;
    put(tx, budget, used.saturating_sub(much), since)
}

/// How much of a budget is gone after time has given back what it gives, and since when it gives the next.
pub(crate) fn used(
    tx: &Snapshot<'_>,
    Budget { key, rate }: Budget,
    now: Timestamp,
) -> Result<(u32, Timestamp), Error> {
    let Some((used, since)) = tx.used(key)? else { return Ok((0, now)) };
    if since > now + rate.refill {
        // Spent while the clock was ahead: no client waits until that time comes.
        return Ok((0, now));
    }
    // A clock that was set back a little gives nothing and takes nothing.
    let refill = rate.refill.as_millis().max(1);
    let back = u32::try_from(now.since(since).as_millis() / refill).unwrap_or(u32::MAX);
    Ok(match used.checked_sub(back).filter(|rest| *rest > 0) {
        Some(rest) => (rest, since + rate.refill * back),
        None => (0, now),
    })
}

pub(crate) fn put(
    tx: &Tx<'_>,
    Budget { key, rate }: Budget,
    used: u32,
    since: Timestamp,
) -> Result<(), Error> {
    match used {
        0 => Ok(tx.delete_used(key)?),
        _ => Ok(tx.put_used(key, used, since, since + rate.refill * used)?),
    }
}
