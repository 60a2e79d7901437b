//! `/auth/verify` and `/auth/verify/resend`.

use poem_openapi::OpenApi;

use super::{
    answers::{Accepted, Json},
    body::Body,
    guards::OptionalSession,
    inputs::{Address, Verify},
    tags::Tag,
    views::UserView,
};
use crate::{
    accounts,
    http::{ApiResult, RequestOrigin},
};

pub struct Verification(pub accounts::Verification);

#[OpenApi(tag = "Tag::Registration")]
impl Verification {
    /// Verify an e-mail address
    ///
    /// Takes the e-mail address and the code of a message, or the token of its link, and sets the status of the user to
    /// `verified`. The same operation confirms a new address after `POST /me/email`. Code and link work once. A newer
    /// message replaces the code and the link of the earlier ones, and after {code-tries} wrong codes the code is no longer
    /// valid.
    ///
    /// The first verification of an account ends all of its sessions, because a person who does not own the address may
    /// have created it. To keep the current session, send its access token in `Authorization`, even if that token has
    /// expired; a token that is invalid, of an ended session or of another account is ignored. When a verified user
    /// confirms a new address, all sessions end.
    ///
    /// Errors:
    /// - `400 verification_failed`: the code or token is wrong, used, expired or unknown, or was tried too often. The
    ///   answer is the same in each case.
    /// - `409 email_taken`: another account has verified the new address in the meantime.
    /// - `429 too_many_requests`: the client has tried too many wrong codes.
    #[oai(path = "/auth/verify", method = "post", operation_id = "verify")]
    async fn verify(
        &self,
        origin: RequestOrigin,
        session: OptionalSession,
        body: Body<Verify>,
    ) -> ApiResult<Json<UserView>> {
        let proof = body.check(Verify::parse)?;
        let user = self.0.verify(proof, session.id(), origin.0).await?;
        Ok(Json((&user).into()))
    }

    /// Send the code and link again
    ///
    /// Sends a new code and link if the address belongs to an unverified account that is not disabled: the invitation, if the account has no
    /// password yet. Earlier ones are no longer valid. After {max-codes} codes to an address, its messages contain a link
    /// alone.
    ///
    /// The answer does not tell whether the address has an account.
    ///
    /// Errors:
    /// - `429 too_many_requests`: the client has caused too many messages.
    #[oai(path = "/auth/verify/resend", method = "post", operation_id = "resend_verification")]
    async fn resend(&self, origin: RequestOrigin, body: Body<Address>) -> ApiResult<Accepted> {
        let email = body.check(Address::parse)?;
        self.0.resend(email, origin.0).await?;
        Ok(Accepted::Hidden)
    }
}
