//! `/auth/password/forgot`, `/auth/password/reset` and `/me/password`.

use poem_openapi::OpenApi;

use super::{
    ApiResult, Tag,
    answers::{Accepted, NoContent},
    body::Body,
    guards::SignedIn,
    inputs::{Address, ChangePassword, Reset},
};
use crate::{accounts::Accounts, http::RequestOrigin};

pub struct Passwords(pub Accounts);

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
        let (proof, password) = body.check(Reset::parse)?;
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
        let (current, new) = body.check(ChangePassword::parse)?;
        self.0.change_password(&who.0, current, &new).await?;
        Ok(NoContent::Done)
    }
}
