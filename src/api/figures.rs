//! The numbers that the texts of the document quote, taken from the settings and from the code that applies them.

use std::time::Duration;

use serde_json::Value;

use crate::{
    config::Config,
    core::{
        EXPORTS,
        settings::{CODE_TRIES, MAX_CODES, MAX_EXPORTED_EVENTS, MAX_SESSIONS, RESET_TTL},
    },
    domain::{Email, Name, Password, PlainCode},
    http::{MAX_BODY_BYTES, MAX_USER_AGENT_CHARS},
};

/// In descending order.
const UNITS: [(&str, u64); 4] = [("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1)];

/// Each placeholder, such as `{code-ttl}`, with its text.
pub struct Figures(Vec<(&'static str, String)>);

impl Figures {
    pub fn new(config: &Config) -> Self {
        Self(vec![
            ("{audit-retention}", duration(config.audit.retention.get())),
            ("{body-kib}", format!("{} KiB", MAX_BODY_BYTES / 1024)),
            ("{code-digits}", PlainCode::DIGITS.to_string()),
            ("{code-tries}", CODE_TRIES.to_string()),
            ("{code-ttl}", duration(config.verification.code_ttl.get())),
            ("{email-bytes}", Email::MAX_BYTES.to_string()),
            ("{export-burst}", EXPORTS.burst.to_string()),
            ("{export-events}", MAX_EXPORTED_EVENTS.to_string()),
            ("{export-refill}", duration(EXPORTS.refill)),
            ("{max-codes}", MAX_CODES.to_string()),
            ("{max-sessions}", MAX_SESSIONS.to_string()),
            ("{name-chars}", Name::MAX_CHARS.to_string()),
            ("{password-max}", Password::MAX_CHARS.to_string()),
            ("{password-min}", config.password.min_length.to_string()),
            ("{reset-ttl}", duration(RESET_TTL)),
            ("{reuse-grace}", duration(config.auth.reuse_grace.get())),
            ("{unverified-after}", duration(config.cleanup.unverified_after.get())),
            ("{user-agent-chars}", MAX_USER_AGENT_CHARS.to_string()),
        ])
    }

    /// Replaces the placeholders in all descriptions within `value`.
    pub fn fill_in(&self, value: &mut Value) {
        match value {
            Value::Object(members) => {
                for (name, member) in members {
                    match member {
                        Value::String(text) if name == "description" => *text = self.filled_in(text),
                        member => self.fill_in(member),
                    }
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.fill_in(item)),
            _ => {}
        }
    }

    fn filled_in(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (placeholder, figure)| text.replace(placeholder, figure))
    }
}

/// A duration in the largest unit that divides it, such as `30 minutes`.
fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let divides = |(_, length): &(&str, u64)| seconds > 0 && seconds.is_multiple_of(*length);
    let (unit, length) = UNITS.into_iter().find(divides).unwrap_or(("second", 1));
    match seconds / length {
        1 => format!("1 {unit}"),
        number => format!("{number} {unit}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_named_in_the_largest_unit_that_divides_it() {
        for (seconds, words) in [
            (0, "0 seconds"),
            (1, "1 second"),
            (90, "90 seconds"),
            (1_800, "30 minutes"),
            (3_600, "1 hour"),
            (172_800, "2 days"),
        ] {
            assert_eq!(duration(Duration::from_secs(seconds)), words);
        }
    }
}
