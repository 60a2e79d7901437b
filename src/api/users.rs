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
    model::{
        Change, Email, Invalid, Name, Page, Problems, Standing, User, UserChange, UserCursor, UserFilter,
        UserId, UserQuery,
    },
};

pub struct Users(pub Accounts);

/// A user. What there is none of is `null`.
#[derive(Object, Serialize)]
#[oai(rename = "User", example)]
pub struct UserView {
    /// Never changes, never used again: a UUIDv7.
    id: Uuid,
    /// The address, as it was typed.
    email: String,
    /// First name, if told.
    #[oai(nullable)]
    first_name: Option<String>,
    /// Last name, if told.
    #[oai(nullable)]
    last_name: Option<String>,
    /// What they may do.
    role: Role,
    /// Whether they have proven to own the address.
    status: Status,
    /// Shut out by an admin.
    disabled: bool,
    /// When the account was made.
    created_at: Time,
    /// When the address, a name, the role, the status or `disabled` last changed.
    updated_at: Time,
    /// When the address was confirmed.
    #[oai(nullable)]
    verified_at: Option<Time>,
    /// When they last logged in.
    #[oai(nullable)]
    last_login_at: Option<Time>,
    /// When the clean-up will delete the account: set while the status is `unverified`.
    #[oai(nullable)]
    expires_at: Option<Time>,
}

impl Example for UserView {
    fn example() -> Self {
        let created_at = Time(crate::model::Timestamp::from_millis(1_795_339_800_000));
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
    /// Where the next page starts, to be sent as `cursor`; `null` on the last page.
    #[oai(nullable)]
    next_cursor: Option<String>,
    /// How many users there are in all pages, if `include_total` asked for it.
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

/// What changes about a user. A field that is left out stays as it is; `null` clears a name. Users may change their own
/// names, everything else takes an admin.
#[derive(Object)]
#[oai(example)]
struct EditUser {
    /// 1 to 100 characters.
    #[oai(validator(max_length = 100), nullable)]
    first_name: MaybeUndefined<String>,
    /// 1 to 100 characters.
    #[oai(validator(max_length = 100), nullable)]
    last_name: MaybeUndefined<String>,
    /// A new address, in force at once: sessions end, and codes sent to the old address die. Admins only.
    #[oai(validator(max_length = 254))]
    email: MaybeUndefined<String>,
    /// A new role. Admins only.
    role: MaybeUndefined<Role>,
    /// A new status; an account made `unverified` has as much time as after a sign-up. Admins only.
    status: MaybeUndefined<Status>,
    /// Shut out (every session ends) or let in again. Admins only.
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
    /// One page of users, newest first unless `sort` says otherwise. Follow `next_cursor` until it is `null`: pages found
    /// that way neither repeat nor skip anyone, whatever is added or deleted meanwhile. Admins only.
    #[oai(path = "/users", method = "get", operation_id = "list_users")]
    #[expect(clippy::too_many_arguments, reason = "one for each query parameter")]
    async fn list(
        &self,
        by: AsAdmin,
        /// How many users a page has at most.
        #[oai(validator(minimum(value = "1"), maximum(value = "200")), default = "limit::default")]
        limit: Query<i64>,
        /// `next_cursor` of the page before, in the same `sort`.
        #[oai(validator(max_length = 1024))]
        cursor: Query<Option<String>>,
        /// Part of the address or of a name, in upper or lower case.
        #[oai(validator(max_length = 254))]
        q: Query<Option<String>>,
        /// Only users with this role.
        role: Query<Option<Role>>,
        /// Only users with this status.
        status: Query<Option<Status>>,
        /// Only users who are, or who are not, disabled.
        disabled: Query<Option<bool>>,
        /// By age or by address; a minus turns the order round. `-created_at` if it is left out.
        sort: Query<Option<UserSort>>,
        /// Whether to count the users in all pages, too.
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

    /// Invite somebody
    ///
    /// Makes an account without a password and sends its owner a code and a link to choose one, with `POST
    /// /auth/password/reset` or on our page; that verifies the address, too. Until then the account has no rights, and it
    /// is deleted at `expires_at` like any sign-up. `POST /auth/verify/resend` sends the invitation again. Admins only.
    #[oai(path = "/users", method = "post", operation_id = "invite_user")]
    async fn invite(&self, by: AsAdmin, body: Body<Invite>) -> ApiResult<Invited> {
        let invitee = body.check(|invite| InvitationDraft::from(invite).check())?;
        let user = self.0.invite(&by.0, invitee).await?;
        Ok(Invited::Created(Json((&user).into())))
    }

    /// See a user
    ///
    /// Admins only.
    #[oai(path = "/users/:id", method = "get", operation_id = "get_user")]
    async fn get(
        &self,
        by: AsAdmin,
        /// The user's id.
        id: Path<Uuid>,
    ) -> ApiResult<Json<UserView>> {
        let user = self.0.user(&by.0, UserId::from_uuid(id.0)).await?;
        Ok(Json((&user).into()))
    }

    /// Edit a user
    ///
    /// A partial update: what is left out stays. Users may change their own names here as at `PATCH /me`; an admin may
    /// change everything about everyone. The last admin who can act cannot be demoted, disabled or made unverified:
    /// `409 last_admin`. Somebody who may not do this gets `403`, whether or not the user exists.
    #[oai(path = "/users/:id", method = "patch", operation_id = "edit_user")]
    async fn edit(
        &self,
        by: OwnOrAdmin,
        /// The user's id.
        id: Path<Uuid>,
        body: Body<EditUser>,
    ) -> ApiResult<Json<UserView>> {
        let change = body.check(EditUser::parse)?;
        let user = self.0.edit_user(&by.0, UserId::from_uuid(id.0), change).await?;
        Ok(Json((&user).into()))
    }

    /// Delete a user
    ///
    /// Deletes the account and everything that belongs to it: sessions, codes and waiting messages. There is no way back.
    /// The last admin who can act stays: `409 last_admin`. Admins only.
    #[oai(path = "/users/:id", method = "delete", operation_id = "delete_user")]
    async fn delete(
        &self,
        by: AsAdmin,
        /// The user's id.
        id: Path<Uuid>,
    ) -> ApiResult<NoContent> {
        self.0.delete_user(&by.0, UserId::from_uuid(id.0)).await?;
        Ok(NoContent::Done)
    }
}

impl From<&User> for UserView {
    fn from(user: &User) -> Self {
        let (verified_at, expires_at) = match user.standing {
            Standing::Verified { verified_at } => (Some(Time(verified_at)), None),
            Standing::Unverified { expires_at } => (None, Some(Time(expires_at))),
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
    fn new(page: Page<User, UserCursor>, sort: crate::model::UserSort) -> Self {
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
        let profile = problems.take_all(profile_change(&self.first_name, &self.last_name));
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
