//! `/me`.

use poem_openapi::OpenApi;

use super::{
    ApiResult, Tag,
    answers::{Json, NoContent},
    body::Body,
    guards::SignedIn,
    inputs::{DeleteMe, EditMe},
    views::UserView,
};
use crate::accounts::Accounts;

pub struct Profile(pub Accounts);

#[OpenApi(tag = "Tag::OwnAccount")]
impl Profile {
    /// Get your own account
    ///
    /// Gives the authenticated user, whether verified or not.
    #[oai(path = "/me", method = "get", operation_id = "get_me")]
    async fn get(&self, who: SignedIn) -> ApiResult<Json<UserView>> {
        Ok(Json(who.0.user().into()))
    }

    /// Edit your own account
    ///
    /// Changes the names. It is a partial update: a field that is left out stays as it is, and `null` clears a name. The
    /// e-mail address is changed with `POST /me/email`, the password with `POST /me/password`.
    #[oai(path = "/me", method = "patch", operation_id = "edit_me")]
    async fn edit(&self, who: SignedIn, body: Body<EditMe>) -> ApiResult<Json<UserView>> {
        let change = body.check(EditMe::parse)?;
        let user = self.0.edit_profile(&who.0, change).await?;
        Ok(Json((&user).into()))
    }

    /// Delete your own account
    ///
    /// Deletes your account and everything that belongs to it: sessions, codes, links and messages in the outbox. This
    /// cannot be undone; the e-mail address can be used for a new account. A wrong password gets `401 invalid_credentials`
    /// and counts towards the limit on failed logins (`429`). The last active admin cannot be deleted (`409 last_admin`).
    #[oai(path = "/me", method = "delete", operation_id = "delete_me")]
    async fn delete(&self, who: SignedIn, body: Body<DeleteMe>) -> ApiResult<NoContent> {
        let current = body.check(DeleteMe::parse)?;
        self.0.delete_own_account(&who.0, current).await?;
        Ok(NoContent::Done)
    }
}
