//! Bodies of `/auth/password/reset` and `/me/password`.

use poem_openapi::{Object, types::Example};

use super::{
    proof,
    text::{CodeText, EmailText, LinkText, PasswordText},
};
use crate::{
    core::Proof,
    domain::{Invalid, Password},
};

/// A new password, and the proof that the sender reads the messages to the account: either `email` and `code`, or `token`
/// alone.
#[derive(Object)]
#[oai(example, skip_serializing_if_is_none)]
pub struct Reset {
    /// The e-mail address the code was sent to. Required with `code`.
    email: Option<EmailText>,
    /// The {code-digits}-digit code in the message. Requires `email`. Spaces and punctuation are ignored, and the digits
    /// can be those of any script.
    code: Option<CodeText>,
    /// The parameter `token` of the link in the message, or the whole link. Excludes `email` and `code`. Punctuation around
    /// it is ignored.
    token: Option<LinkText>,
    /// The new password: {password-min} to {password-max} characters, with the same rules as at sign-up.
    new_password: PasswordText,
}

impl Example for Reset {
    fn example() -> Self {
        let token = Some("vR0mW3q0yXkq9f0cJ2m5Zr7s1uT8aBcDeFgHiJkLmNo".into());
        Self { email: None, code: None, token, new_password: "lungo hums at dawn".into() }
    }
}

/// A change of the password.
#[derive(Object)]
#[oai(example)]
pub struct ChangePassword {
    /// The current password.
    current_password: PasswordText,
    /// The new password: {password-min} to {password-max} characters, with the same rules as at sign-up.
    new_password: PasswordText,
}

impl Example for ChangePassword {
    fn example() -> Self {
        Self { current_password: "mocha stirs slowly".into(), new_password: "lungo hums at dawn".into() }
    }
}

impl Reset {
    pub fn parse(self) -> Result<(Proof, String), Invalid> {
        Ok((proof(self.email, self.code, self.token)?, self.new_password.0))
    }
}

impl ChangePassword {
    /// The current password and the new one.
    pub fn parse(self) -> Result<(Password, String), Invalid> {
        Ok((current_password(&self.current_password)?, self.new_password.0))
    }
}

pub fn current_password(typed: &PasswordText) -> Result<Password, Invalid> {
    Password::parse("current_password", &typed.0).map_err(|error| Invalid(vec![error]))
}
