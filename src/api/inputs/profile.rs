//! Bodies of `/me`.

use poem_openapi::{
    Object,
    types::{Example, MaybeUndefined},
};

use super::{
    password::current_password,
    text::{NameText, PasswordText},
};
use crate::domain::{Change, FieldError, Invalid, Name, Password, Problems, ProfileChange};

/// A change to your own account. An omitted field stays as it is; `null` clears a name.
#[derive(Object)]
#[oai(example)]
pub struct EditMe {
    /// The first name, 1 to {name-chars} characters, or `null` to clear it.
    #[oai(nullable)]
    first_name: MaybeUndefined<NameText>,
    /// The last name, 1 to {name-chars} characters, or `null` to clear it.
    #[oai(nullable)]
    last_name: MaybeUndefined<NameText>,
}

/// The confirmation of the deletion of your own account.
#[derive(Object)]
#[oai(example)]
pub struct DeleteMe {
    /// The current password.
    current_password: PasswordText,
}

impl Example for DeleteMe {
    fn example() -> Self {
        Self { current_password: "mocha stirs slowly".into() }
    }
}

impl Example for EditMe {
    fn example() -> Self {
        Self { first_name: MaybeUndefined::Value("Anna".into()), last_name: MaybeUndefined::Null }
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

pub fn profile_change(
    first_name: &MaybeUndefined<NameText>,
    last_name: &MaybeUndefined<NameText>,
) -> Result<ProfileChange, Invalid> {
    let mut errors = Problems::new();
    let first_name = errors.take(name("first_name", first_name));
    let last_name = errors.take(name("last_name", last_name));
    errors.finish(
        first_name.zip(last_name).map(|(first_name, last_name)| ProfileChange { first_name, last_name }),
    )
}

fn name(field: &'static str, value: &MaybeUndefined<NameText>) -> Result<Change<Option<Name>>, FieldError> {
    match value {
        MaybeUndefined::Undefined => Ok(Change::Keep),
        MaybeUndefined::Null => Ok(Change::Set(None)),
        MaybeUndefined::Value(typed) => Name::parse(field, &typed.0).map(|name| Change::Set(Some(name))),
    }
}
