//! `POST /me/email`.

use poem_openapi::{ApiResponse, OpenApi};

use super::{body::Body, guards::Authenticated, inputs::ChangeEmail, tags::Tag};
use crate::{accounts, http::ApiResult};

pub struct EmailChange(pub accounts::EmailChange);

#[derive(ApiResponse)]
enum Requested {
    /// The messages will be sent. The answer does not tell whether the new address has an account.
    #[oai(status = 202)]
    Accepted,
}

#[OpenApi(tag = "Tag::OwnAccount")]
impl EmailChange {
    /// Change your e-mail address
    ///
    /// Sends a code and a link to the new address, and to the old one a notice with a link to cancel the change. The old
    /// address stays in force until the new one is confirmed with `POST /auth/verify`, with the new address as `email`.
    /// Then sessions end as described there. If another account has verified the new address by then, that operation answers
    /// `email_taken`.
    ///
    /// Errors:
    /// - `401 invalid_credentials`: the current password is wrong. This counts towards the limit on failed logins.
    /// - `429 too_many_requests`: too many failed attempts, or too many messages to the new address or from the account.
    #[oai(path = "/me/email", method = "post", operation_id = "change_email")]
    async fn change(&self, caller: Authenticated, body: Body<ChangeEmail>) -> ApiResult<Requested> {
        let (new, current) = body.check(ChangeEmail::parse)?;
        self.0.request(&caller.0, new, current).await?;
        Ok(Requested::Accepted)
    }
}
