//! The body of a sign-up.

use poem_openapi::{Object, types::Example};

use crate::accounts::SignupDraft;

/// A sign-up.
#[derive(Object)]
#[oai(example)]
pub struct Signup {
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

impl From<Signup> for SignupDraft {
    fn from(signup: Signup) -> Self {
        let Signup { email, password, first_name, last_name } = signup;
        Self { email, password, first_name, last_name }
    }
}
