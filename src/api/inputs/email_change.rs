//! The body of `/me/email`.

use poem_openapi::{Object, types::Example};

use super::{
    password::current_password,
    text::{EmailText, PasswordText},
};
use crate::domain::{Email, Invalid, Password, Problems};

/// A change of the e-mail address.
#[derive(Object)]
#[oai(example)]
pub struct ChangeEmail {
    /// The new e-mail address, with at most {email-bytes} bytes.
    new_email: EmailText,
    /// The current password.
    current_password: PasswordText,
}

impl Example for ChangeEmail {
    fn example() -> Self {
        Self { new_email: "ann.smith@example.com".into(), current_password: "mocha stirs slowly".into() }
    }
}

impl ChangeEmail {
    pub fn parse(self) -> Result<(Email, Password), Invalid> {
        let mut errors = Problems::new();
        let new = errors.take(Email::parse("new_email", &self.new_email.0));
        let current = errors.take_from_all(current_password(&self.current_password));
        errors.finish(new.zip(current))
    }
}
