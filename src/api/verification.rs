//! `/auth/verify` and `/auth/verify/resend`.

use poem_openapi::{Object, OpenApi, types::Example};

use super::{
    ApiResult, Tag,
    answers::{Accepted, Json},
    body::Body,
    guards::Along,
    users::UserView,
};
use crate::{
    accounts::{Accounts, Proof},
    domain::{Email, FieldError, Invalid, PlainToken},
    http::RequestOrigin,
};

pub struct Verification(pub Accounts);

/// The proof that an e-mail address belongs to the sender: either `email` and `code`, or `token` alone.
#[derive(Object)]
#[oai(example, skip_serializing_if_is_none)]
struct Verify {
    /// The e-mail address that the code was sent to. With `code`.
    #[oai(validator(max_length = 254))]
    email: Option<String>,
    /// The six-digit code in the message. With `email`. Spaces and dashes in it do not count, and the digits may be those of
    /// any script.
    #[oai(validator(max_length = 64))]
    code: Option<String>,
    /// The `token` parameter of the link in the message, or the whole link; punctuation around it does not count. Alone.
    #[oai(validator(max_length = 2048))]
    token: Option<String>,
}

impl Example for Verify {
    fn example() -> Self {
        Self { email: Some("ann@example.com".to_owned()), code: Some("123456".to_owned()), token: None }
    }
}

/// The address that a message should be sent to.
#[derive(Object)]
#[oai(example)]
pub struct Address {
    /// The e-mail address of the account.
    #[oai(validator(max_length = 254))]
    email: String,
}

impl Example for Address {
    fn example() -> Self {
        Self { email: "ann@example.com".to_owned() }
    }
}

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
        let proof = body.check(|verify| proof(verify.email, verify.code, verify.token))?;
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

impl Address {
    /// The address in it.
    pub fn parse(self) -> Result<Email, Invalid> {
        Email::parse("email", &self.email).map_err(|error| Invalid(vec![error]))
    }
}

/// A code with its address, or a token: one of the two, whole.
pub fn proof(email: Option<String>, code: Option<String>, token: Option<String>) -> Result<Proof, Invalid> {
    let required = |field| {
        let message = format!("The field {field} is missing: send either email and code, or token.");
        FieldError::new(field, "required", message)
    };
    match (email, code, token) {
        (None, None, Some(token)) => Ok(Proof::Link(PlainToken::pasted(&token))),
        (Some(email), Some(code), None) => match Email::parse("email", &email) {
            Ok(email) => Ok(Proof::Code(email, code)),
            Err(error) => Err(Invalid(vec![error])),
        },
        (Some(_), None, None) => Err(Invalid(vec![required("code")])),
        (None, Some(_), None) => Err(Invalid(vec![required("email")])),
        (None, None, None) => Err(Invalid(vec![required("email"), required("code"), required("token")])),
        (_, _, Some(_)) => {
            let message = "Send either email and code, or token, not both.";
            Err(Invalid(vec![FieldError::new("token", "conflict", message)]))
        }
    }
}
