//! Bodies of `/users`.

use poem_openapi::{
    Object,
    types::{Example, MaybeUndefined},
};

use super::profile::profile_change;
use crate::{
    api::views::{Role, Status},
    domain::{Change, Email, Invalid, Problems, UserChange},
};

/// A change to a user. A field that is left out stays as it is; `null` clears a name. Users may change their own names,
/// everything else is for admins.
#[derive(Object)]
#[oai(example)]
pub struct EditUser {
    /// The first name, with 1 to 100 characters, or `null` to clear it.
    #[oai(validator(max_length = 100), nullable)]
    first_name: MaybeUndefined<String>,
    /// The last name, with 1 to 100 characters, or `null` to clear it.
    #[oai(validator(max_length = 100), nullable)]
    last_name: MaybeUndefined<String>,
    /// The new e-mail address, in force at once: every session of the user ends, and codes and links that were sent to the
    /// old address are no longer valid. Admins only.
    #[oai(validator(max_length = 254))]
    email: MaybeUndefined<String>,
    /// The new role. Admins only.
    role: MaybeUndefined<Role>,
    /// The new status. An account that is set to `unverified` expires as after a sign-up. Admins only.
    status: MaybeUndefined<Status>,
    /// `true` disables the account and ends every session of the user, `false` enables it again. Admins only.
    disabled: MaybeUndefined<bool>,
}

impl Example for EditUser {
    fn example() -> Self {
        Self {
            first_name: MaybeUndefined::Undefined,
            last_name: MaybeUndefined::Undefined,
            email: MaybeUndefined::Undefined,
            role: MaybeUndefined::Value(Role::Admin),
            status: MaybeUndefined::Undefined,
            disabled: MaybeUndefined::Value(false),
        }
    }
}

impl EditUser {
    pub fn parse(self) -> Result<UserChange, Invalid> {
        let mut problems = Problems::new();
        let email = match &self.email {
            MaybeUndefined::Value(typed) => problems.take(Email::parse("email", typed)).map(Change::Set),
            MaybeUndefined::Undefined | MaybeUndefined::Null => Some(Change::Keep),
        };
        let profile = problems.take_from_all(profile_change(&self.first_name, &self.last_name));
        problems.finish(profile.zip(email).map(|(profile, email)| UserChange {
            profile,
            email,
            role: change(self.role.map_value(Into::into)),
            status: change(self.status.map_value(Into::into)),
            disabled: change(self.disabled),
        }))
    }
}

/// A change to a field that cannot be cleared: `null` was refused with the form of the body.
fn change<T>(value: MaybeUndefined<T>) -> Change<T> {
    match value {
        MaybeUndefined::Value(value) => Change::Set(value),
        MaybeUndefined::Undefined | MaybeUndefined::Null => Change::Keep,
    }
}
