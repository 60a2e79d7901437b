//! Bodies of `/users`.

use poem_openapi::{
    Object,
    types::{Example, MaybeUndefined},
};

use super::{
    profile::profile_change,
    text::{EmailText, NameText},
};
use crate::{
    api::views::{Role, Status},
    domain::{Change, Email, Invalid, Problems, UserChange},
};

/// A change to a user. An omitted field stays as it is; `null` clears a name. Users can change their own names; all other
/// changes are for admins.
#[derive(Object)]
#[oai(example)]
pub struct EditUser {
    /// The first name, 1 to {name-chars} characters, or `null` to clear it.
    #[oai(nullable)]
    first_name: MaybeUndefined<NameText>,
    /// The last name, 1 to {name-chars} characters, or `null` to clear it.
    #[oai(nullable)]
    last_name: MaybeUndefined<NameText>,
    /// The new e-mail address. It is in force at once: all sessions of the user end, and codes and links that were sent to
    /// the old address are no longer valid. Admins only.
    email: MaybeUndefined<EmailText>,
    /// The new role. Admins only.
    role: MaybeUndefined<Role>,
    /// The new status. An account that is set to `unverified` expires as after a sign-up. Admins only.
    status: MaybeUndefined<Status>,
    /// `true` disables the account and ends all sessions of the user; `false` enables it again. Admins only.
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
        let mut errors = Problems::new();
        let email = match &self.email {
            MaybeUndefined::Value(typed) => errors.take(Email::parse("email", &typed.0)).map(Change::Set),
            MaybeUndefined::Undefined | MaybeUndefined::Null => Some(Change::Keep),
        };
        let profile = errors.take_from_all(profile_change(&self.first_name, &self.last_name));
        errors.finish(profile.zip(email).map(|(profile, email)| UserChange {
            profile,
            email,
            role: change(self.role.map_value(Into::into)),
            status: change(self.status.map_value(Into::into)),
            disabled: change(self.disabled),
        }))
    }
}

/// A change to a field that cannot be `null`, which the form of the body refuses.
fn change<T>(value: MaybeUndefined<T>) -> Change<T> {
    match value {
        MaybeUndefined::Value(value) => Change::Set(value),
        MaybeUndefined::Undefined | MaybeUndefined::Null => Change::Keep,
    }
}
