//! Validation errors by field, the same over HTTP and on the command line.

use std::fmt;

/// A field that breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// The name as the caller wrote it.
    pub field: String,
    /// Stable, for programs, such as `too_short`.
    pub code: &'static str,
    /// A sentence for people.
    pub message: String,
}

impl FieldError {
    /// All codes. The API document lists them, and clients may rely on that list.
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

    /// `code` must be one of [`Self::CODES`].
    #[must_use]
    pub fn new(field: impl Into<String>, code: &'static str, message: impl Into<String>) -> Self {
        debug_assert!(Self::CODES.contains(&code), "add the code {code} to the list of codes");
        Self { field: field.into(), code, message: message.into() }
    }
}

/// An input with at least one invalid field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid(pub Vec<FieldError>);

impl Invalid {
    /// Merges errors in the form of an input with the result of checking its values. A field with an error in its form is not
    /// named a second time.
    ///
    /// # Errors
    /// The errors of both.
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

/// All messages in a row.
impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sentences: Vec<_> = self.0.iter().map(|error| error.message.as_str()).collect();
        f.write_str(&sentences.join(" "))
    }
}

impl std::error::Error for Invalid {}

/// Collects the errors of an input, so that the caller gets all at once.
#[derive(Debug, Default)]
pub struct Problems(Vec<FieldError>);

impl Problems {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the value, or `None` and keeps the error.
    pub fn take<T>(&mut self, checked: Result<T, FieldError>) -> Option<T> {
        checked.map_err(|error| self.0.push(error)).ok()
    }

    /// Returns the value, or `None` and keeps its errors.
    pub fn take_from_all<T>(&mut self, checked: Result<T, Invalid>) -> Option<T> {
        checked.map_err(|Invalid(errors)| self.0.extend(errors)).ok()
    }

    /// Returns `build` if there was no error.
    ///
    /// # Errors
    /// All errors that were kept.
    pub fn finish<T>(self, build: Option<T>) -> Result<T, Invalid> {
        match build {
            Some(whole) if self.0.is_empty() => Ok(whole),
            _ => Err(Invalid(self.0)),
        }
    }
}
