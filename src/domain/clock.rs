//! Time as a value: everything asks a `Clock`, so that tests can move it by hand.

use std::{
    fmt,
    ops::{Add, Sub},
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use chrono::{DateTime, Datelike, SecondsFormat, Timelike};
use serde::{Deserialize, Serialize};

/// An instant: milliseconds since the Unix epoch, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The instant `millis` milliseconds after the Unix epoch.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// The instant `seconds` seconds after the Unix epoch.
    #[must_use]
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since the Unix epoch, rounded down: the `NumericDate` of RFC 7519, section 2.
    #[must_use]
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// How long after `earlier` this is; zero if it is not after it.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// How far this is from `other`, whichever comes first.
    ///
    /// An instant that was written down can lie in the future, if the clock was set back since.
    #[must_use]
    pub const fn distance(self, other: Self) -> Duration {
        Duration::from_millis(self.0.abs_diff(other.0))
    }
}

/// RFC 3339 in UTC with milliseconds, as everywhere outside: `2026-11-22T09:30:00.000Z`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = DateTime::from_timestamp_millis(self.0).unwrap_or(DateTime::UNIX_EPOCH);
        let Ok(year @ 0..=9999) = u32::try_from(time.year()) else {
            return f.write_str(&time.to_rfc3339_opts(SecondsFormat::Millis, true));
        };
        // Digit by digit: a page of users has two hundred of these, and by the general way they take a tenth of it.
        let mut text = *b"0000-00-00T00:00:00.000Z";
        let parts = [
            (0..4, year),
            (5..7, time.month()),
            (8..10, time.day()),
            (11..13, time.hour()),
            (14..16, time.minute()),
            (17..19, time.second()),
            (20..23, time.timestamp_subsec_millis()),
        ];
        for (place, mut number) in parts {
            for digit in text[place].iter_mut().rev() {
                *digit += u8::try_from(number % 10).unwrap_or(0);
                number /= 10;
            }
        }
        f.write_str(str::from_utf8(&text).unwrap_or_default())
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(millis(duration)))
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Self;

    fn sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(millis(duration)))
    }
}

/// Where the time comes from: the system, or a hand that moves it.
#[derive(Clone, Debug)]
pub struct Clock(Option<Arc<AtomicI64>>);

impl Clock {
    /// The machine's clock.
    #[must_use]
    pub const fn system() -> Self {
        Self(None)
    }

    /// A clock that stands at `start` until it is moved; clones move together.
    #[must_use]
    pub fn by_hand(start: Timestamp) -> Self {
        Self(Some(Arc::new(AtomicI64::new(start.0))))
    }

    /// The present instant.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Some(hand) => Timestamp(hand.load(Ordering::SeqCst)),
            None => system_now(),
        }
    }

    /// Moves a clock that stands by hand forward; the machine's clock is not moved.
    pub fn advance(&self, by: Duration) {
        if let Some(hand) = &self.0 {
            hand.fetch_add(millis(by), Ordering::SeqCst);
        }
    }

    /// Moves a clock that stands by hand back; the machine's clock is not moved.
    pub fn set_back(&self, by: Duration) {
        if let Some(hand) = &self.0 {
            hand.fetch_sub(millis(by), Ordering::SeqCst);
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the one place that asks the machine")]
fn system_now() -> Timestamp {
    // A machine whose clock stands before 1970 counts as standing at 1970.
    Timestamp(millis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()))
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_prints_rfc_3339_with_milliseconds() {
        assert_eq!(Timestamp::from_millis(1_795_339_800_007).to_string(), "2026-11-22T09:30:00.007Z");
        let by_chrono = |millis| {
            let time = DateTime::from_timestamp_millis(millis).expect("in range");
            time.to_rfc3339_opts(SecondsFormat::Millis, true)
        };
        for step in -200..=400 {
            let millis = step * 977_654_321_987;
            assert_eq!(Timestamp::from_millis(millis).to_string(), by_chrono(millis));
        }
    }

    #[test]
    fn seconds_round_down_before_the_epoch_too() {
        assert_eq!(Timestamp::from_millis(-1).seconds(), -1);
        assert_eq!(Timestamp::from_millis(1999).seconds(), 1);
    }

    #[test]
    fn clones_of_a_clock_by_hand_move_together() {
        let clock = Clock::by_hand(Timestamp::from_millis(5));
        clock.clone().advance(Duration::from_millis(7));
        assert_eq!(clock.now(), Timestamp::from_millis(12));
    }
}
