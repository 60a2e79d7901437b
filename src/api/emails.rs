//! `POST /me/email`.

use poem_openapi::{ApiResponse, OpenApi};

use super::{ApiResult, Tag, body::Body, guards::SignedIn, inputs::ChangeEmail};
use crate::accounts::Accounts;

pub struct Emails(pub Accounts);

#[derive(ApiResponse)]
enum Asked {
    /// The messages will be sent. The answer is the same whether or not the new address has an account.
    #[oai(status = 202)]
    Noted,
}

#[OpenApi(tag = "Tag::OwnAccount")]
impl Emails {
    /// Change your e-mail address
    ///
    /// Sends a code and a link to the new address, and to the old one a notice with a link to cancel the change. The old
    /// address stays in force until the new one is confirmed with `POST /auth/verify` (with the new address as `email`);
    /// then every session of the user ends. If another account has the new address by then, that operation answers `409
    /// email_taken`.
    ///
    /// A wrong password gets `401 invalid_credentials` and counts towards the limit on failed logins (`429`). How many
    /// messages one account and one address can cause is limited, too.
    #[oai(path = "/me/email", method = "post", operation_id = "change_email")]
    async fn change(&self, who: SignedIn, body: Body<ChangeEmail>) -> ApiResult<Asked> {
        let (new, current) = body.check(ChangeEmail::parse)?;
        self.0.change_email(&who.0, new, current).await?;
        Ok(Asked::Noted)
    }
}
