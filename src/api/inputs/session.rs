//! Bodies of `/auth/login`, `/auth/refresh` and `/auth/logout`.

use poem_openapi::{Object, types::Example};

use crate::domain::{Email, Invalid, Password, Problems, typed::without_spaces};

/// Login credentials.
#[derive(Object)]
#[oai(example)]
pub struct Login {
    /// The e-mail address of the account. Upper and lower case do not differ.
    #[oai(validator(max_length = 254))]
    email: String,
    /// The password of the account.
    #[oai(validator(max_length = 256))]
    password: String,
}

impl Example for Login {
    fn example() -> Self {
        Self { email: "ann@example.com".to_owned(), password: "mocha stirs slowly".to_owned() }
    }
}

/// A refresh token, as a login or a refresh gave it.
#[derive(Object)]
#[oai(example)]
pub struct Refresh {
    /// The latest refresh token of the session.
    #[oai(validator(max_length = 4096))]
    refresh_token: String,
}

impl Example for Refresh {
    fn example() -> Self {
        Self { refresh_token: "eyJ0eXAiOiJydCtqd3QiLCJhbGciOiJFZERTQSJ9.…".to_owned() }
    }
}

impl Login {
    pub fn parse(self) -> Result<(Email, Password), Invalid> {
        let mut problems = Problems::new();
        let email = problems.take(Email::parse("email", &self.email));
        let password = problems.take(Password::parse("password", &self.password));
        problems.finish(email.zip(password))
    }
}

impl Refresh {
    pub fn parse(self) -> Result<String, Invalid> {
        Ok(without_spaces(&self.refresh_token))
    }
}
