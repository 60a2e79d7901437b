//! `POST /auth/signup`.

use poem_openapi::{ApiResponse, OpenApi};

use super::{answers::Json, body::Body, inputs::Signup, tags::Tag, views::UserView};
use crate::{
    accounts::{self, Registered},
    http::{ApiResult, RequestOrigin},
};

pub struct Registration(pub accounts::Registration);

#[derive(ApiResponse)]
enum SignedUp {
    /// The account was created. The body is the new user.
    #[oai(status = 201)]
    Created(Json<UserView>),
    /// If the setting `auth.hide_taken_emails` is on: the sign-up was accepted. The answer does not tell whether the
    /// address has an account already.
    #[oai(status = 202)]
    Hidden,
}

#[OpenApi(tag = "Tag::Registration")]
impl Registration {
    /// Sign up
    ///
    /// Creates an account with the status `unverified` and the role `user`, and sends a message with a {code-digits}-digit
    /// code and a link. Verify the e-mail address with either of them and `POST /auth/verify`. The code is valid for
    /// {code-ttl}, the link as long as the account.
    ///
    /// An account that is not verified within {unverified-after} is deleted at its `expires_at`, and the address can be
    /// used again.
    ///
    /// Errors:
    /// - `409 email_taken`: another account has the address. If the setting `auth.hide_taken_emails` is on, every sign-up
    ///   gets `202` instead, and the owner of a taken address gets a message.
    /// - `429 too_many_requests`: the client has caused too many messages or password checks.
    #[oai(path = "/auth/signup", method = "post", operation_id = "signup")]
    async fn signup(&self, origin: RequestOrigin, body: Body<Signup>) -> ApiResult<SignedUp> {
        let registered = self.0.register(body.into_draft(), origin.0).await?;
        Ok(registered.into())
    }
}

impl From<Registered> for SignedUp {
    fn from(registered: Registered) -> Self {
        match registered {
            Registered::User(user) => Self::Created(Json((&*user).into())),
            Registered::Hidden => Self::Hidden,
        }
    }
}
