//! The circuit breaker: pauses sending while every message would fail.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicI64, AtomicU32, Ordering},
    },
    time::Duration,
};

use super::{
    delivery_error::{DeliveryError, Kind},
    retry::{FIRST_PAUSE, LONGEST_OUTAGE_PAUSE, Scope, back_off},
};
use crate::domain::Timestamp;

/// The longest pause while the login is rejected: repeated failed logins can get the account blocked.
const LONGEST_AUTH_PAUSE: Duration = Duration::from_mins(10);
/// After this many different mailboxes in a row were deferred, the server is taken to be failing, not the messages.
const MANY_MAILBOXES: usize = 5;

/// What has failed since the last message was sent.
#[derive(Debug, Default)]
pub struct CircuitBreaker {
    outages: AtomicU32,
    /// Counted apart from the outages, which say nothing about the login.
    auth_rejections: AtomicU32,
    /// In milliseconds; 0 if closed.
    open_until: AtomicI64,
    /// At most `MANY_MAILBOXES`.
    deferred_mailboxes: Mutex<Vec<String>>,
    /// At most `MANY_MAILBOXES`.
    rejected_mailboxes: Mutex<Vec<String>>,
}

/// What a failure does to other messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Impact {
    pub scope: Scope,
    /// Until when the messages in `scope` wait, if there are others in it.
    pub others_wait_until: Option<Timestamp>,
}

impl CircuitBreaker {
    /// Records that a message was not sent.
    pub fn record_failure(
        &self,
        error: &DeliveryError,
        mailbox: &str,
        attempts: u32,
        now: Timestamp,
    ) -> Impact {
        let scope = self.scope(error, mailbox);
        let is_for_others = match scope {
            Scope::Message => false,
            // A failed first attempt only shows that the outage goes on: it must not postpone the retries.
            Scope::Retries => attempts > 1,
            Scope::All => true,
        };
        let others_wait_until = is_for_others.then(|| now + self.pause(error, now));
        Impact { scope, others_wait_until }
    }

    /// Records that a message was rejected for good. Returns whether it completes `MANY_MAILBOXES` different ones in a row.
    pub fn record_rejection(&self, mailbox: &str) -> bool {
        note(&self.rejected_mailboxes, mailbox) == Some(MANY_MAILBOXES)
    }

    /// Records that a message was sent.
    pub fn reset(&self) {
        self.outages.store(0, Ordering::Relaxed);
        self.auth_rejections.store(0, Ordering::Relaxed);
        self.open_until.store(0, Ordering::Relaxed);
        for mailboxes in [&self.deferred_mailboxes, &self.rejected_mailboxes] {
            mailboxes.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
    }

    /// Until when nothing is sent because the login was rejected; in the past if the breaker is closed.
    pub fn open_until(&self) -> Timestamp {
        Timestamp::from_millis(self.open_until.load(Ordering::Relaxed))
    }

    /// Whether messages to many mailboxes in a row were deferred, so that one retry at a time is enough to see when the server
    /// is back.
    pub fn is_half_open(&self) -> bool {
        self.deferred_mailboxes.lock().unwrap_or_else(PoisonError::into_inner).len() >= MANY_MAILBOXES
    }

    fn scope(&self, error: &DeliveryError, mailbox: &str) -> Scope {
        match error.kind {
            Kind::Unreachable | Kind::Unavailable | Kind::AuthRejected => Scope::All,
            Kind::Rejected | Kind::NotAttempted => Scope::Message,
            Kind::Deferred | Kind::Unconfirmed => {
                note(&self.deferred_mailboxes, mailbox);
                if self.is_half_open() { Scope::Retries } else { Scope::Message }
            }
        }
    }

    fn pause(&self, error: &DeliveryError, now: Timestamp) -> Duration {
        if error.kind != Kind::AuthRejected {
            return back_off(FIRST_PAUSE, increment(&self.outages), LONGEST_OUTAGE_PAUSE);
        }
        let pause = back_off(FIRST_PAUSE, increment(&self.auth_rejections), LONGEST_AUTH_PAUSE);
        self.open_until.store((now + pause).millis(), Ordering::Relaxed);
        pause
    }
}

fn increment(counter: &AtomicU32) -> u32 {
    counter.fetch_add(1, Ordering::Relaxed).saturating_add(1)
}

/// Adds a mailbox to at most `MANY_MAILBOXES` different ones. Returns how many there are, if it was added.
fn note(mailboxes: &Mutex<Vec<String>>, mailbox: &str) -> Option<usize> {
    let mut mailboxes = mailboxes.lock().unwrap_or_else(PoisonError::into_inner);
    if mailboxes.len() == MANY_MAILBOXES || mailboxes.iter().any(|known| known == mailbox) {
        return None;
    }
    mailboxes.push(mailbox.to_owned());
    Some(mailboxes.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(0);

    #[test]
    fn many_deferred_mailboxes_in_a_row_concern_all_retries() {
        let breaker = CircuitBreaker::default();
        let deferred = DeliveryError::deferred(String::new(), None);
        let scope =
            |error: &DeliveryError, mailbox: &str| breaker.record_failure(error, mailbox, 2, NOW).scope;
        for _ in 0..50 {
            assert_eq!(scope(&deferred, "one@example.com"), Scope::Message, "one mailbox never does");
        }
        for number in 1..MANY_MAILBOXES {
            let expected = if number + 1 < MANY_MAILBOXES { Scope::Message } else { Scope::Retries };
            assert_eq!(scope(&deferred, &format!("{number}@example.com")), expected, "{number}");
        }
        let rejected = DeliveryError::rejected(String::new(), None);
        assert_eq!(scope(&rejected, "two@example.com"), Scope::Message);
        breaker.reset();
        assert_eq!(scope(&deferred, "one@example.com"), Scope::Message, "a message was sent");
    }

    #[test]
    fn that_every_recipient_is_rejected_is_noticed_once() {
        let breaker = CircuitBreaker::default();
        let reject = |number: usize| breaker.record_rejection(&format!("{number}@example.com"));
        assert_eq!([1, 1, 2, 3, 4, 4, 5, 6, 7].map(reject), [0, 0, 0, 0, 0, 0, 1, 0, 0].map(|is| is == 1));
        breaker.reset();
        assert_eq!([1, 2, 3, 4, 5].map(reject), [false, false, false, false, true], "a message was sent");
    }
}
