//! Setbacks: why a message was not sent, whom that concerns, and how long to wait before the next try.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicI64, AtomicU32, Ordering},
    },
    time::Duration,
};

use super::secret;
use crate::domain::Timestamp;

/// The pause after the first failure; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
/// The longest pause while nothing answers: what waits must leave soon after that ends.
const LONGEST_SILENCE: Duration = Duration::from_secs(40);
/// The longest pause while we are not let in: who knocks too often is shut out for good.
const LONGEST_LOCK: Duration = Duration::from_mins(10);
/// The longest pause of a message that is refused for now: asking again and again would make it no better.
const LONGEST_DEFERRAL: Duration = Duration::from_mins(15);
/// The pause of a message that may have arrived; it doubles with each further attempt.
const FIRST_UNANSWERED: Duration = Duration::from_mins(15);
/// The longest of these.
pub(crate) const LONGEST_UNANSWERED: Duration = Duration::from_hours(1);
/// No message is put off for longer, but for those that may have arrived.
pub(crate) const LONGEST_PAUSE: Duration = LONGEST_DEFERRAL;
/// After so many different mailboxes in a row were refused for now, and none was not, it is the mail server's trouble.
const SEVERAL: usize = 5;

/// Why a message was not sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryError {
    reach: Reach,
    why: String,
    said: Option<String>,
}

/// Which messages have to wait after a setback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spread {
    /// This one alone.
    One,
    /// Every message that was tried before; the first attempts of others go on, and tell when the trouble is over.
    Tried,
    /// Every message.
    All,
}

/// The circuit breaker: how long nothing has been sent at all, and until when nothing is: what is written while we are
/// not let in waits, too, and does not knock.
#[derive(Debug, Default)]
pub(crate) struct CircuitBreaker {
    /// How often nothing was sent since something was, but for the locks.
    setbacks: AtomicU32,
    /// How often we were not let in since something was sent: an outage before that says nothing about the login.
    locks: AtomicU32,
    locked_until: AtomicI64,
    /// The mailboxes whose messages were deferred since something was sent, at most `SEVERAL`.
    deferred: Mutex<Vec<String>>,
    /// The mailboxes that were refused for good since something was sent, at most `SEVERAL`.
    refused: Mutex<Vec<String>>,
}

impl CircuitBreaker {
    pub(crate) fn locked_until(&self) -> Timestamp {
        Timestamp::from_millis(self.locked_until.load(Ordering::Relaxed))
    }

    /// Something was sent.
    pub(crate) fn end(&self) {
        self.setbacks.store(0, Ordering::Relaxed);
        self.locks.store(0, Ordering::Relaxed);
        self.locked_until.store(0, Ordering::Relaxed);
        for mailboxes in [&self.deferred, &self.refused] {
            mailboxes.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
    }

    /// Whether the latest messages to several mailboxes were deferred, and none was sent since.
    pub(crate) fn is_widespread(&self) -> bool {
        self.deferred.lock().unwrap_or_else(PoisonError::into_inner).len() >= SEVERAL
    }

    /// A message to this mailbox was not sent; answers which messages that concerns.
    pub(crate) fn spread(&self, delivery_error: &DeliveryError, mailbox: &str) -> Spread {
        match delivery_error.reach {
            Reach::Silence | Reach::Locked => Spread::All,
            Reach::Refused | Reach::Untried => Spread::One,
            Reach::Deferred | Reach::Unanswered => {
                note(&self.deferred, mailbox);
                if self.is_widespread() { Spread::Tried } else { Spread::One }
            }
        }
    }

    /// A mailbox was refused for good; answers whether it is the one that makes it several in a row.
    pub(crate) fn is_every_one_refused(&self, mailbox: &str) -> bool {
        note(&self.refused, mailbox) == Some(SEVERAL)
    }

    /// Nothing was sent once more; answers until when nothing is.
    pub(crate) fn go_on(&self, delivery_error: &DeliveryError, now: Timestamp) -> Timestamp {
        if delivery_error.reach != Reach::Locked {
            return now + growing(FIRST_PAUSE, one_more(&self.setbacks), LONGEST_SILENCE);
        }
        let until = now + growing(FIRST_PAUSE, one_more(&self.locks), LONGEST_LOCK);
        self.locked_until.store(until.millis(), Ordering::Relaxed);
        until
    }
}

fn one_more(counter: &AtomicU32) -> u32 {
    counter.fetch_add(1, Ordering::Relaxed).saturating_add(1)
}

/// Adds a mailbox to at most `SEVERAL` different ones; answers how many there are, if it is a new one.
fn note(mailboxes: &Mutex<Vec<String>>, mailbox: &str) -> Option<usize> {
    let mut mailboxes = mailboxes.lock().unwrap_or_else(PoisonError::into_inner);
    if mailboxes.len() == SEVERAL || mailboxes.iter().any(|known| known == mailbox) {
        return None;
    }
    mailboxes.push(mailbox.to_owned());
    Some(mailboxes.len())
}

/// What a setback says about this message and about others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    /// This message was not tried.
    Untried,
    /// Nothing answers: no message fares better.
    Silence,
    /// A server answers and does not let us in: no message fares better.
    Locked,
    /// This message is not taken for now.
    Deferred,
    /// This message was handed over, and whether it was taken is not known.
    Unanswered,
    /// This message is not taken, now or later.
    Refused,
}

impl DeliveryError {
    /// The server takes no more connections beside those that are open: this message has to wait for one of them.
    #[must_use]
    pub const fn untried(why: String) -> Self {
        Self { reach: Reach::Untried, why, said: None }
    }

    /// Nothing answered, or not in time: no message would fare better.
    #[must_use]
    pub const fn unreachable(why: String) -> Self {
        Self { reach: Reach::Silence, why, said: None }
    }

    /// Something answered that takes nothing for now: no message would fare better.
    #[must_use]
    pub const fn unwell(why: String, said: Option<String>) -> Self {
        Self { reach: Reach::Silence, why, said }
    }

    /// We were not let in: no message would fare better, and asking often makes it worse.
    #[must_use]
    pub const fn locked(why: String, said: Option<String>) -> Self {
        Self { reach: Reach::Locked, why, said }
    }

    /// This message was not taken for now; others may be.
    #[must_use]
    pub const fn deferred(why: String, said: Option<String>) -> Self {
        Self { reach: Reach::Deferred, why, said }
    }

    /// This message was handed over, and no answer came: it may have arrived.
    #[must_use]
    pub const fn unanswered(why: String) -> Self {
        Self { reach: Reach::Unanswered, why, said: None }
    }

    /// This message was refused for good (RFC 5321, section 4.2.1: 5yz).
    #[must_use]
    pub const fn refused(why: String, said: Option<String>) -> Self {
        Self { reach: Reach::Refused, why, said }
    }

    /// This message cannot be sent by any transport.
    #[must_use]
    pub const fn refusal(why: String) -> Self {
        Self::refused(why, None)
    }

    /// What went wrong, in a sentence without full stop for the log: nothing of the message is in it.
    #[must_use]
    pub fn why(&self) -> &str {
        &self.why
    }

    /// Whether the message was not tried.
    #[must_use]
    pub fn is_untried(&self) -> bool {
        self.reach == Reach::Untried
    }

    /// Whether other messages would fare no better.
    #[must_use]
    pub fn is_transport_wide(&self) -> bool {
        matches!(self.reach, Reach::Silence | Reach::Locked)
    }

    /// Whether no further attempt would fare better.
    #[must_use]
    pub fn is_final(&self) -> bool {
        self.reach == Reach::Refused
    }

    /// What went wrong, with what the other side said, which may name the recipient.
    #[must_use]
    pub fn in_full(&self) -> String {
        const SAID: usize = 300;
        match self.said.as_deref().filter(|said| !said.is_empty()) {
            Some(said) => {
                let said: String =
                    said.chars().map(|c| if c.is_control() { ' ' } else { c }).take(SAID).collect();
                format!("{}; it said: {}", self.why, said.trim())
            }
            None => self.why.clone(),
        }
    }
}

/// How long a message waits after so many attempts.
pub(crate) fn pause(attempts: u32, delivery_error: &DeliveryError, spread: Spread) -> Duration {
    let (first, longest) = match (delivery_error.reach, spread) {
        (Reach::Unanswered, _) => (FIRST_UNANSWERED, LONGEST_UNANSWERED),
        // It waits with all the others, and how often it was tried before says nothing about the login.
        (Reach::Locked, _) => return Duration::ZERO,
        (Reach::Silence, _) | (_, Spread::Tried) => (FIRST_PAUSE, LONGEST_SILENCE),
        (Reach::Untried | Reach::Deferred | Reach::Refused, _) => (FIRST_PAUSE, LONGEST_DEFERRAL),
    };
    growing(first, attempts, longest)
}

/// Longer each time, and never the same for two messages that failed together.
fn growing(first: Duration, times: u32, longest: Duration) -> Duration {
    let pause = (first * 2_u32.pow(times.saturating_sub(1).min(16))).min(longest);
    pause / 2 + pause.mul_f64(f64::from(secret::random::<1>()[0]) / 512.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_the_longest_and_differ() {
        let deferred = || DeliveryError::deferred(String::new(), None);
        for (delivery_error, spread, first, longest) in [
            (DeliveryError::unreachable(String::new()), Spread::All, FIRST_PAUSE, LONGEST_SILENCE),
            (deferred(), Spread::One, FIRST_PAUSE, LONGEST_DEFERRAL),
            (deferred(), Spread::Tried, FIRST_PAUSE, LONGEST_SILENCE),
            (DeliveryError::unanswered(String::new()), Spread::One, FIRST_UNANSWERED, LONGEST_UNANSWERED),
            (DeliveryError::unanswered(String::new()), Spread::Tried, FIRST_UNANSWERED, LONGEST_UNANSWERED),
        ] {
            for (attempts, most) in [(1, first), (2, first * 2), (3, (first * 4).min(longest)), (99, longest)]
            {
                for _ in 0..50 {
                    let pause = pause(attempts, &delivery_error, spread);
                    assert!(most / 2 <= pause && pause <= most, "{attempts}: {pause:?}");
                }
            }
        }
        let pauses: std::collections::HashSet<_> =
            (0..50).map(|_| pause(99, &deferred(), Spread::One)).collect();
        assert!(pauses.len() > 10);
    }

    #[test]
    fn several_mailboxes_in_a_row_are_the_servers_trouble() {
        let (circuit_breaker, deferred) =
            (CircuitBreaker::default(), DeliveryError::deferred(String::new(), None));
        for _ in 0..50 {
            assert_eq!(
                circuit_breaker.spread(&deferred, "one@example.com"),
                Spread::One,
                "one alone never is"
            );
        }
        for number in 1..SEVERAL {
            let expected = if number + 1 < SEVERAL { Spread::One } else { Spread::Tried };
            assert_eq!(
                circuit_breaker.spread(&deferred, &format!("{number}@example.com")),
                expected,
                "{number}"
            );
        }
        assert_eq!(
            circuit_breaker.spread(&DeliveryError::refusal(String::new()), "two@example.com"),
            Spread::One
        );
        circuit_breaker.end();
        assert_eq!(circuit_breaker.spread(&deferred, "one@example.com"), Spread::One, "something was sent");
    }

    #[test]
    fn that_every_recipient_is_refused_is_noticed_once() {
        let circuit_breaker = CircuitBreaker::default();
        let refuse = |number: usize| circuit_breaker.is_every_one_refused(&format!("{number}@example.com"));
        assert_eq!([1, 1, 2, 3, 4, 4, 5, 6, 7].map(refuse), [0, 0, 0, 0, 0, 0, 1, 0, 0].map(|is| is == 1));
        circuit_breaker.end();
        assert_eq!([1, 2, 3, 4, 5].map(refuse), [false, false, false, false, true], "something was sent");
    }

    #[test]
    fn what_went_wrong_is_told_without_what_the_other_side_said() {
        let delivery_error =
            DeliveryError::refused("not taken".to_owned(), Some("550 no ann@example.com".to_owned()));
        assert_eq!(delivery_error.why(), "not taken");
        assert_eq!(delivery_error.in_full(), "not taken; it said: 550 no ann@example.com");
    }
}
