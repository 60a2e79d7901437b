//! `/users`.

use poem_openapi::{
    ApiResponse, OpenApi,
    param::{Path, Query},
};
use uuid::Uuid;

use super::{
    answers::{Json, NoContent},
    body::Body,
    guards::{AdminOnly, SelfOrAdmin},
    inputs::{EditUser, Invite, SearchText, UserCursorText, page},
    tags::Tag,
    views::{Role, Status, UserPage, UserSort, UserView},
};
use crate::{
    accounts::{self, InvitationDraft},
    domain::{UserFilter, UserId, UserQuery},
    http::ApiResult,
};

pub struct Users {
    pub users: accounts::Users,
    pub invitations: accounts::Invitations,
}

#[derive(ApiResponse)]
enum Invited {
    /// The account was created. The body is the new user, with the status `unverified`.
    #[oai(status = 201)]
    Created(Json<UserView>),
}

#[OpenApi(tag = "Tag::Users")]
impl Users {
    /// List users
    ///
    /// Returns one page of the users that match all filters, newest first unless `sort` says otherwise. To get the next
    /// page, send `next_cursor` as `cursor` with the same `sort`, until `next_cursor` is `null`. No user is repeated or
    /// skipped, even if users are created or deleted between the requests. For admins only.
    ///
    /// Errors:
    /// - `403 forbidden`: the caller is not an active admin.
    #[oai(path = "/users", method = "get", operation_id = "list_users")]
    #[expect(clippy::too_many_arguments, reason = "one for each query parameter")]
    async fn list(
        &self,
        admin: AdminOnly,
        /// The maximum number of users in the page.
        #[oai(validator(minimum(value = "1"), maximum(value = "200")), default = "page::default_limit")]
        limit: Query<i64>,
        /// The `next_cursor` of the page before, from a request with the same `sort`. Omit it to get the first page.
        cursor: Query<Option<UserCursorText>>,
        /// Only users whose e-mail address or names contain each word of this text, in any order. Case and accents are
        /// ignored.
        q: Query<Option<SearchText>>,
        /// Only users with this role.
        role: Query<Option<Role>>,
        /// Only users with this status.
        status: Query<Option<Status>>,
        /// Only users who are disabled (`true`), or only users who are not (`false`).
        disabled: Query<Option<bool>>,
        /// Sort by the time of creation or by the e-mail address; prefix `-` for descending order. Default: `-created_at`.
        sort: Query<Option<UserSort>>,
        /// Whether to return the number of users in all pages, as `total`.
        include_total: Query<Option<bool>>,
    ) -> ApiResult<Json<UserPage>> {
        let filter = UserFilter {
            text: q.0.map(|text| text.0),
            role: role.0.map(Into::into),
            status: status.0.map(Into::into),
            disabled: disabled.0,
        };
        let sort = sort.0.map(Into::into).unwrap_or_default();
        let query = UserQuery {
            filter,
            sort,
            cursor: page::user_cursor(cursor.0, sort)?,
            limit: page::limit(limit.0)?,
            count: include_total.0.unwrap_or(false),
        };
        let page = self.users.list(&admin.0, query).await?;
        Ok(Json(UserPage::new(page, sort)))
    }

    /// Invite a user
    ///
    /// Creates an account without a password, and sends its owner a code and a link to choose one, with `POST
    /// /auth/password/reset` or on the page of the link. That also verifies the e-mail address. Until then the user cannot
    /// log in, and the account is deleted at `expires_at`, as after a sign-up. `POST /auth/verify/resend` sends the
    /// invitation again. For admins only.
    ///
    /// Errors:
    /// - `403 forbidden`: the caller is not an active admin.
    /// - `409 email_taken`: another account has the address.
    /// - `429 too_many_requests`: too many changes by the admin or the client, or too many messages to the address.
    #[oai(path = "/users", method = "post", operation_id = "invite_user")]
    async fn invite(&self, admin: AdminOnly, body: Body<Invite>) -> ApiResult<Invited> {
        let invitee = body.check(|invite| InvitationDraft::from(invite).check())?;
        let user = self.invitations.invite(&admin.0, invitee).await?;
        Ok(Invited::Created(Json((&user).into())))
    }

    /// Get a user
    ///
    /// Returns one user. For admins only; other users get their own account with `GET /me`.
    ///
    /// Errors:
    /// - `403 forbidden`: the caller is not an active admin. The answer does not tell whether the user exists.
    #[oai(path = "/users/:id", method = "get", operation_id = "get_user")]
    async fn get(
        &self,
        admin: AdminOnly,
        /// The id of the user.
        id: Path<Uuid>,
    ) -> ApiResult<Json<UserView>> {
        let user = self.users.get(&admin.0, UserId::from_uuid(id.0)).await?;
        Ok(Json((&user).into()))
    }

    /// Edit a user
    ///
    /// Changes a user. This is a partial update: an omitted field stays as it is, and `null` clears a name. Users can
    /// change their own names, as with `PATCH /me`; admins can change all fields of all users.
    ///
    /// A new role, a new status and `disabled` count from the next request of the user. All sessions of the user end with a
    /// new e-mail address, with the status `verified` after `unverified`, with `disabled`, and, where unverified users cannot log in, with the
    /// status `unverified`.
    ///
    /// Errors:
    /// - `403 forbidden`: the caller is not an active admin, and this is another user or a field other than a name. The answer
    ///   does not tell whether the user exists.
    /// - `409 email_taken`: another account has the address.
    /// - `409 last_admin`: the last active admin cannot be demoted, disabled or set to unverified. An invited admin is
    ///   active only after choosing a password.
    /// - `429 too_many_requests`: too many changes by the caller or the client.
    #[oai(path = "/users/:id", method = "patch", operation_id = "edit_user")]
    async fn edit(
        &self,
        caller: SelfOrAdmin,
        /// The id of the user.
        id: Path<Uuid>,
        body: Body<EditUser>,
    ) -> ApiResult<Json<UserView>> {
        let change = body.check(EditUser::parse)?;
        let user = self.users.update_as(&caller.0, UserId::from_uuid(id.0), change).await?;
        Ok(Json((&user).into()))
    }

    /// Delete a user
    ///
    /// Deletes the account and all that belongs to it: sessions, codes, links, and messages that are not sent yet. This
    /// cannot be undone. The e-mail address can be used for a new account; audit events about the user are kept. For admins
    /// only.
    ///
    /// Errors:
    /// - `403 forbidden`: the caller is not an active admin.
    /// - `409 last_admin`: the last active admin cannot be deleted.
    /// - `429 too_many_requests`: too many changes by the admin or the client.
    #[oai(path = "/users/:id", method = "delete", operation_id = "delete_user")]
    async fn delete(
        &self,
        admin: AdminOnly,
        /// The id of the user.
        id: Path<Uuid>,
    ) -> ApiResult<NoContent> {
        self.users.delete(&admin.0, UserId::from_uuid(id.0)).await?;
        Ok(NoContent::Done)
    }
}
