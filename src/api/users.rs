//! `/users`.

use poem_openapi::{
    ApiResponse, OpenApi,
    param::{Path, Query},
};
use uuid::Uuid;

use super::{
    ApiResult, Tag,
    answers::{Json, NoContent},
    body::Body,
    guards::{AsAdmin, OwnOrAdmin},
    inputs::{
        EditUser, Invite,
        page::{default_limit, limit as page_limit, user_cursor},
    },
    views::{Role, Status, UserPage, UserSort, UserView},
};
use crate::{
    accounts::{Accounts, InvitationDraft},
    domain::{UserFilter, UserId, UserQuery},
};

pub struct Users(pub Accounts);

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
    /// Gives one page of the users that match every filter, newest first unless `sort` says otherwise. To get all pages,
    /// send `next_cursor` as `cursor` with the same `sort` until it is `null`: no user is repeated or skipped, whatever is
    /// added or deleted meanwhile. For admins only; other users get `403 forbidden`.
    #[oai(path = "/users", method = "get", operation_id = "list_users")]
    #[expect(clippy::too_many_arguments, reason = "one for each query parameter")]
    async fn list(
        &self,
        by: AsAdmin,
        /// The most users in a page.
        #[oai(validator(minimum(value = "1"), maximum(value = "200")), default = "default_limit")]
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
        let sort = sort.0.map(Into::into).unwrap_or_default();
        let query = UserQuery {
            filter,
            sort,
            cursor: user_cursor(cursor.0, sort)?,
            limit: page_limit(limit.0)?,
            count: include_total.0.unwrap_or(false),
        };
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
