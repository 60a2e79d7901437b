//! `/me`.

use poem_openapi::OpenApi;

use super::{
    answers::{Json, NoContent},
    body::Body,
    guards::Authenticated,
    inputs::{DeleteMe, EditMe},
    tags::Tag,
    views::UserView,
};
use crate::{accounts, http::ApiResult};

pub struct Profile(pub accounts::Profile);

#[OpenApi(tag = "Tag::OwnAccount")]
impl Profile {
    /// Get your own account
    ///
    /// Returns the authenticated user, verified or not.
    #[oai(path = "/me", method = "get", operation_id = "get_me")]
    async fn get(&self, caller: Authenticated) -> ApiResult<Json<UserView>> {
        Ok(Json(caller.0.user().into()))
    }

    /// Edit your own account
    ///
    /// Changes the names of the authenticated user. This is a partial update: an omitted field stays as it is, and `null`
    /// clears a name. Change the e-mail address with `POST /me/email` and the password with `POST /me/password`.
    ///
    /// Errors:
    /// - `429 too_many_requests`: too many changes by the account or the client.
    #[oai(path = "/me", method = "patch", operation_id = "edit_me")]
    async fn edit(&self, caller: Authenticated, body: Body<EditMe>) -> ApiResult<Json<UserView>> {
        let change = body.check(EditMe::parse)?;
        let user = self.0.update(&caller.0, change).await?;
        Ok(Json((&user).into()))
    }

    /// Delete your own account
    ///
    /// Deletes the account and all that belongs to it: sessions, codes, links, and messages that are not sent yet. This
    /// cannot be undone. The e-mail address can be used for a new account; audit events about the user are kept.
    ///
    /// Errors:
    /// - `401 invalid_credentials`: the current password is wrong. This counts towards the limit on failed logins.
    /// - `409 last_admin`: the last active admin cannot be deleted.
    /// - `429 too_many_requests`: too many failed attempts.
    #[oai(path = "/me", method = "delete", operation_id = "delete_me")]
    async fn delete(&self, caller: Authenticated, body: Body<DeleteMe>) -> ApiResult<NoContent> {
        let current = body.check(DeleteMe::parse)?;
        self.0.delete(&caller.0, current).await?;
        Ok(NoContent::Done)
    }
}
