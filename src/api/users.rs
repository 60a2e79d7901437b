//! `/users`.

use poem_openapi::{
    Object, OpenApi,
    param::{Path, Query},
    types::{Example, MaybeUndefined},
};
use serde::Serialize;
use uuid::Uuid;

use super::{
    ApiResult, Tag,
    answers::{Json, NoContent},
    body::Body,
    guards::{AsAdmin, OwnOrAdmin},
    invitations::{Invite, Invited},
    profile::profile_change,
    views::{Role, Status, Time, UserSort, cursor, limit},
};
use crate::{
    accounts::{Accounts, InvitationDraft},
    domain::{
        Change, Email, Invalid, Name, Page, Problems, User, UserChange, UserCursor, UserFilter, UserId,
        UserQuery, Verification,
    },
};

pub struct Users(pub Accounts);

/// A user. Absent values are `null`.
#[derive(Object, Serialize)]
#[oai(rename = "User", example)]
pub struct UserView {
    /// The id of the user, a UUIDv7. It never changes and is never used again.
    id: Uuid,
    /// The e-mail address, as it was typed.
    email: String,
    /// The first name.
    #[oai(nullable)]
    first_name: Option<String>,
    /// The last name.
    #[oai(nullable)]
    last_name: Option<String>,
    /// What the user may do.
    role: Role,
    /// Whether the user has confirmed the e-mail address.
    status: Status,
    /// Whether an admin has disabled the account. A disabled user cannot log in.
    disabled: bool,
    /// When the account was created.
    created_at: Time,
    /// When the e-mail address, a name, the role, the status or `disabled` last changed.
    updated_at: Time,
    /// When the e-mail address was confirmed.
    #[oai(nullable)]
    verified_at: Option<Time>,
    /// When the user last logged in.
    #[oai(nullable)]
    last_login_at: Option<Time>,
    /// When the account will be deleted unless it is verified before. Set while the status is `unverified`, `null` after.
    #[oai(nullable)]
    expires_at: Option<Time>,
}

impl Example for UserView {
    fn example() -> Self {
        let created_at = Time(crate::domain::Timestamp::from_millis(1_795_339_800_000));
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
struct UserPage {
    /// The users of this page.
    items: Vec<UserView>,
    /// Send it as `cursor` to get the next page. `null` on the last page.
    #[oai(nullable)]
    next_cursor: Option<String>,
    /// How many users match in all pages. Only if `include_total` is true.
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

/// A change to a user. A field that is left out stays as it is; `null` clears a name. Users may change their own names,
/// everything else is for admins.
#[derive(Object)]
#[oai(example)]
struct EditUser {
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

#[OpenApi(tag = "Tag::Users")]
impl Users {
    /// List users
    ///
    /// Gives one page of the users that match every filter, newest first unless `sort` says otherwise. To get all pages,
    /// send `next_cursor` as `cursor` with the same `sort` until it is `null`: no user is repeated or skipped, whatever is
    /// added or deleted meanwhile. For admins only; other users get `403 forbidden`.
    #[oai(path = "/users", method = "get", operation_id = "list_users")]
    #[expect(clippy::too_many_arguments, reason = "one for each query parameter")]
    async fn list(
        &self,
        by: AsAdmin,
        /// The most users in a page.
        #[oai(validator(minimum(value = "1"), maximum(value = "200")), default = "limit::default")]
        limit: Query<i64>,
        /// The `next_cursor` of the page before, in the same `sort`. Leave it out to get the first page.
        #[oai(validator(max_length = 1024))]
        cursor: Query<Option<String>>,
        /// Only users whose e-mail address or names contain each word of this text, in any order. Neither case nor accents
        /// count.
        #[oai(validator(max_length = 254))]
        q: Query<Option<String>>,
        /// Only users with this role.
        role: Query<Option<Role>>,
        /// Only users with this status.
        status: Query<Option<Status>>,
        /// Only users who are disabled (`true`), or who are not (`false`).
        disabled: Query<Option<bool>>,
        /// Sort by the time of creation or by the e-mail address; prefix `-` for descending order. Default: `-created_at`.
        sort: Query<Option<UserSort>>,
        /// Whether to count the users in all pages as `total`.
        include_total: Query<Option<bool>>,
    ) -> ApiResult<Json<UserPage>> {
        let filter = UserFilter {
            text: q.0,
            role: role.0.map(Into::into),
            status: status.0.map(Into::into),
            disabled: disabled.0,
        };
        let query = query(filter, sort.0, cursor.0.as_deref(), limit.0, include_total.0)?;
        let sort = query.sort;
        let page = self.0.users(&by.0, query).await?;
        Ok(Json(UserPage::new(page, sort)))
    }

    /// Invite a user
    ///
    /// Creates an account without a password, and sends its owner a code and a link to choose one with `POST
    /// /auth/password/reset` or on the page behind the link; that verifies the address, too. Until then the user cannot log
    /// in, and the account is deleted at `expires_at` like any sign-up. `POST /auth/verify/resend` sends the invitation
    /// again. An address that has an account already gets `409 email_taken`. For admins only; other users get `403
    /// forbidden`.
    #[oai(path = "/users", method = "post", operation_id = "invite_user")]
    async fn invite(&self, by: AsAdmin, body: Body<Invite>) -> ApiResult<Invited> {
        let invitee = body.check(|invite| InvitationDraft::from(invite).check())?;
        let user = self.0.invite(&by.0, invitee).await?;
        Ok(Invited::Created(Json((&user).into())))
    }

    /// Get a user
    ///
    /// Gives one user by id. For admins only: other users get `403 forbidden` for every id, also for their own, which they
    /// get with `GET /me`.
    #[oai(path = "/users/:id", method = "get", operation_id = "get_user")]
    async fn get(
        &self,
        by: AsAdmin,
        /// The id of the user.
        id: Path<Uuid>,
    ) -> ApiResult<Json<UserView>> {
        let user = self.0.user(&by.0, UserId::from_uuid(id.0)).await?;
        Ok(Json((&user).into()))
    }

    /// Edit a user
    ///
    /// Changes a user. It is a partial update: a field that is left out stays as it is, and `null` clears a name. Users may
    /// change their own names, as with `PATCH /me`; admins may change every field of every user. A user who may not do
    /// this gets `403 forbidden`, whether or not the other user exists.
    ///
    /// A new role, a new status and `disabled` count from the next request of the user on. A new e-mail address, the status
    /// `verified` after `unverified`, and `disabled` end every session of the user. The last active admin cannot be
    /// demoted, disabled or set to unverified (`409 last_admin`); an invited admin is not active before they have chosen a
    /// password.
    #[oai(path = "/users/:id", method = "patch", operation_id = "edit_user")]
    async fn edit(
        &self,
        by: OwnOrAdmin,
        /// The id of the user.
        id: Path<Uuid>,
        body: Body<EditUser>,
    ) -> ApiResult<Json<UserView>> {
        let change = body.check(EditUser::parse)?;
        let user = self.0.edit_user(&by.0, UserId::from_uuid(id.0), change).await?;
        Ok(Json((&user).into()))
    }

    /// Delete a user
    ///
    /// Deletes the account and everything that belongs to it: sessions, codes, links and messages in the outbox. This cannot
    /// be undone; the e-mail address can be used for a new account. Audit events about the user are kept. The last active
    /// admin cannot be deleted (`409 last_admin`). For admins only; other users get `403 forbidden`.
    #[oai(path = "/users/:id", method = "delete", operation_id = "delete_user")]
    async fn delete(
        &self,
        by: AsAdmin,
        /// The id of the user.
        id: Path<Uuid>,
    ) -> ApiResult<NoContent> {
        self.0.delete_user(&by.0, UserId::from_uuid(id.0)).await?;
        Ok(NoContent::Done)
    }
}

impl From<&User> for UserView {
    fn from(user: &User) -> Self {
        let (verified_at, expires_at) = match user.verification {
            Verification::Verified { verified_at } => (Some(Time(verified_at)), None),
            Verification::Unverified { expires_at } => (None, Some(Time(expires_at))),
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
    fn new(page: Page<User, UserCursor>, sort: crate::domain::UserSort) -> Self {
        Self {
            items: page.items.iter().map(Into::into).collect(),
            next_cursor: page.next.map(|cursor| cursor.encode(sort)),
            total: page.total,
        }
    }
}

impl EditUser {
    fn parse(self) -> Result<UserChange, Invalid> {
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

fn query(
    filter: UserFilter,
    sort: Option<UserSort>,
    cursor: Option<&str>,
    limit: i64,
    include_total: Option<bool>,
) -> ApiResult<UserQuery> {
    let sort = sort.map(Into::into).unwrap_or_default();
    let decode = |text| UserCursor::decode(text, sort).ok_or_else(|| cursor::foreign("a list in this sort"));
    let cursor = cursor.map(decode).transpose()?;
    let limit = limit::parse(limit)?;
    Ok(UserQuery { filter, sort, cursor, limit, count: include_total.unwrap_or(false) })
}
