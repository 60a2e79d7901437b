//! `POST /auth/signup`.

use poem_openapi::{ApiResponse, OpenApi};

use super::{ApiResult, Tag, answers::Json, body::Body, inputs::Signup, views::UserView};
use crate::{
    accounts::{Accounts, Registered},
    http::RequestOrigin,
};

pub struct Registration(pub Accounts);

#[derive(ApiResponse)]
enum SignedUp {
    /// The account was created. The body is the new user.
    #[oai(status = 201)]
    Created(Json<UserView>),
    /// Only where the setting `auth.hide_taken_emails` is on: the same answer whether or not the address has an account.
    #[oai(status = 202)]
    Hidden,
}

#[OpenApi(tag = "Tag::Registration")]
impl Registration {
    /// Sign up
    ///
    /// Creates an account with the status `unverified` and the role `user`, and sends a message with a six-digit code and
    /// a link to confirm the e-mail address with `POST /auth/verify`. The code is valid for 30 minutes unless the shop has
    /// set another time. An account that is not verified by `expires_at` is deleted, and its address can be used again.
    ///
    /// An address that has an account already gets `409 email_taken`; where the setting `auth.hide_taken_emails` is on,
    /// every sign-up gets `202` instead, and the owner of a taken address is told by mail. How many messages one address
    /// and one client can cause is limited (`429`).
    #[oai(path = "/auth/signup", method = "post", operation_id = "signup")]
    async fn signup(&self, from: RequestOrigin, body: Body<Signup>) -> ApiResult<SignedUp> {
        let new =
            body.check_async(async |signup| self.0.check_signup(signup.into(), &from.0.client).await).await?;
        let registered = self.0.register(new, from.0).await?;
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
