//! Bodies of `/auth/password/reset` and `/me/password`.

use poem_openapi::{Object, types::Example};

use super::proof;
use crate::{
    accounts::Proof,
    domain::{Invalid, Password},
};

/// A new password, with the proof that the account belongs to the sender: either `email` and `code`, or `token` alone.
#[derive(Object)]
#[oai(example, skip_serializing_if_is_none)]
pub struct Reset {
    /// The e-mail address that the code was sent to. With `code`.
    #[oai(validator(max_length = 254))]
    email: Option<String>,
    /// The six-digit code in the message. With `email`. Spaces and dashes in it do not count, and the digits may be those of
    /// any script.
    #[oai(validator(max_length = 64))]
    code: Option<String>,
    /// The `token` parameter of the link in the message. Without `email` and `code`. The whole link is accepted,
    /// too, and punctuation around it does not count.
    #[oai(validator(max_length = 2048))]
    token: Option<String>,
    /// The new password: 8 to 256 characters, by the same rules as at sign-up.
    #[oai(validator(max_length = 256))]
    new_password: String,
}

impl Example for Reset {
    fn example() -> Self {
        let token = Some("vR0mW3q0yXkq9f0cJ2m5Zr7s1uT8aBcDeFgHiJkLmNo".to_owned());
        Self { email: None, code: None, token, new_password: "lungo hums at dawn".to_owned() }
    }
}

/// A change of the password.
#[derive(Object)]
#[oai(example)]
pub struct ChangePassword {
    /// The present password.
    #[oai(validator(max_length = 256))]
    current_password: String,
    /// The new password: 8 to 256 characters, by the same rules as at sign-up.
    #[oai(validator(max_length = 256))]
    new_password: String,
}

impl Example for ChangePassword {
    fn example() -> Self {
        Self {
            current_password: "mocha stirs slowly".to_owned(),
            new_password: "lungo hums at dawn".to_owned(),
        }
    }
}

impl Reset {
    pub fn parse(self) -> Result<(Proof, String), Invalid> {
        Ok((proof(self.email, self.code, self.token)?, self.new_password))
    }
}

impl ChangePassword {
    /// The current password and the new one.
    pub fn parse(self) -> Result<(Password, String), Invalid> {
        Ok((current_password(&self.current_password)?, self.new_password))
    }
}

pub fn current_password(typed: &str) -> Result<Password, Invalid> {
    Password::parse("current_password", typed).map_err(|error| Invalid(vec![error]))
}
