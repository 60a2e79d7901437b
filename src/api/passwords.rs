//! `/auth/password/forgot`, `/auth/password/reset` and `/me/password`.

use poem_openapi::OpenApi;

use super::{
    answers::{Accepted, NoContent},
    body::Body,
    guards::Authenticated,
    inputs::{Address, ChangePassword, Reset},
    tags::Tag,
};
use crate::{
    accounts,
    http::{ApiResult, RequestOrigin},
};

pub struct Passwords(pub accounts::Passwords);

#[OpenApi]
impl Passwords {
    /// Request a password reset
    ///
    /// Sends a code and a link to choose a new password, if the address has an account that is not disabled. The code is
    /// valid for {code-ttl}, the link for {reset-ttl}. The account does not change until one of them is used with `POST
    /// /auth/password/reset`.
    ///
    /// The answer does not tell whether the address has an account.
    ///
    /// Errors:
    /// - `429 too_many_requests`: the client has caused too many messages.
    #[oai(
        path = "/auth/password/forgot",
        method = "post",
        operation_id = "forgot_password",
        tag = "Tag::Registration"
    )]
    async fn forgot(&self, origin: RequestOrigin, body: Body<Address>) -> ApiResult<Accepted> {
        let email = body.check(Address::parse)?;
        self.0.request_reset(email, origin.0).await?;
        Ok(Accepted::Hidden)
    }

    /// Reset the password
    ///
    /// Sets a new password with the code or the link of a message: of one that `POST /auth/password/forgot` sent, or of an
    /// invitation. All sessions of the user end, and the e-mail address counts as verified, because its owner has read the
    /// message. The code or link works once; a new password that breaks a rule (`422`) does not use it up.
    ///
    /// Errors:
    /// - `400 verification_failed`: the code or token is wrong, used, expired or unknown, or was tried too often. The
    ///   answer is the same in each case.
    /// - `429 too_many_requests`: the client has tried too many wrong codes or new passwords.
    #[oai(
        path = "/auth/password/reset",
        method = "post",
        operation_id = "reset_password",
        tag = "Tag::Registration"
    )]
    async fn reset(&self, origin: RequestOrigin, body: Body<Reset>) -> ApiResult<NoContent> {
        let (proof, password) = body.check(Reset::parse)?;
        self.0.reset(proof, password, origin.0).await?;
        Ok(NoContent::Done)
    }

    /// Change your password
    ///
    /// Replaces the current password by a new one. All other sessions of the user end; the current one goes on. Codes and
    /// links that were sent before are no longer valid. A verified user gets a message about the change, an unverified one a
    /// new code and link.
    ///
    /// Errors:
    /// - `401 invalid_credentials`: the current password is wrong. This counts towards the limit on failed logins.
    /// - `429 too_many_requests`: too many failed attempts, or too many changes.
    #[oai(path = "/me/password", method = "post", operation_id = "change_password", tag = "Tag::OwnAccount")]
    async fn change(&self, caller: Authenticated, body: Body<ChangePassword>) -> ApiResult<NoContent> {
        let (current, new) = body.check(ChangePassword::parse)?;
        self.0.change(&caller.0, current, &new).await?;
        Ok(NoContent::Done)
    }
}
