//! What is wrong with an input, field by field, said once for HTTP and the command line alike.

use std::fmt;

/// One field that breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// The field's name as the caller wrote it.
    pub field: String,
    /// A stable word for programs, such as `too_short`.
    pub code: &'static str,
    /// A sentence for people.
    pub message: String,
}

impl FieldError {
    /// Every code that there is. The API document lists them, so that clients can rely on the list.
    pub const CODES: [&str; 17] = [
        "required",
        "unknown_field",
        "duplicate_field",
        "conflict",
        "wrong_type",
        "unknown_value",
        "empty",
        "too_short",
        "too_long",
        "out_of_range",
        "forbidden_character",
        "invalid_email",
        "too_common",
        "unchanged",
        "unknown_parameter",
        "duplicate_parameter",
        "invalid_cursor",
    ];

    /// A problem with `field`. The code must be one of [`Self::CODES`].
    #[must_use]
    pub fn new(field: impl Into<String>, code: &'static str, message: impl Into<String>) -> Self {
        debug_assert!(Self::CODES.contains(&code), "add the code {code} to the list of codes");
        Self { field: field.into(), code, message: message.into() }
    }
}

/// An input that breaks at least one rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid(pub Vec<FieldError>);

impl Invalid {
    /// What was checked, together with what was wrong with its form already. A field that is named there is not named a
    /// second time.
    ///
    /// # Errors
    /// Everything that is wrong with either.
    pub fn with_malformed<T>(mut malformed: Vec<FieldError>, checked: Result<T, Self>) -> Result<T, Self> {
        match checked {
            Ok(checked) if malformed.is_empty() => return Ok(checked),
            Ok(_) => {}
            Err(Self(found)) => {
                let new = |error: &FieldError| malformed.iter().all(|other| other.field != error.field);
                let found: Vec<_> = found.into_iter().filter(new).collect();
                malformed.extend(found);
            }
        }
        Err(Self(malformed))
    }
}

/// All sentences in a row.
impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sentences: Vec<_> = self.0.iter().map(|error| error.message.as_str()).collect();
        f.write_str(&sentences.join(" "))
    }
}

impl std::error::Error for Invalid {}

/// Gathers the problems of one input, so that a caller hears of all of them at once.
#[derive(Debug, Default)]
pub struct Problems(Vec<FieldError>);

impl Problems {
    /// Nothing found yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The value, or `None` after noting down what is wrong with it.
    pub fn take<T>(&mut self, checked: Result<T, FieldError>) -> Option<T> {
        checked.map_err(|error| self.0.push(error)).ok()
    }

    /// The value, or `None` after noting down everything that is wrong with it.
    pub fn take_from_all<T>(&mut self, checked: Result<T, Invalid>) -> Option<T> {
        checked.map_err(|Invalid(errors)| self.0.extend(errors)).ok()
    }

    /// `build`s the whole from its parts, all of which are there if no problem was noted down.
    ///
    /// # Errors
    /// Every problem noted down.
    pub fn finish<T>(self, build: Option<T>) -> Result<T, Invalid> {
        match build {
            Some(whole) if self.0.is_empty() => Ok(whole),
            _ => Err(Invalid(self.0)),
        }
    }
}
