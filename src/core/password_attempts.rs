//! Attempts at a password: charged before they are made, and settled when it is known how they ended, whether or not the
//! request that made them is still there.
//!
//! A login attempt is charged to the account as seen from the client's network, to the account as seen from anywhere, and to
//! the client over all accounts. An account is the address that was typed, normalized, whether or not there is one. An
//! attacker who knows an address cannot lock its user out: where the user is logged in, or has just chosen a new password by
//! mail, attempts from elsewhere do not count; and a session has a bucket of its own, which only it draws from.
//!
//! An attempt in progress is not a wrong one yet. Where those alone use up a bucket, the next one waits for their end.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::{
    sync::{futures::OwnedNotified, oneshot},
    time::{Instant, sleep_until},
};

use super::{
    attempt_price::{Claim, Price},
    attempts_in_progress::{AttemptsInProgress, InProgress},
    context::{Core, Tx},
    error::Error,
    token_bucket::{Charge, Level, levels, store_levels},
};
use crate::{domain::Timestamp, store::RateLimitTx};

/// How long a request waits for the end of attempts in progress: longer than the hasher's queue is.
const MAX_WAIT: Duration = Duration::from_secs(5);

/// An attempt that was charged, and is in progress for as long as there is this.
#[derive(Clone)]
pub struct PasswordAttempt {
    price: Price,
    in_progress: Arc<InProgress>,
    /// There for as long as the request that made it.
    request: Weak<()>,
}

/// Whether an attempt may be made.
enum Admission {
    Now(Price, InProgress),
    /// After the end of another attempt.
    After(OwnedNotified),
}

impl PasswordAttempt {
    /// Whether a request still waits for the result; an attempt without rate limits ends with its request by itself.
    pub fn is_wanted(attempt: Option<&Self>) -> impl Fn() -> bool + Clone + Send + use<> {
        let request = attempt.map(|attempt| attempt.request.clone());
        move || request.as_ref().is_none_or(|request| request.strong_count() > 0)
    }

    /// The password was correct: what this client attempted before it does not count any more. Attempts of others go on to
    /// count, and so do those that are still in progress.
    pub fn write_correct(&self, limits: &RateLimitTx<'_>, now: Timestamp) -> Result<(), Error> {
        // No effect of the transaction: it comes to that anyway, and a second time it changes nothing.
        self.in_progress.settle();
        let mut levels = levels(limits, self.price.buckets(), now)?;
        let (own, others) = levels.split_at_mut(self.price.own.len());
        let mut refunded = 1;
        for level in own {
            let open = self.in_progress.count_open(level.key());
            refunded = refunded.max(level.refund_all_but(open));
        }
        if let Some((account, client)) = others.split_first_mut() {
            account.refund(refunded);
            for level in client {
                level.refund(1);
            }
        }
        store_levels(limits, levels)
    }
}

/// Makes an attempt at a password once it is charged; `work` is given the attempt, none where rate limits are off. It goes on
/// to its end if the request goes away, so that its result counts.
///
/// # Errors
/// `TooManyRequests`; `Busy` if other attempts took too long; what `work` answers.
pub async fn attempt<T, W>(
    core: &Core,
    claim: Claim,
    work: impl FnOnce(Option<PasswordAttempt>) -> W + Send + 'static,
) -> Result<T, Error>
where
    T: Send + 'static,
    W: Future<Output = Result<T, Error>> + Send + 'static,
{
    if !core.rate_limits.enabled {
        return work(None).await;
    }
    let (mut caller, answer) = oneshot::channel();
    let here = Arc::new(());
    let (owned, request) = (core.clone(), Arc::downgrade(&here));
    core.spawn(async move {
        let outcome = match charge_attempt(&owned, &claim, &mut caller).await {
            Ok((price, in_progress)) => {
                let attempt = PasswordAttempt { price, in_progress: Arc::new(in_progress), request };
                let outcome = work(Some(attempt.clone())).await;
                settle(&owned, attempt, outcome.as_ref().err()).await.and(outcome)
            }
            Err(error) => Err(error),
        };
        let _ = caller.send(outcome); // a caller that has gone needs no answer
    });
    let answer = answer.await;
    drop(here);
    answer.unwrap_or_else(|_| Err(Error::Internal("an attempt at a password panicked".to_owned())))
}

/// Settles an attempt with the correct password once `tx` is committed.
pub fn settle_correct(tx: &Tx<'_>, attempt: Option<PasswordAttempt>, now: Timestamp) {
    if let Some(attempt) = attempt {
        tx.settle(move |limits| attempt.write_correct(limits, now));
    }
}

/// Charges an attempt before it is made, so that guesses at the same time cannot exceed the limit.
async fn charge_attempt<T>(
    core: &Core,
    claim: &Claim,
    caller: &mut oneshot::Sender<T>,
) -> Result<(Price, InProgress), Error> {
    let until = Instant::now() + MAX_WAIT;
    let mut place = None;
    loop {
        let (owned, claim, now) = (core.clone(), claim.clone(), core.now());
        let price = core.read(move |tx| Price::of(&owned, tx, &claim, now)).await?;
        let in_progress = core.rate_limits.in_progress.clone();
        let admitted = core.write_rate_limits(move |limits| admit(limits, price, &in_progress, now));
        let end = match admitted.await? {
            Admission::Now(price, in_progress) => return Ok((price, in_progress)),
            Admission::After(end) => end,
        };
        if place.is_none() {
            place = Some(core.rate_limits.waiting.try_acquire().map_err(|_| Error::Busy)?);
        }
        tokio::select! {
            () = end => {}
            () = sleep_until(until) => return Err(Error::Busy),
            () = caller.closed() => return Err(Error::Busy),
        }
    }
}

fn admit(
    limits: &RateLimitTx<'_>,
    price: Price,
    in_progress: &AttemptsInProgress,
    now: Timestamp,
) -> Result<Admission, Error> {
    // Before the levels: an attempt that ends in between has given its tokens back.
    let ends: Vec<_> = price.buckets().map(|bucket| in_progress.next_end(bucket.key)).collect();
    let mut levels = levels(limits, price.buckets(), now)?;
    let (mut longest, mut next_end) = (None, None);
    for (level, end) in levels.iter().zip(ends) {
        let Some(wait) = level.wait(now) else { continue };
        // As long as it is not known how the attempts end that emptied it, it is not known how long it takes.
        match end {
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
    levels.iter_mut().for_each(Level::take);
    store_levels(limits, levels)?;
    // Marked inside the transaction, so that an attempt that sees the charge sees the mark; if this one is undone, the mark
    // is dropped with it.
    let mark = in_progress.begin(price.buckets().map(|bucket| bucket.key).collect());
    Ok(Admission::Now(price, mark))
}

/// A correct password that did not log its user in, or an attempt that came to nothing, does not count.
async fn settle(core: &Core, attempt: PasswordAttempt, error: Option<&Error>) -> Result<(), Error> {
    let now = core.now();
    match error {
        None | Some(Error::InvalidCredentials | Error::WrongPassword) => Ok(()),
        Some(Error::AccountDisabled | Error::EmailNotVerified) => {
            core.write_rate_limits(move |limits| attempt.write_correct(limits, now)).await
        }
        Some(_) => {
            let charge = Charge { buckets: attempt.price.buckets().collect(), now };
            core.write_rate_limits(move |limits| charge.refund(limits)).await
        }
    }
}
