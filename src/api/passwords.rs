//! `/auth/password/forgot` and `/auth/password/reset`.

use poem_openapi::{Object, OpenApi, types::Example};

use super::{
    ApiResult, Tag,
    answers::{Accepted, NoContent},
    body::Body,
    client::Caller,
    verification::{Address, proof},
};
use crate::accounts::Accounts;

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

#[OpenApi(tag = "Tag::Registration")]
impl Passwords {
    /// Ask for a new password
    ///
    /// Sends a six-digit code and a link to choose a new password, if the address has an account. The code lives 30
    /// minutes, the link an hour. The answer is the same for every address, and nothing about the account changes yet.
    #[oai(path = "/auth/password/forgot", method = "post", operation_id = "forgot_password")]
    async fn forgot(&self, from: Caller, body: Body<Address>) -> ApiResult<Accepted> {
        let email = body.check(Address::parse)?;
        self.0.forgot_password(email, from.0).await?;
        Ok(Accepted::Noted)
    }

    /// Choose a new password
    ///
    /// Takes either the address and the six-digit code, or the token of the link. Every session of the user ends, and
    /// the address counts as verified, for its owner has read the message. A new password that breaks a rule does not use
    /// the code or link up.
    #[oai(path = "/auth/password/reset", method = "post", operation_id = "reset_password")]
    async fn reset(&self, from: Caller, body: Body<Reset>) -> ApiResult<NoContent> {
        let (proof, password) =
            body.check(|reset| Ok((proof(reset.email, reset.code, reset.token)?, reset.new_password)))?;
        self.0.reset_password(proof, password, from.0).await?;
        Ok(NoContent::Done)
    }
}
