//! The body of `/me/email`.

use poem_openapi::{Object, types::Example};

use super::password::current_password;
use crate::domain::{Email, Invalid, Password, Problems};

/// A change of the e-mail address.
#[derive(Object)]
#[oai(example)]
pub struct ChangeEmail {
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

impl ChangeEmail {
    pub fn parse(self) -> Result<(Email, Password), Invalid> {
        let mut problems = Problems::new();
        let new = problems.take(Email::parse("new_email", &self.new_email));
        let current = problems.take_from_all(current_password(&self.current_password));
        problems.finish(new.zip(current))
    }
}
