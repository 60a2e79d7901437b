//! Setbacks: why a message was not sent, whom that concerns, and how long to wait before the next try.

use std::{
    sync::atomic::{AtomicI64, AtomicU32, Ordering},
    time::Duration,
};

use super::secret;
use crate::model::Timestamp;

/// The pause after the first failure; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
/// The longest pause while nothing answers: what waits must leave soon after that ends.
const LONGEST_SILENCE: Duration = Duration::from_secs(40);
/// The longest pause while we are not let in: who knocks too often is shut out for good.
const LONGEST_LOCK: Duration = Duration::from_mins(10);
/// The longest pause after a refusal: asking again and again would make it no better, and what waits behind it for the
/// same address carries a code.
const LONGEST_REFUSAL: Duration = Duration::from_mins(15);
/// No message is put off for longer.
pub(super) const LONGEST_PAUSE: Duration = LONGEST_REFUSAL;

/// Why a message was not sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setback {
    reach: Reach,
    why: String,
    said: Option<String>,
}

/// How long nothing has been sent at all, and until when nothing is: what is written while we are not let in waits, too,
/// and does not knock.
#[derive(Debug, Default)]
pub(super) struct Standstill {
    setbacks: AtomicU32,
    locked_until: AtomicI64,
}

impl Standstill {
    pub(super) fn locked_until(&self) -> Timestamp {
        Timestamp::from_millis(self.locked_until.load(Ordering::Relaxed))
    }

    /// Something was sent.
    pub(super) fn end(&self) {
        self.setbacks.store(0, Ordering::Relaxed);
        self.locked_until.store(0, Ordering::Relaxed);
    }

    /// Nothing was sent once more; answers until when nothing is.
    pub(super) fn go_on(&self, setback: &Setback, now: Timestamp) -> Timestamp {
        let setbacks = self.setbacks.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        let until = now + pause(setbacks, setback);
        if setback.reach == Reach::Locked {
            self.locked_until.store(until.millis(), Ordering::Relaxed);
        }
        until
    }
}

/// Whom a setback concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    /// Every message, because nothing answers.
    Silence,
    /// Every message, because somebody answers and does not let us in.
    Locked,
    /// This message alone.
    Refusal,
}

impl Setback {
    /// Nothing answered, or not in time: no message would fare better.
    #[must_use]
    pub const fn silence(why: String) -> Self {
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

    /// This message was not taken.
    #[must_use]
    pub const fn refused(why: String, said: Option<String>) -> Self {
        Self { reach: Reach::Refusal, why, said }
    }

    /// This message cannot be sent, whoever would take it.
    #[must_use]
    pub const fn refusal(why: String) -> Self {
        Self::refused(why, None)
    }

    /// What went wrong, in a sentence without full stop for the log: nothing of the message is in it.
    #[must_use]
    pub fn why(&self) -> &str {
        &self.why
    }

    /// Whether other messages would fare no better.
    #[must_use]
    pub fn concerns_all(&self) -> bool {
        self.reach != Reach::Refusal
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

/// How long to wait after so many attempts: longer each time, and never the same for two messages that failed together.
pub(super) fn pause(attempts: u32, setback: &Setback) -> Duration {
    let longest = match setback.reach {
        Reach::Silence => LONGEST_SILENCE,
        Reach::Locked => LONGEST_LOCK,
        Reach::Refusal => LONGEST_REFUSAL,
    };
    let pause = (FIRST_PAUSE * 2_u32.pow(attempts.saturating_sub(1).min(16))).min(longest);
    pause / 2 + pause.mul_f64(f64::from(secret::random::<1>()[0]) / 512.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_the_longest_and_differ() {
        for (setback, longest) in [
            (Setback::silence(String::new()), LONGEST_SILENCE),
            (Setback::locked(String::new(), None), LONGEST_LOCK),
            (Setback::refusal(String::new()), LONGEST_REFUSAL),
        ] {
            for (attempts, most) in
                [(1, FIRST_PAUSE), (2, FIRST_PAUSE * 2), (3, FIRST_PAUSE * 4), (99, longest)]
            {
                for _ in 0..50 {
                    let pause = pause(attempts, &setback);
                    assert!(most / 2 <= pause && pause <= most, "{attempts}: {pause:?}");
                }
            }
        }
        let pauses: std::collections::HashSet<_> =
            (0..50).map(|_| pause(99, &Setback::refusal(String::new()))).collect();
        assert!(pauses.len() > 10);
    }

    #[test]
    fn what_went_wrong_is_told_without_what_the_other_side_said() {
        let setback = Setback::refused("not taken".to_owned(), Some("550 no ann@example.com".to_owned()));
        assert_eq!(setback.why(), "not taken");
        assert_eq!(setback.in_full(), "not taken; it said: 550 no ann@example.com");
    }
}
