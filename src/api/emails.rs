//! `POST /me/email`.

use poem_openapi::{ApiResponse, Object, OpenApi, types::Example};

use super::{ApiResult, Tag, body::Body, guards::SignedIn, passwords::current_password};
use crate::{
    accounts::Accounts,
    domain::{Email, Invalid, Password, Problems},
};

pub struct Emails(pub Accounts);

/// A change of the e-mail address.
#[derive(Object)]
#[oai(example)]
struct ChangeEmail {
    /// The new e-mail address of the account.
    #[oai(validator(max_length = 254))]
    new_email: String,
    /// The present password.
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

impl ChangeEmail {
    fn parse(self) -> Result<(Email, Password), Invalid> {
        let mut problems = Problems::new();
        let new = problems.take(Email::parse("new_email", &self.new_email));
        let current = problems.take_from_all(current_password(&self.current_password));
        problems.finish(new.zip(current))
    }
}
