//! `POST /auth/signup`.

use poem_openapi::{ApiResponse, Object, OpenApi, types::Example};

use super::{ApiResult, Tag, answers::Json, body::Body, client::Caller, users::UserView};
use crate::accounts::{Accounts, Registered, SignupDraft};

pub struct Registration(pub Accounts);

/// What a new user sends.
#[derive(Object)]
#[oai(example)]
struct Signup {
    /// A plain address such as `name@example.com`, at most 254 bytes; unique in the shop, whatever its spelling.
    #[oai(validator(max_length = 254))]
    email: String,
    /// 8 to 256 characters of any kind. Common passwords, and ones made of the address, the name or the shop's name,
    /// are refused.
    #[oai(validator(max_length = 256))]
    password: String,
    /// 1 to 100 characters.
    #[oai(validator(max_length = 100), nullable)]
    first_name: Option<String>,
    /// 1 to 100 characters.
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
    /// The new user.
    #[oai(status = 201)]
    Created(Json<UserView>),
    /// Only where `auth.hide_taken_emails` is set: the answer to a free and to a taken address alike.
    #[oai(status = 202)]
    Hidden,
}

#[OpenApi(tag = "Tag::Registration")]
impl Registration {
    /// Sign up
    ///
    /// Creates an account with status `unverified` and role `user`, and sends a message with a six-digit code and a
    /// link to confirm the address. The code lives 30 minutes unless the shop has set another time. Until
    /// `expires_at` the address has to be confirmed with `POST /auth/verify`; after that the account is deleted and
    /// the address is free again.
    ///
    /// An address that is taken, in whatever spelling, is `409 email_taken`.
    #[oai(path = "/auth/signup", method = "post", operation_id = "signup")]
    async fn signup(&self, from: Caller, body: Body<Signup>) -> ApiResult<SignedUp> {
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
