//! A user: somebody with an account in the shop.

use std::time::Duration;

use strum::{EnumString, IntoStaticStr, VariantArray};
use uuid::Uuid;

use super::{Email, Name, Timestamp};

/// A user's id: a UUIDv7, so that ids sort by age.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserId(Uuid);

impl UserId {
    /// A fresh id.
    #[must_use]
    pub fn new() -> Self {
        Self(Uuid::now_v7())
    }

    /// An id that came from outside or from the store.
    #[must_use]
    pub const fn from_uuid(id: Uuid) -> Self {
        Self(id)
    }

    /// The id as a UUID.
    #[must_use]
    pub const fn as_uuid(&self) -> &Uuid {
        &self.0
    }
}

impl Default for UserId {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Display for UserId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// What a user may do in the shop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, IntoStaticStr, EnumString, VariantArray)]
#[strum(const_into_str, serialize_all = "snake_case")]
pub enum Role {
    /// A customer: sees and edits themself.
    User,
    /// Runs the shop: manages everyone.
    Admin,
}

/// Whether a user has proven to own the address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, IntoStaticStr, EnumString, VariantArray)]
#[strum(const_into_str, serialize_all = "snake_case")]
pub enum Status {
    /// Not yet, and deleted if it stays so.
    Unverified,
    /// Yes.
    Verified,
}

/// Whether the address is verified, with the time that belongs to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verification {
    Pending {
        /// From then on the account counts as deleted.
        expires_at: Timestamp,
    },
    Done {
        at: Timestamp,
    },
}

impl Verification {
    /// The status without its instant.
    #[must_use]
    pub const fn status(self) -> Status {
        match self {
            Self::Pending { .. } => Status::Unverified,
            Self::Done { .. } => Status::Verified,
        }
    }
}

/// Who a user is: what they tell about themself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// The address, unique in the shop.
    pub email: Email,
    /// First name, if told.
    pub first_name: Option<Name>,
    /// Last name, if told.
    pub last_name: Option<Name>,
}

/// An account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Never changes, never used again.
    pub id: UserId,
    /// Who it is.
    pub profile: Profile,
    /// What they may do.
    pub role: Role,
    /// Whether the address is proven.
    pub verification: Verification,
    /// Shut out by an admin.
    pub disabled: bool,
    /// When the account was made.
    pub created_at: Timestamp,
    /// When anything above last changed.
    pub updated_at: Timestamp,
    /// When they last logged in.
    pub last_login_at: Option<Timestamp>,
    /// Whether a password was chosen: an invited user has none until they accept.
    pub has_password: bool,
}

impl User {
    /// Someone who just signed up: a user, unverified, who has `lifetime` to verify.
    #[must_use]
    pub fn signed_up(profile: Profile, now: Timestamp, lifetime: Duration) -> Self {
        let verification = Verification::Pending { expires_at: now + lifetime };
        Self {
            id: UserId::new(),
            profile,
            role: Role::User,
            verification,
            disabled: false,
            created_at: now,
            updated_at: now,
            last_login_at: None,
            has_password: true,
        }
    }

    /// Someone who was invited: like one who signed up, but with a role, and without a password.
    #[must_use]
    pub fn invited(profile: Profile, role: Role, now: Timestamp, lifetime: Duration) -> Self {
        Self { role, has_password: false, ..Self::signed_up(profile, now, lifetime) }
    }

    /// An admin as the console makes one: verified from the start.
    #[must_use]
    pub fn admin(profile: Profile, now: Timestamp) -> Self {
        let verification = Verification::Done { at: now };
        Self { role: Role::Admin, verification, ..Self::signed_up(profile, now, Duration::ZERO) }
    }

    /// Whether the address is proven.
    #[must_use]
    pub const fn status(&self) -> Status {
        self.verification.status()
    }

    /// Whether the time to verify has run out: such an account counts as deleted, purged or not.
    #[must_use]
    pub fn is_expired(&self, now: Timestamp) -> bool {
        matches!(self.verification, Verification::Pending { expires_at } if expires_at <= now)
    }

    /// Whether they can use an admin's rights: role, status, not disabled, and a password to log in with. The store counts
    /// such admins by the same four.
    #[must_use]
    pub fn is_active_admin(&self) -> bool {
        self.role == Role::Admin && self.status() == Status::Verified && !self.disabled && self.has_password
    }
}

/// A field of a partial update: left as it is, or set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Change<T> {
    /// Not mentioned.
    #[default]
    Keep,
    /// Set to this.
    Set(T),
}

impl<T> Change<T> {
    /// Puts the new value, if there is one, in the place of the old one.
    pub fn apply(self, old: &mut T) {
        if let Self::Set(new) = self {
            *old = new;
        }
    }
}

/// What users may change about themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProfileChange {
    /// First name; `Set(None)` clears it.
    pub first_name: Change<Option<Name>>,
    /// Last name; `Set(None)` clears it.
    pub last_name: Change<Option<Name>>,
}

impl ProfileChange {
    /// Makes the change.
    pub fn apply(self, profile: &mut Profile) {
        self.first_name.apply(&mut profile.first_name);
        self.last_name.apply(&mut profile.last_name);
    }
}

/// What admins may change about a user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserChange {
    /// What users may change themselves.
    pub profile: ProfileChange,
    /// A new address, in force at once.
    pub email: Change<Email>,
    /// A new role.
    pub role: Change<Role>,
    /// A new status.
    pub status: Change<Status>,
    /// Shut out, or let in again.
    pub disabled: Change<bool>,
}

impl UserChange {
    /// Whether it needs no admin: nothing but the profile changes.
    #[must_use]
    pub fn is_profile_only(&self) -> bool {
        *self == Self { profile: self.profile.clone(), ..Self::default() }
    }
}
