//! Users.

use poem_openapi::{Enum, Object, types::Example};
use serde::Serialize;
use uuid::Uuid;

use super::time::Time;
use crate::domain::{self, Name, Page, User, UserCursor, Verification};

/// The rights of a user. Admins can manage all users.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum, Serialize)]
#[serde(rename_all = "lowercase")]
#[oai(rename_all = "lowercase", remote = "domain::Role")]
pub enum Role {
    User,
    Admin,
}

/// Whether the e-mail address is verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum, Serialize)]
#[serde(rename_all = "lowercase")]
#[oai(rename_all = "lowercase", remote = "domain::Status")]
pub enum Status {
    Unverified,
    Verified,
}

/// A user. Absent values are `null`.
#[derive(Object, Serialize)]
#[oai(rename = "User", example)]
pub struct UserView {
    /// The id of the user, a UUIDv7. It never changes and is never reused.
    id: Uuid,
    /// The e-mail address as the user typed it.
    email: String,
    /// The first name.
    #[oai(nullable)]
    first_name: Option<String>,
    /// The last name.
    #[oai(nullable)]
    last_name: Option<String>,
    /// The rights of the user.
    role: Role,
    /// Whether the e-mail address is verified.
    status: Status,
    /// Whether an admin has disabled the account. A disabled user cannot log in.
    disabled: bool,
    /// When the account was created.
    created_at: Time,
    /// When the e-mail address, a name, the role, the status or `disabled` last changed.
    updated_at: Time,
    /// When the e-mail address was verified.
    #[oai(nullable)]
    verified_at: Option<Time>,
    /// When the user last logged in.
    #[oai(nullable)]
    last_login_at: Option<Time>,
    /// When the account will be deleted, unless it is verified before. `null` once the status is `verified`.
    #[oai(nullable)]
    expires_at: Option<Time>,
}

impl Example for UserView {
    fn example() -> Self {
        let created_at = Time(domain::Timestamp::from_millis(1_795_339_800_000));
        Self {
            id: Uuid::from_u128(0x019a_af6e_5040_7b52_8f4e_2d1b_93c6_a7d0),
            email: "ann@example.com".to_owned(),
            first_name: Some("Ann".to_owned()),
            last_name: Some("Smith".to_owned()),
            role: Role::User,
            status: Status::Unverified,
            disabled: false,
            created_at,
            updated_at: created_at,
            verified_at: None,
            last_login_at: None,
            expires_at: Some(Time(created_at.0 + std::time::Duration::from_hours(48))),
        }
    }
}

/// One page of users.
#[derive(Object, Serialize)]
#[oai(example)]
pub struct UserPage {
    /// The users of this page.
    items: Vec<UserView>,
    /// Send this as `cursor` to get the next page. `null` on the last page.
    #[oai(nullable)]
    next_cursor: Option<String>,
    /// The number of users in all pages. Only if `include_total` is `true`.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<u64>,
}

impl Example for UserPage {
    fn example() -> Self {
        let next_cursor = Some("eyJzb3J0IjoiLWNyZWF0ZWRfYXQiLCJhdCI6WzE3OTUzMzk4MDAwMDAsIjAx…".to_owned());
        Self { items: vec![UserView::example()], next_cursor, total: Some(1234) }
    }
}

/// The order of a list of users; `-` is descending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(remote = "domain::UserSort")]
pub enum UserSort {
    #[oai(rename = "-created_at")]
    NewestFirst,
    #[oai(rename = "created_at")]
    OldestFirst,
    #[oai(rename = "email")]
    Email,
    #[oai(rename = "-email")]
    EmailDescending,
}

impl From<&User> for UserView {
    fn from(user: &User) -> Self {
        let (verified_at, expires_at) = match user.verification {
            Verification::Done { at } => (Some(Time(at)), None),
            Verification::Pending { expires_at } => (None, Some(Time(expires_at))),
        };
        let name = |name: &Option<Name>| name.as_ref().map(|name| name.as_str().to_owned());
        Self {
            id: *user.id.as_uuid(),
            email: user.profile.email.as_str().to_owned(),
            role: user.role.into(),
            status: user.status().into(),
            disabled: user.disabled,
            created_at: Time(user.created_at),
            updated_at: Time(user.updated_at),
            verified_at,
            last_login_at: user.last_login_at.map(Time),
            expires_at,
            first_name: name(&user.profile.first_name),
            last_name: name(&user.profile.last_name),
        }
    }
}

impl UserPage {
    pub fn new(page: Page<User, UserCursor>, sort: domain::UserSort) -> Self {
        Self {
            items: page.items.iter().map(Into::into).collect(),
            next_cursor: page.next.map(|cursor| cursor.encode(sort)),
            total: page.total,
        }
    }
}
