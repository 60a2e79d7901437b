//! `POST /me/email`.

use poem_openapi::{ApiResponse, Object, OpenApi, types::Example};

use super::{ApiResult, Tag, body::Body, guards::SignedIn, passwords::current_password};
use crate::{
    accounts::Accounts,
    model::{Email, Invalid, Password, Problems},
};

pub struct Emails(pub Accounts);

/// Another address.
#[derive(Object)]
#[oai(example)]
struct ChangeEmail {
    /// The address that the account shall have.
    #[oai(validator(max_length = 254))]
    new_email: String,
    /// The password.
    #[oai(validator(max_length = 256))]
    current_password: String,
}

impl Example for ChangeEmail {
    fn example() -> Self {
        Self {
            new_email: "ann.smith@example.com".to_owned(),
            current_password: "mocha stirs slowly".to_owned(),
        }
    }
}

#[derive(ApiResponse)]
enum Asked {
    /// The messages are on their way. The answer is the same whether or not somebody has that address.
    #[oai(status = 202)]
    Noted,
}

#[OpenApi(tag = "Tag::OwnAccount")]
impl Emails {
    /// Change your e-mail address
    ///
    /// Sends a code and a link to the new address, and to the old one a notice with a link to object by. The old address
    /// stays in force until `POST /auth/verify` gets the code or the token (with `email` the new address); then every
    /// session ends. If somebody has the new address by then, that is `409 email_taken` there. A wrong password counts
    /// like one at a login.
    #[oai(path = "/me/email", method = "post", operation_id = "change_email")]
    async fn change(&self, who: SignedIn, body: Body<ChangeEmail>) -> ApiResult<Asked> {
        let (new, current) = body.check(ChangeEmail::parse)?;
        self.0.change_email(&who.0, new, current).await?;
        Ok(Asked::Noted)
    }
}

impl ChangeEmail {
    fn parse(self) -> Result<(Email, Password), Invalid> {
        let mut problems = Problems::new();
        let new = problems.take(Email::parse("new_email", &self.new_email));
        let current = problems.take_all(current_password(&self.current_password));
        problems.finish(new.zip(current))
    }
}
