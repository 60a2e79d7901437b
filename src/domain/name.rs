//! A first or last name.

use unicode_normalization::UnicodeNormalization;

use super::{FieldError, typed};

/// 1 to 100 characters in NFC, without needless invisible ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name(String);

impl Name {
    pub const MAX_CHARS: usize = 100;

    /// Parses the value of `field`; drops spaces around it.
    ///
    /// # Errors
    /// `empty`, `too_long`, or `forbidden_character` for an invisible one that neither its script nor an emoji needs.
    pub fn parse(field: &'static str, typed: &str) -> Result<Self, FieldError> {
        let name = typed::trimmed(&typed.nfc().collect::<String>());
        if name.is_empty() {
            let message = format!("The field {field} must not be empty; leave it out or send null instead.");
            return Err(FieldError::new(field, "empty", message));
        }
        if name.chars().count() > Self::MAX_CHARS {
            let message = format!("The field {field} must have at most {} characters.", Self::MAX_CHARS);
            return Err(FieldError::new(field, "too_long", message));
        }
        if let Some(hidden) = typed::needless_invisible(&name) {
            let message =
                format!("The field {field} must not contain {}.", typed::describe_invisible(hidden));
            return Err(FieldError::new(field, "forbidden_character", message));
        }
        Ok(Self(name))
    }

    /// A name from the store, which is not checked again.
    #[must_use]
    pub fn stored(name: String) -> Self {
        Self(name)
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_many_peoples_are_kept_as_they_are() {
        for name in
            ["Ann", "Anne-Marie", "O'Neill", "Łukasz", "محمد", "山田", "Nguyễn Thị", "نرگس\u{200c}خاتون"]
        {
            assert_eq!(Name::parse("first_name", name).map(|n| n.as_str().to_owned()), Ok(name.to_owned()));
        }
    }

    #[test]
    fn needless_invisible_characters_are_refused() {
        for name in ["a\nb", "a\u{0}b", "a\u{202e}b", "a\u{200b}b"] {
            assert_eq!(
                Name::parse("last_name", name).map_err(|e| e.code),
                Err("forbidden_character"),
                "{name:?}"
            );
        }
    }

    #[test]
    fn length_is_counted_in_characters() {
        assert!(Name::parse("first_name", &"é".repeat(100)).is_ok());
        assert_eq!(Name::parse("first_name", &"é".repeat(101)).map_err(|e| e.code), Err("too_long"));
        assert_eq!(Name::parse("first_name", "  ").map_err(|e| e.code), Err("empty"));
    }
}
