//! Tries at a password: paid for before they are made, and settled when it is known what came of them, whether or not the
//! request that made them is still there.
//!
//! A try at a login counts for the account as seen from the client's network, for the account as seen from anywhere, and
//! for the client over all accounts. An account is what was typed, in its compared form, whether or not there is one. An
//! attacker who knows an address cannot shut its owner out: where the owner is logged in, or has just chosen a new password
//! by mail, what others try elsewhere does not count; and a session has a budget of its own, which no one else draws from.
//!
//! A try that is under way is not a wrong one yet. Where those alone use up a budget, the next one waits for their end.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::{
    sync::{futures::OwnedNotified, oneshot},
    time::{Instant, sleep_until},
};

use crate::accounts::{
    Accounts, Actor, Error,
    attempts_in_progress::InProgress,
    rate_limits::{Budget, put, refund, take, used, wait_for},
    sessions::is_open,
};
use crate::{
    domain::{Client, CountKey, Email, SessionId, Timestamp, UserId, network, site},
    store::{Snapshot, Tx},
};

/// For how long an owner counts as at home where they chose a new password by mail.
const TRUSTED_NETWORK_TTL: Duration = Duration::from_hours(1);
/// How long a request waits for the end of tries that are under way: longer than the hasher's queue is.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// An account that is claimed with a password, and where from.
#[derive(Clone, Debug)]
pub(crate) struct Claim {
    email: Email,
    client: Client,
    /// Counts if it is an open one of this account.
    session: Option<SessionId>,
}

/// What a try is paid from.
#[derive(Clone, Debug)]
struct Price {
    /// What the client, or the session, may try at this account: whole again after the right password.
    own: Vec<Budget>,
    /// What all of them may.
    account: Budget,
    /// What the client may try at all accounts.
    client: Vec<Budget>,
}

/// A try that was paid for, and is under way for as long as there is this.
#[derive(Clone)]
pub(crate) struct PasswordAttempt {
    paid_from: Price,
    in_progress: Arc<InProgress>,
    /// There for as long as the request that made it.
    request: Weak<()>,
}

/// What comes of the wish to try.
enum Admission {
    Now(Price, InProgress),
    /// After the end of another try.
    After(OwnedNotified),
}

impl Claim {
    /// By a client that logs in, perhaps with the access token of a session that it has already.
    pub(crate) fn at_login(email: Email, client: Client, along: Option<SessionId>) -> Self {
        Self { email, client, session: along }
    }

    /// By a user who is signed in.
    pub(crate) fn by(actor: &Actor) -> Self {
        let (email, client) = (actor.user().profile.email.clone(), actor.origin().client.clone());
        Self { email, client, session: Some(actor.session_id()) }
    }
}

impl PasswordAttempt {
    /// Whether a request still waits for what comes of it; one that is made without limits ends with its request by itself.
    pub(crate) fn is_wanted(attempt: Option<&Self>) -> impl Fn() -> bool + Clone + Send + use<> {
        let request = attempt.map(|attempt| attempt.request.clone());
        move || request.as_ref().is_none_or(|request| request.strong_count() > 0)
    }
}

impl Price {
    fn budgets(&self) -> impl Iterator<Item = Budget> {
        self.own.iter().chain([&self.account]).chain(&self.client).copied()
    }
}

impl Accounts {
    /// Makes a try at a password, once it is paid for; `work` is given what it was paid from, none where there are no
    /// limits. It goes on to its end if the request goes away, so that it counts for what it was.
    ///
    /// # Errors
    /// `TooManyRequests`; `Busy` if others took too long; what `work` answers.
    pub(crate) async fn attempt<T, W>(
        &self,
        claim: Claim,
        work: impl FnOnce(Option<PasswordAttempt>) -> W + Send + 'static,
    ) -> Result<T, Error>
    where
        T: Send + 'static,
        W: Future<Output = Result<T, Error>> + Send + 'static,
    {
        if !self.limits.enabled {
            return work(None).await;
        }
        let (mut caller, answer) = oneshot::channel();
        let here = Arc::new(());
        let (accounts, request) = (self.clone(), Arc::downgrade(&here));
        self.tasks.spawn(async move {
            let outcome = match accounts.charge_attempt(&claim, &mut caller).await {
                Ok((paid_from, in_progress)) => {
                    let attempt = PasswordAttempt { paid_from, in_progress: Arc::new(in_progress), request };
                    let outcome = work(Some(attempt.clone())).await;
                    accounts.settle(attempt, outcome.as_ref().err()).await.and(outcome)
                }
                Err(error) => Err(error),
            };
            let _ = caller.send(outcome); // a caller that has gone needs no answer
        });
        let answer = answer.await;
        drop(here);
        answer.unwrap_or_else(|_| Err(Error::Internal("a try at a password panicked".to_owned())))
    }

    /// Takes a try out of its budgets before it is made, so that guesses at the same time cannot overrun them.
    async fn charge_attempt<T>(
        &self,
        claim: &Claim,
        caller: &mut oneshot::Sender<T>,
    ) -> Result<(Price, InProgress), Error> {
        let until = Instant::now() + LONGEST_WAIT;
        let mut place = None;
        loop {
            let (accounts, claim, now) = (self.clone(), claim.clone(), self.clock.now());
            let end = match self.store.write(move |tx| accounts.pay(tx, &claim, now)).await? {
                Admission::Now(price, in_progress) => return Ok((price, in_progress)),
                Admission::After(end) => end,
            };
            if place.is_none() {
                place = Some(self.limits.line.try_acquire().map_err(|_| Error::Busy)?);
            }
            tokio::select! {
                () = end => {}
                () = sleep_until(until) => return Err(Error::Busy),
                () = caller.closed() => return Err(Error::Busy),
            }
        }
    }

    fn pay(&self, tx: &Tx<'_>, claim: &Claim, now: Timestamp) -> Result<Admission, Error> {
        let price = self.price(tx, claim, now)?;
        let (mut longest, mut next_end) = (None, None);
        for budget in price.budgets() {
            let Some(wait) = wait_for(tx, budget, now)? else { continue };
            // As long as it is not known how the tries end that emptied it, it is not known how long it takes.
            match self.limits.in_progress.next_end(budget.key) {
                Some(end) => next_end = next_end.or(Some(end)),
                None => longest = longest.max(Some(wait)),
            }
        }
        if let Some(wait) = longest {
            return Err(Error::too_many_requests(wait));
        }
        if let Some(end) = next_end {
            return Ok(Admission::After(end));
        }
        price.budgets().try_for_each(|budget| take(tx, budget, now))?;
        let in_progress = self.limits.in_progress.begin(price.budgets().map(|budget| budget.key).collect());
        Ok(Admission::Now(price, in_progress))
    }

    /// The password was right: what this client attempt before it is forgiven. What others attempt goes on to count, and so do
    /// tries that are still under way.
    pub(crate) fn settle_correct(
        &self,
        tx: &Tx<'_>,
        attempt: Option<PasswordAttempt>,
        now: Timestamp,
    ) -> Result<(), Error> {
        let Some(PasswordAttempt { paid_from: Price { own, account, client }, in_progress, .. }) = attempt
        else {
            return Ok(());
        };
        in_progress.end();
        let mut forgiven = 1;
        for budget in own {
            let others = self.limits.in_progress.count(budget.key);
            let (used, since) = used(tx, budget, now)?;
            forgiven = forgiven.max(used.saturating_sub(others));
            put(tx, budget, used.min(others), since)?;
        }
        refund(tx, account, forgiven, now)?;
        client.into_iter().try_for_each(|budget| refund(tx, budget, 1, now))
    }

    /// A right password that let its user not in, or a try that came to nothing, does not count.
    async fn settle(&self, attempt: PasswordAttempt, error: Option<&Error>) -> Result<(), Error> {
        let (accounts, now) = (self.clone(), self.clock.now());
        match error {
            None | Some(Error::InvalidCredentials | Error::WrongPassword) => Ok(()),
            Some(Error::AccountDisabled | Error::EmailNotVerified) => {
                self.store.write(move |tx| accounts.settle_correct(tx, Some(attempt), now)).await
            }
            Some(_) => {
                let back = self.store.write(move |tx| {
                    let mut budgets = attempt.paid_from.budgets();
                    budgets.try_for_each(|budget| refund(tx, budget, 1, now))
                });
                back.await
            }
        }
    }

    /// The owner has proven themself in another way: whatever others attempt is forgiven, and what they go on to try elsewhere
    /// does not count here for a while.
    pub(crate) fn reset_login_limits(
        &self,
        tx: &Tx<'_>,
        email: &Email,
        client: &Client,
        now: Timestamp,
    ) -> Result<(), Error> {
        if !self.limits.enabled {
            return Ok(());
        }
        for budget in self.own_budgets(email, client) {
            tx.delete_used(budget.key)?;
        }
        for kind in ["account", "reserve"] {
            tx.delete_used(self.secret.hash_limit(kind, &[email.key()]))?;
        }
        Ok(tx.put_used(self.home_key(email, client), 1, now, now + TRUSTED_NETWORK_TTL)?)
    }

    /// What a try has to be paid from. Where the owner is at home, and for their sessions, the account keeps a reserve, which
    /// others elsewhere cannot use up; the last of it is for sessions alone.
    fn price(&self, tx: &Snapshot<'_>, claim: &Claim, now: Timestamp) -> Result<Price, Error> {
        let Claim { email, client, session } = claim;
        let limits = &self.limits;
        let of_account = |kind, rate| Budget { key: self.secret.hash_limit(kind, &[email.key()]), rate };
        let session = match session {
            Some(id) => tx
                .session(*id)?
                .filter(|(session, user)| is_open(session, user, now) && user.profile.email.is(email)),
            None => None,
        };
        if let Some((session, _)) = session {
            let key = self.secret.hash_limit("session", &[&session.id.as_uuid().to_string()]);
            return Ok(Price {
                own: vec![Budget { key, rate: limits.login }],
                account: of_account("reserve", limits.signed_in),
                client: Vec::new(),
            });
        }
        let owner = tx.user_by_email(email)?.map(|(user, _)| user.id);
        let account = match owner {
            Some(id) if self.is_trusted_network(tx, id, email, client, now)? => {
                of_account("reserve", limits.home)
            }
            _ => of_account("account", limits.account),
        };
        Ok(Price {
            own: self.own_budgets(email, client),
            account,
            client: self.budgets_of("secrets", limits.client, client),
        })
    }

    /// What a client that is not signed in may try at an account: soon again from its network, and in the long run from all
    /// networks of its site together.
    fn own_budgets(&self, email: &Email, client: &Client) -> Vec<Budget> {
        let budget = |kind, from: String, rate| Budget {
            key: self.secret.hash_limit(kind, &[email.key(), &from]),
            rate,
        };
        let text = |ip: Option<_>| ip.map(|ip: std::net::IpAddr| ip.to_string()).unwrap_or_default();
        let from = client.ip.map(network);
        vec![
            budget("login", text(from), self.limits.login),
            budget("lasting", text(client.ip.and_then(site).or(from)), self.limits.lasting),
        ]
    }

    /// Whether a user is logged in from where this client is, or has just proven there who they are.
    fn is_trusted_network(
        &self,
        tx: &Snapshot<'_>,
        id: UserId,
        email: &Email,
        client: &Client,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let Some(here) = client.ip.map(network) else { return Ok(false) };
        let proven = tx.used(self.home_key(email, client))?;
        let is_proven = proven.is_some_and(|(_, since)| now.distance(since) < TRUSTED_NETWORK_TTL);
        Ok(is_proven || tx.is_logged_in_from(id, here, now)?)
    }

    fn home_key(&self, email: &Email, client: &Client) -> CountKey {
        let from = client.ip.map(|ip| network(ip).to_string()).unwrap_or_default();
        self.secret.hash_limit("home", &[email.key(), &from])
    }
}
