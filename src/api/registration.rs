//! `POST /auth/signup`.

use poem_openapi::{ApiResponse, Object, OpenApi, types::Example};

use super::{ApiResult, Tag, answers::Json, body::Body, users::UserView};
use crate::{
    accounts::{Accounts, Registered, SignupDraft},
    http::RequestOrigin,
};

pub struct Registration(pub Accounts);

/// A sign-up.
#[derive(Object)]
#[oai(example)]
struct Signup {
    /// The e-mail address, such as `name@example.com`, with at most 254 bytes. Only one account can have it, in whatever
    /// spelling: upper and lower case do not differ. Letters before the @ that stand for others, such as full-width ones,
    /// are refused.
    #[oai(validator(max_length = 254))]
    email: String,
    /// The password: 8 to 256 characters of any kind (the shop may ask for more than 8). Common passwords, and passwords
    /// made of the e-mail address, the name or the shop's name, are refused.
    #[oai(validator(max_length = 256))]
    password: String,
    /// The first name, with 1 to 100 characters. Optional.
    #[oai(validator(max_length = 100), nullable)]
    first_name: Option<String>,
    /// The last name, with 1 to 100 characters. Optional.
    #[oai(validator(max_length = 100), nullable)]
    last_name: Option<String>,
}

impl Example for Signup {
    fn example() -> Self {
        Self {
            email: "ann@example.com".to_owned(),
            password: "mocha stirs slowly".to_owned(),
            first_name: Some("Ann".to_owned()),
            last_name: Some("Smith".to_owned()),
        }
    }
}

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
        let new = body.judge(async |signup| self.0.check_signup(signup.into(), &from.0.client).await).await?;
        let registered = self.0.register(new, from.0).await?;
        Ok(registered.into())
    }
}

impl From<Signup> for SignupDraft {
    fn from(signup: Signup) -> Self {
        let Signup { email, password, first_name, last_name } = signup;
        Self { email, password, first_name, last_name }
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
