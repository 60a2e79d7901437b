//! Bodies of `/auth/verify` and of what sends a message to an address.

use poem_openapi::{Object, types::Example};

use super::text::{CodeText, EmailText, LinkText};
use crate::{
    core::Proof,
    domain::{Email, FieldError, Invalid, PlainToken},
};

/// The proof that an e-mail address belongs to the sender: either `email` and `code`, or `token` alone.
#[derive(Object)]
#[oai(example, skip_serializing_if_is_none)]
pub struct Verify {
    /// The e-mail address the code was sent to. Required with `code`.
    email: Option<EmailText>,
    /// The {code-digits}-digit code in the message. Requires `email`. Spaces and punctuation are ignored, and the digits
    /// can be those of any script.
    code: Option<CodeText>,
    /// The parameter `token` of the link in the message, or the whole link. Excludes `email` and `code`. Punctuation around
    /// it is ignored.
    token: Option<LinkText>,
}

impl Example for Verify {
    fn example() -> Self {
        Self { email: Some("ann@example.com".into()), code: Some("123456".into()), token: None }
    }
}

/// The e-mail address of an account.
#[derive(Object)]
#[oai(example)]
pub struct Address {
    /// The e-mail address. The message is sent there if it has an account.
    email: EmailText,
}

impl Example for Address {
    fn example() -> Self {
        Self { email: "ann@example.com".into() }
    }
}

impl Verify {
    pub fn parse(self) -> Result<Proof, Invalid> {
        proof(self.email, self.code, self.token)
    }
}

impl Address {
    pub fn parse(self) -> Result<Email, Invalid> {
        Email::parse("email", &self.email.0).map_err(|error| Invalid(vec![error]))
    }
}

/// Either a code with its address, or a token.
pub fn proof(
    email: Option<EmailText>,
    code: Option<CodeText>,
    token: Option<LinkText>,
) -> Result<Proof, Invalid> {
    let required = |field| {
        let message = format!("The field {field} is missing: send either email and code, or token.");
        FieldError::new(field, "required", message)
    };
    match (email, code, token) {
        (None, None, Some(token)) => Ok(Proof::Link(PlainToken::pasted(&token.0))),
        (Some(email), Some(code), None) => match Email::parse("email", &email.0) {
            Ok(email) => Ok(Proof::Code(email, code.0)),
            Err(error) => Err(Invalid(vec![error])),
        },
        (Some(_), None, None) => Err(Invalid(vec![required("code")])),
        (None, Some(_), None) => Err(Invalid(vec![required("email")])),
        (None, None, None) => Err(Invalid(vec![required("email"), required("code"), required("token")])),
        (_, _, Some(_)) => {
            let message = "Send either email and code, or token, but not both.";
            Err(Invalid(vec![FieldError::new("token", "conflict", message)]))
        }
    }
}
