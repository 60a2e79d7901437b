//! Bodies of `/auth/login`, `/auth/refresh` and `/auth/logout`.

use poem_openapi::{Object, types::Example};

use super::text::{EmailText, PasswordText, RefreshTokenText};
use crate::domain::{Email, Invalid, Password, Problems, typed::without_spaces};

/// Login credentials.
#[derive(Object)]
#[oai(example)]
pub struct Login {
    /// The e-mail address of the account. Upper and lower case do not differ.
    email: EmailText,
    /// The password of the account.
    password: PasswordText,
}

impl Example for Login {
    fn example() -> Self {
        Self { email: "ann@example.com".into(), password: "mocha stirs slowly".into() }
    }
}

/// A refresh token.
#[derive(Object)]
#[oai(example)]
pub struct Refresh {
    /// The latest refresh token of the session.
    refresh_token: RefreshTokenText,
}

impl Example for Refresh {
    fn example() -> Self {
        Self { refresh_token: "eyJ0eXAiOiJydCtqd3QiLCJhbGciOiJFZERTQSJ9.…".into() }
    }
}

impl Login {
    pub fn parse(self) -> Result<(Email, Password), Invalid> {
        let mut errors = Problems::new();
        let email = errors.take(Email::parse("email", &self.email.0));
        let password = errors.take(Password::parse("password", &self.password.0));
        errors.finish(email.zip(password))
    }
}

impl Refresh {
    pub fn token(&self) -> String {
        without_spaces(&self.refresh_token.0)
    }
}
