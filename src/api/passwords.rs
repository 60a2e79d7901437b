//! `/auth/password/forgot`, `/auth/password/reset` and `/me/password`.

use poem_openapi::{Object, OpenApi, types::Example};

use super::{
    ApiResult, Tag,
    answers::{Accepted, NoContent},
    body::Body,
    guards::SignedIn,
    verification::{Address, proof},
};
use crate::{
    accounts::Accounts,
    domain::{Invalid, Password},
    http::RequestOrigin,
};

pub struct Passwords(pub Accounts);

/// A new password, with the proof that the account belongs to the sender: either `email` and `code`, or `token` alone.
#[derive(Object)]
#[oai(example, skip_serializing_if_is_none)]
struct Reset {
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
struct ChangePassword {
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

#[OpenApi]
impl Passwords {
    /// Request a password reset
    ///
    /// Sends a six-digit code and a link to choose a new password, if the address has an account. The code is valid for 30
    /// minutes unless the shop has set another time, the link for an hour. Nothing about the account changes until one of
    /// them is used with `POST /auth/password/reset`. The answer is always `202`, so that it does not reveal which
    /// addresses have an account. How many messages one address and one client can cause is limited (`429`).
    #[oai(
        path = "/auth/password/forgot",
        method = "post",
        operation_id = "forgot_password",
        tag = "Tag::Registration"
    )]
    async fn forgot(&self, from: RequestOrigin, body: Body<Address>) -> ApiResult<Accepted> {
        let email = body.check(Address::parse)?;
        self.0.forgot_password(email, from.0).await?;
        Ok(Accepted::Noted)
    }

    /// Reset the password
    ///
    /// Sets a new password with the code or the link of a message: after `POST /auth/password/forgot`, or of an
    /// invitation. Every session of the user ends, and the e-mail address counts as verified, because its owner has read
    /// the message. The code or link works once; a new password that breaks a rule (`422`) does not use it up. A code or
    /// token that is wrong, used, expired, unknown or tried too often gets `400 verification_failed`.
    #[oai(
        path = "/auth/password/reset",
        method = "post",
        operation_id = "reset_password",
        tag = "Tag::Registration"
    )]
    async fn reset(&self, from: RequestOrigin, body: Body<Reset>) -> ApiResult<NoContent> {
        let (proof, password) =
            body.check(|reset| Ok((proof(reset.email, reset.code, reset.token)?, reset.new_password)))?;
        self.0.reset_password(proof, password, from.0).await?;
        Ok(NoContent::Done)
    }

    /// Change your password
    ///
    /// Takes the current password and a new one. Your other sessions end, while the one that this request belongs to goes
    /// on. Every code and link that was sent to you is no longer valid, and you get a message about the change. A wrong
    /// current password gets `401 invalid_credentials` and counts towards the limit on failed logins (`429`).
    #[oai(path = "/me/password", method = "post", operation_id = "change_password", tag = "Tag::OwnAccount")]
    async fn change(&self, who: SignedIn, body: Body<ChangePassword>) -> ApiResult<NoContent> {
        let (current, new) =
            body.check(|change| Ok((current_password(&change.current_password)?, change.new_password)))?;
        self.0.change_password(&who.0, current, &new).await?;
        Ok(NoContent::Done)
    }
}

/// The password that whoever is signed in gives once more.
pub fn current_password(typed: &str) -> Result<Password, Invalid> {
    Password::parse("current_password", typed).map_err(|error| Invalid(vec![error]))
}
