//! The body of a sign-up.

use poem_openapi::{Object, types::Example};

use super::text::{EmailText, NameText, PasswordText};
use crate::{accounts::SignupDraft, api::body::Body};

/// A sign-up.
#[derive(Object)]
#[oai(example)]
pub struct Signup {
    /// The e-mail address, such as `name@example.com`, with at most {email-bytes} bytes. Only one account can have it; upper
    /// and lower case do not differ. Look-alikes of other letters before the `@`, such as full-width ones, are refused.
    email: EmailText,
    /// The password: {password-min} to {password-max} characters of any kind. Common passwords, and passwords made of the
    /// e-mail address, the name or the shop's name, are refused.
    password: PasswordText,
    /// The first name, 1 to {name-chars} characters. Optional.
    #[oai(nullable)]
    first_name: Option<NameText>,
    /// The last name, 1 to {name-chars} characters. Optional.
    #[oai(nullable)]
    last_name: Option<NameText>,
}

impl Example for Signup {
    fn example() -> Self {
        Self {
            email: "ann@example.com".into(),
            password: "mocha stirs slowly".into(),
            first_name: Some("Ann".into()),
            last_name: Some("Smith".into()),
        }
    }
}

impl Body<Signup> {
    /// The sign-up, not checked yet.
    pub fn into_draft(self) -> SignupDraft {
        let (signup, malformed) = self.into_parts();
        SignupDraft {
            email: signup.email.0,
            password: signup.password.0,
            first_name: signup.first_name.map(|name| name.0),
            last_name: signup.last_name.map(|name| name.0),
            malformed,
        }
    }
}
