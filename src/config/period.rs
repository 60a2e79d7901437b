//! A duration as it is written in the settings: `15m`.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::values::quoted;

/// A duration: a whole number of seconds, minutes, hours or days.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Period(Duration);

const UNITS: [(&str, u64); 4] = [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)];

impl Period {
    #[must_use]
    pub const fn seconds(number: u64) -> Self {
        Self(Duration::from_secs(number))
    }

    #[must_use]
    pub const fn minutes(number: u64) -> Self {
        Self::seconds(number * 60)
    }

    #[must_use]
    pub const fn days(number: u64) -> Self {
        Self::seconds(number * 86_400)
    }

    #[must_use]
    pub const fn get(self) -> Duration {
        self.0
    }
}

impl From<Duration> for Period {
    fn from(duration: Duration) -> Self {
        Self::seconds(duration.as_secs())
    }
}

/// In the largest unit that leaves no remainder.
impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let (unit, length) = UNITS
            .into_iter()
            .find(|(_, length)| seconds > 0 && seconds.is_multiple_of(*length))
            .unwrap_or(("s", 1));
        write!(f, "{}{unit}", seconds / length)
    }
}

impl fmt::Debug for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text is not a duration; the setting or flag that has it puts its name in front.
#[derive(Debug, thiserror::Error)]
#[error("must be a duration such as 30s, 15m, 12h or 2d")]
pub struct NoPeriod;

impl FromStr for Period {
    type Err = NoPeriod;

    fn from_str(text: &str) -> Result<Self, NoPeriod> {
        let parse = || {
            let (unit, length) = UNITS.into_iter().find(|(unit, _)| text.ends_with(unit))?;
            let number = text.strip_suffix(unit)?;
            let number: u64 = number.bytes().all(|b| b.is_ascii_digit()).then(|| number.parse().ok())??;
            // At most a century, so that no sum with it overflows.
            number.checked_mul(length).filter(|seconds| *seconds <= 36_525 * 86_400).map(Self::seconds)
        };
        parse().ok_or(NoPeriod)
    }
}

impl Serialize for Period {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|why| de::Error::custom(format!("{} {why}", quoted(&text))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_read_as_it_is_written() {
        for text in ["0s", "10s", "15m", "12h", "2d", "90d"] {
            assert_eq!(text.parse::<Period>().map(|p| p.to_string()).ok().as_deref(), Some(text));
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in
            ["", "15", "m", "-1m", "+1m", "1.5h", "15 m", "15min", "1w", "99999999999999999999s", "40000d"]
        {
            assert!(text.parse::<Period>().is_err(), "{text}");
        }
    }
}
