//! `/auth/password/forgot`, `/auth/password/reset` and `/me/password`.

use poem_openapi::{Object, OpenApi, types::Example};

use super::{
    ApiResult, Tag,
    answers::{Accepted, NoContent},
    body::Body,
    client::Caller,
    guards::SignedIn,
    verification::{Address, proof},
};
use crate::{
    accounts::Accounts,
    model::{Invalid, Password},
};

pub struct Passwords(pub Accounts);

/// A new password, with what proves whose it is: either `email` and `code`, or `token` alone.
#[derive(Object)]
#[oai(example, skip_serializing_if_is_none)]
struct Reset {
    /// The address that the code was sent to.
    #[oai(validator(max_length = 254))]
    email: Option<String>,
    /// The six digits of the message.
    #[oai(validator(max_length = 64))]
    code: Option<String>,
    /// The token in the link.
    #[oai(validator(max_length = 256))]
    token: Option<String>,
    /// 8 to 256 characters of any kind, by the same rules as at sign-up.
    #[oai(validator(max_length = 256))]
    new_password: String,
}

impl Example for Reset {
    fn example() -> Self {
        let token = Some("vR0mW3q0yXkq9f0cJ2m5Zr7s1uT8aBcDeFgHiJkLmNo".to_owned());
        Self { email: None, code: None, token, new_password: "lungo hums at dawn".to_owned() }
    }
}

/// One password for another.
#[derive(Object)]
#[oai(example)]
struct ChangePassword {
    /// The password until now.
    #[oai(validator(max_length = 256))]
    current_password: String,
    /// 8 to 256 characters of any kind, by the same rules as at sign-up.
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
    /// Ask for a new password
    ///
    /// Sends a six-digit code and a link to choose a new password, if the address has an account. The code lives 30
    /// minutes unless the shop has set another time, the link an hour. The answer is the same for every address, and
    /// nothing about the account changes yet.
    #[oai(
        path = "/auth/password/forgot",
        method = "post",
        operation_id = "forgot_password",
        tag = "Tag::Registration"
    )]
    async fn forgot(&self, from: Caller, body: Body<Address>) -> ApiResult<Accepted> {
        let email = body.check(Address::parse)?;
        self.0.forgot_password(email, from.0).await?;
        Ok(Accepted::Noted)
    }

    /// Choose a new password
    ///
    /// Takes either the address and the six-digit code, or the token of the link, of the message about a forgotten password
    /// or of an invitation. Every session of the user ends, and the address counts as verified, for its owner has read the
    /// message. A new password that breaks a rule does not use the code or link up.
    #[oai(
        path = "/auth/password/reset",
        method = "post",
        operation_id = "reset_password",
        tag = "Tag::Registration"
    )]
    async fn reset(&self, from: Caller, body: Body<Reset>) -> ApiResult<NoContent> {
        let (proof, password) =
            body.check(|reset| Ok((proof(reset.email, reset.code, reset.token)?, reset.new_password)))?;
        self.0.reset_password(proof, password, from.0).await?;
        Ok(NoContent::Done)
    }

    /// Change your password
    ///
    /// Takes the current password and a new one. Your other sessions end, the one that asks goes on; every code and link
    /// that was sent to you dies, and you get a message that it happened. A wrong current password counts like one at a
    /// login.
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
