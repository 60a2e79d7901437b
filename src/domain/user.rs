//! A user: a person with an account.

use std::time::Duration;

use strum::{EnumString, IntoStaticStr, VariantArray};
use uuid::Uuid;

use super::{Email, Name, Timestamp, fold::searchable};

/// A UUIDv7, so that ids sort by age.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserId(Uuid);

impl UserId {
    #[must_use]
    pub fn new() -> Self {
        Self(Uuid::now_v7())
    }

    #[must_use]
    pub const fn from_uuid(id: Uuid) -> Self {
        Self(id)
    }

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

/// What a user may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, IntoStaticStr, EnumString, VariantArray)]
#[strum(const_into_str, serialize_all = "snake_case")]
pub enum Role {
    /// A customer, with access to their own account.
    User,
    /// Manages all users.
    Admin,
}

/// Whether the e-mail address was confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, IntoStaticStr, EnumString, VariantArray)]
#[strum(const_into_str, serialize_all = "snake_case")]
pub enum Status {
    /// The account expires unless the address is confirmed.
    Unverified,
    Verified,
}

/// A status with its time.
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
    #[must_use]
    pub const fn status(self) -> Status {
        match self {
            Self::Pending { .. } => Status::Unverified,
            Self::Done { .. } => Status::Verified,
        }
    }
}

/// What a user tells about themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Unique.
    pub email: Email,
    pub first_name: Option<Name>,
    pub last_name: Option<Name>,
}

impl Profile {
    /// The text that a search compares: the address as typed, the normalized address and the full name, one per line.
    #[must_use]
    pub fn search_text(&self) -> String {
        let names = [&self.first_name, &self.last_name].map(|name| name.as_ref().map(Name::as_str));
        let names: Vec<_> = names.into_iter().flatten().collect();
        let (typed, key) = (self.email.as_str(), self.email.key());
        let mut lines = vec![searchable(typed), searchable(key), searchable(&names.join(" "))];
        lines.dedup();
        lines.join("\n")
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Never changes, and is never reused.
    pub id: UserId,
    pub profile: Profile,
    pub role: Role,
    pub verification: Verification,
    /// An admin has suspended the account.
    pub disabled: bool,
    pub created_at: Timestamp,
    /// The last change of a field above.
    pub updated_at: Timestamp,
    pub last_login_at: Option<Timestamp>,
    /// False until an invited user chooses a password.
    pub has_password: bool,
}

impl User {
    /// An unverified user, whose account expires after `lifetime`.
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

    /// An unverified user with a role and without a password.
    #[must_use]
    pub fn invited(profile: Profile, role: Role, now: Timestamp, lifetime: Duration) -> Self {
        Self { role, has_password: false, ..Self::signed_up(profile, now, lifetime) }
    }

    /// An admin as the command line creates one: verified.
    #[must_use]
    pub fn admin(profile: Profile, now: Timestamp) -> Self {
        let verification = Verification::Done { at: now };
        Self { role: Role::Admin, verification, ..Self::signed_up(profile, now, Duration::ZERO) }
    }

    #[must_use]
    pub const fn status(&self) -> Status {
        self.verification.status()
    }

    /// Whether the account expired unverified. It then counts as deleted, purged or not.
    #[must_use]
    pub fn is_expired(&self, now: Timestamp) -> bool {
        matches!(self.verification, Verification::Pending { expires_at } if expires_at <= now)
    }

    /// Whether the user can act as an admin. `Snapshot::count_active_admins` has the same condition in SQL.
    #[must_use]
    pub fn is_active_admin(&self) -> bool {
        self.role == Role::Admin && self.status() == Status::Verified && !self.disabled && self.has_password
    }
}

/// A field of a partial update.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Change<T> {
    #[default]
    Keep,
    Set(T),
}

impl<T> Change<T> {
    pub fn apply(self, old: &mut T) {
        if let Self::Set(new) = self {
            *old = new;
        }
    }
}

/// What users may change about themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProfileChange {
    /// `Set(None)` clears it.
    pub first_name: Change<Option<Name>>,
    /// `Set(None)` clears it.
    pub last_name: Change<Option<Name>>,
}

impl ProfileChange {
    pub fn apply(self, profile: &mut Profile) {
        self.first_name.apply(&mut profile.first_name);
        self.last_name.apply(&mut profile.last_name);
    }
}

/// What admins may change about a user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserChange {
    pub profile: ProfileChange,
    /// In force at once, without confirmation.
    pub email: Change<Email>,
    pub role: Change<Role>,
    pub status: Change<Status>,
    pub disabled: Change<bool>,
}

impl UserChange {
    /// Whether it changes nothing but what users may change themselves.
    #[must_use]
    pub fn is_profile_only(&self) -> bool {
        *self == Self { profile: self.profile.clone(), ..Self::default() }
    }
}
