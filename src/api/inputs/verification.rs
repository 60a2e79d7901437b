//! Bodies of `/auth/verify` and of what sends a message to an address.

use poem_openapi::{Object, types::Example};

use crate::{
    accounts::Proof,
    domain::{Email, FieldError, Invalid, PlainToken},
};

/// The proof that an e-mail address belongs to the sender: either `email` and `code`, or `token` alone.
#[derive(Object)]
#[oai(example, skip_serializing_if_is_none)]
pub struct Verify {
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

impl Verify {
    pub fn parse(self) -> Result<Proof, Invalid> {
        proof(self.email, self.code, self.token)
    }
}

impl Address {
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
