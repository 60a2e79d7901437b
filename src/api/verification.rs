//! `/auth/verify` and `/auth/verify/resend`.

use poem_openapi::OpenApi;

use super::{
    ApiResult, Tag,
    answers::{Accepted, Json},
    body::Body,
    guards::Along,
    inputs::{Address, Verify},
    views::UserView,
};
use crate::{accounts::Accounts, http::RequestOrigin};

pub struct Verification(pub Accounts);

#[OpenApi(tag = "Tag::Registration")]
impl Verification {
    /// Confirm an e-mail address
    ///
    /// Takes the e-mail address and the six-digit code, or the token of the link, and sets the status of the user to
    /// `verified`. The same operation confirms a new address after `POST /me/email`. Code and link work once. After five
    /// wrong codes the code is no longer valid; a newer message replaces the code and the link of the earlier ones.
    ///
    /// A code or token that is wrong, used, expired, unknown or tried too often gets `400 verification_failed`, always
    /// with the same answer. `409 email_taken` means that another account has confirmed the new address meanwhile.
    ///
    /// The first verification of an account ends all of its sessions, because another person than the owner of the address
    /// may have made the account. To stay logged in, send the access token of the session as well: that session goes on, also
    /// if the access token itself has expired. An access token that is invalid, of an ended session or of another account is
    /// ignored. The confirmation of a new address of a verified user ends all sessions.
    #[oai(path = "/auth/verify", method = "post", operation_id = "verify")]
    async fn verify(
        &self,
        from: RequestOrigin,
        along: Along,
        body: Body<Verify>,
    ) -> ApiResult<Json<UserView>> {
        let proof = body.check(Verify::parse)?;
        let user = self.0.verify(proof, along.session(), from.0).await?;
        Ok(Json((&user).into()))
    }

    /// Send the code and link again
    ///
    /// Sends a new code and link if the address belongs to an unverified account; earlier ones are no longer valid. After
    /// ten codes, an address is sent links without a code. The answer is always `202`, so that it does not reveal which
    /// addresses have an account. How many messages one address and one client can cause is limited (`429`).
    #[oai(path = "/auth/verify/resend", method = "post", operation_id = "resend_verification")]
    async fn resend(&self, from: RequestOrigin, body: Body<Address>) -> ApiResult<Accepted> {
        let email = body.check(Address::parse)?;
        self.0.resend_verification(email, from.0).await?;
        Ok(Accepted::Noted)
    }
}
