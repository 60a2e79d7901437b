//! Limits on guessing and on causing messages: budgets that are paid from before a try is made, kept in the store, and
//! given back by time.
//!
//! A try at a password counts for the account as seen from the client, for the account as seen from anywhere, and for
//! the client over all accounts. An account is what was typed, in its compared form, whether or not there is one; a
//! client is an IPv4 address or an IPv6 /64. Who knows an address cannot shut its owner out: from where the owner is
//! logged in, or has just chosen a new password by mail, the second budget does not count.

use std::time::Duration;

use super::{Accounts, Error};
use crate::{
    config::RateLimit,
    model::{Client, CountKey, Email, Timestamp, UserId, network},
    store::{Snapshot, Tx},
};

/// For how long somebody counts as at home where they chose a new password by mail.
const AT_HOME: Duration = Duration::from_hours(1);

/// Every budget's size.
pub(super) struct Limits {
    enabled: bool,
    login: Rate,
    account: Rate,
    client: Rate,
    mail: Rate,
}

/// So much at once, and one more after each `refill`.
#[derive(Clone, Copy)]
struct Rate {
    burst: u32,
    refill: Duration,
}

/// A try at a secret of an account, paid for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Try {
    login: CountKey,
    account: CountKey,
    client: CountKey,
    home: CountKey,
}

impl Limits {
    pub(super) fn new(settings: &RateLimit) -> Self {
        let rate = |burst, refill: crate::config::Period| Rate { burst, refill: refill.get() };
        Self {
            enabled: settings.enabled,
            login: rate(settings.login_burst, settings.login_refill),
            account: rate(settings.account_burst, settings.account_refill),
            client: rate(settings.client_burst, settings.client_refill),
            mail: rate(settings.mail_burst, settings.mail_refill),
        }
    }
}

impl Accounts {
    /// Takes a try at a password out of its budgets before it is made, so that guesses at the same time cannot overrun
    /// them; none where there are no limits.
    ///
    /// # Errors
    /// `TooManyRequests`.
    pub(super) async fn take_try(
        &self,
        email: &Email,
        client: &Client,
        now: Timestamp,
    ) -> Result<Option<Try>, Error> {
        if !self.limits.enabled {
            return Ok(None);
        }
        let tried = self.try_of(email, client);
        let (accounts, email, client) = (self.clone(), email.clone(), client.clone());
        let taken = self.store.write(move |tx| {
            let limits = &accounts.limits;
            let owner = tx.user_by_email(&email)?.map(|(user, _)| user.id);
            let account = match owner {
                Some(id) if is_at_home(tx, id, &client, tried.home, now)? => {
                    spend(tx, tried.account, limits.account, now)
                }
                _ => take(tx, tried.account, limits.account, now),
            };
            let taken = [
                take(tx, tried.login, limits.login, now),
                take(tx, tried.client, limits.client, now),
                account,
            ];
            all(taken)?;
            Ok::<_, Error>(tried)
        });
        taken.await.map(Some)
    }

    /// The password was right: the account owes nothing any more, to this client or to anybody.
    pub(super) fn was_right(&self, tx: &Tx<'_>, tried: Option<Try>, now: Timestamp) -> Result<(), Error> {
        let Some(Try { login, account, client, .. }) = tried else { return Ok(()) };
        tx.delete_spent(login)?;
        tx.delete_spent(account)?;
        give_back(tx, client, self.limits.client, now)
    }

    /// A right password that let nobody in, or a try that came to nothing, does not count.
    pub(super) async fn settle_try<T>(
        &self,
        tried: Option<Try>,
        outcome: &Result<T, Error>,
        now: Timestamp,
    ) -> Result<(), Error> {
        let (Some(paid), Err(error)) = (tried, outcome) else { return Ok(()) };
        let accounts = self.clone();
        match error {
            Error::InvalidCredentials | Error::WrongPassword => Ok(()),
            Error::AccountDisabled | Error::EmailNotVerified => {
                self.store.write(move |tx| accounts.was_right(tx, Some(paid), now)).await
            }
            _ => {
                let given_back = self.store.write(move |tx| {
                    give_back(tx, paid.login, accounts.limits.login, now)?;
                    give_back(tx, paid.account, accounts.limits.account, now)?;
                    give_back(tx, paid.client, accounts.limits.client, now)
                });
                given_back.await
            }
        }
    }

    /// Takes a try at a code or a link out of the budget of its client.
    ///
    /// # Errors
    /// `TooManyRequests`.
    pub(super) fn take_guess(&self, tx: &Tx<'_>, client: &Client, now: Timestamp) -> Result<(), Error> {
        match self.client_key("secrets", client) {
            Some(key) => take(tx, key, self.limits.client, now),
            None => Ok(()),
        }
    }

    /// The code or link was good.
    pub(super) fn guessed_right(&self, tx: &Tx<'_>, client: &Client, now: Timestamp) -> Result<(), Error> {
        match self.client_key("secrets", client) {
            Some(key) => give_back(tx, key, self.limits.client, now),
            None => Ok(()),
        }
    }

    /// The owner has proven themself in another way: whatever others tried is forgiven, and what they go on to try does not
    /// count here for a while.
    pub(super) fn forgive(
        &self,
        tx: &Tx<'_>,
        email: &Email,
        client: &Client,
        now: Timestamp,
    ) -> Result<(), Error> {
        if self.limits.enabled {
            let Try { login, account, home, .. } = self.try_of(email, client);
            tx.delete_spent(login)?;
            tx.delete_spent(account)?;
            tx.put_spent(home, 1, now, now + AT_HOME)?;
        }
        Ok(())
    }

    /// Takes a message that somebody who is not signed in causes out of the budget of their client.
    ///
    /// # Errors
    /// `TooManyRequests`.
    pub(super) async fn take_message(&self, client: &Client, now: Timestamp) -> Result<(), Error> {
        let Some(key) = self.client_key("messages", client) else { return Ok(()) };
        let rate = self.limits.mail;
        self.store.write(move |tx| take(tx, key, rate, now)).await
    }

    fn try_of(&self, email: &Email, client: &Client) -> Try {
        let from = client.ip.map(|ip| network(ip).to_string()).unwrap_or_default();
        let key = |kind, parts: &[&str]| self.secret.hash_limit(kind, parts);
        Try {
            login: key("login", &[email.key(), &from]),
            account: key("account", &[email.key()]),
            client: key("secrets", &[&from]),
            home: key("home", &[email.key(), &from]),
        }
    }

    /// Under what a client's budget is kept; none where there are no limits or nobody knows who it is.
    fn client_key(&self, kind: &str, client: &Client) -> Option<CountKey> {
        let from = network(client.ip.filter(|_| self.limits.enabled)?).to_string();
        Some(self.secret.hash_limit(kind, &[&from]))
    }
}

/// Whether a user is logged in from where this client is, or has just proven there who they are.
fn is_at_home(
    tx: &Snapshot<'_>,
    id: UserId,
    client: &Client,
    home: CountKey,
    now: Timestamp,
) -> Result<bool, Error> {
    let Some(here) = client.ip.map(network) else { return Ok(false) };
    let proven = tx.spent(home)?.is_some_and(|(_, since)| now.distance(since) < AT_HOME);
    Ok(proven || tx.is_logged_in_from(id, here, now)?)
}

/// All of them, or the refusal that lasts longest: whoever waits for that is not refused again by another.
fn all(taken: [Result<(), Error>; 3]) -> Result<(), Error> {
    let wait = |refusal: &Error| match refusal {
        Error::TooManyRequests { retry_after } => *retry_after,
        _ => u64::MAX,
    };
    taken.into_iter().filter_map(Result::err).max_by_key(wait).map_or(Ok(()), Err)
}

/// Takes one out of a budget.
fn take(tx: &Tx<'_>, key: CountKey, rate: Rate, now: Timestamp) -> Result<(), Error> {
    let (spent, since) = left(tx, key, rate, now)?;
    put(tx, key, rate, spent + 1, since)
}

/// What is gone of a budget in which something is left.
fn left(tx: &Snapshot<'_>, key: CountKey, rate: Rate, now: Timestamp) -> Result<(u32, Timestamp), Error> {
    let (spent, since) = balance(tx, key, rate, now)?;
    if spent >= rate.burst {
        return Err(Error::too_many_requests((since + rate.refill).since(now)));
    }
    Ok((spent, since))
}

/// Takes one out of a budget, even if there is none left in it.
fn spend(tx: &Tx<'_>, key: CountKey, rate: Rate, now: Timestamp) -> Result<(), Error> {
    let (spent, since) = balance(tx, key, rate, now)?;
    put(tx, key, rate, (spent + 1).min(rate.burst), since)
}

/// Puts one back into a budget.
fn give_back(tx: &Tx<'_>, key: CountKey, rate: Rate, now: Timestamp) -> Result<(), Error> {
    let (spent, since) = balance(tx, key, rate, now)?;
    match spent {
        0 | 1 => Ok(tx.delete_spent(key)?),
        _ => put(tx, key, rate, spent - 1, since),
    }
}

/// How much of a budget is gone after time has given back what it gives, and since when it gives the next.
fn balance(tx: &Snapshot<'_>, key: CountKey, rate: Rate, now: Timestamp) -> Result<(u32, Timestamp), Error> {
    let Some((spent, since)) = tx.spent(key)? else { return Ok((0, now)) };
    if since > now + rate.refill {
        // Spent while the clock was ahead: nobody waits until that time comes.
        return Ok((0, now));
    }
    // A clock that was set back a little gives nothing and takes nothing.
    let refill = rate.refill.as_millis().max(1);
    let back = u32::try_from(now.since(since).as_millis() / refill).unwrap_or(u32::MAX);
    Ok(match spent.checked_sub(back).filter(|rest| *rest > 0) {
        Some(rest) => (rest, since + rate.refill * back),
        None => (0, now),
    })
}

fn put(tx: &Tx<'_>, key: CountKey, rate: Rate, spent: u32, since: Timestamp) -> Result<(), Error> {
    Ok(tx.put_spent(key, spent, since, since + rate.refill * spent)?)
}
