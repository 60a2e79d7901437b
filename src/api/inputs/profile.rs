//! Bodies of `/me`.

use poem_openapi::{
    Object,
    types::{Example, MaybeUndefined},
};

use super::password::current_password;
use crate::domain::{Change, FieldError, Invalid, Name, Password, Problems, ProfileChange};

/// A change to the own account. A field that is left out stays as it is, `null` clears it.
#[derive(Object)]
#[oai(example)]
pub struct EditMe {
    /// The first name, with 1 to 100 characters, or `null` to clear it.
    #[oai(validator(max_length = 100), nullable)]
    first_name: MaybeUndefined<String>,
    /// The last name, with 1 to 100 characters, or `null` to clear it.
    #[oai(validator(max_length = 100), nullable)]
    last_name: MaybeUndefined<String>,
}

/// The confirmation that the own account is to be deleted.
#[derive(Object)]
#[oai(example)]
pub struct DeleteMe {
    /// The present password.
    #[oai(validator(max_length = 256))]
    current_password: String,
}

impl Example for DeleteMe {
    fn example() -> Self {
        Self { current_password: "mocha stirs slowly".to_owned() }
    }
}

impl Example for EditMe {
    fn example() -> Self {
        Self { first_name: MaybeUndefined::Value("Anna".to_owned()), last_name: MaybeUndefined::Null }
    }
}

impl EditMe {
    pub fn parse(self) -> Result<ProfileChange, Invalid> {
        profile_change(&self.first_name, &self.last_name)
    }
}

impl DeleteMe {
    pub fn parse(self) -> Result<Password, Invalid> {
        current_password(&self.current_password)
    }
}

/// A change of names, from how it is written in JSON.
pub fn profile_change(
    first_name: &MaybeUndefined<String>,
    last_name: &MaybeUndefined<String>,
) -> Result<ProfileChange, Invalid> {
    let mut problems = Problems::new();
    let first_name = problems.take(name("first_name", first_name));
    let last_name = problems.take(name("last_name", last_name));
    problems.finish(
        first_name.zip(last_name).map(|(first_name, last_name)| ProfileChange { first_name, last_name }),
    )
}

fn name(field: &'static str, value: &MaybeUndefined<String>) -> Result<Change<Option<Name>>, FieldError> {
    match value {
        MaybeUndefined::Undefined => Ok(Change::Keep),
        MaybeUndefined::Null => Ok(Change::Set(None)),
        MaybeUndefined::Value(typed) => Name::parse(field, typed).map(|name| Change::Set(Some(name))),
    }
}
