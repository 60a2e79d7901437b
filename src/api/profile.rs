//! `/me`.

use poem_openapi::{
    Object, OpenApi,
    types::{Example, MaybeUndefined},
};

use super::{
    ApiResult, Tag,
    answers::{Json, NoContent},
    body::Body,
    guards::SignedIn,
    passwords::current_password,
    users::UserView,
};
use crate::{
    accounts::Accounts,
    domain::{Change, FieldError, Invalid, Name, Problems, ProfileChange},
};

pub struct Profile(pub Accounts);

/// A change to the own account. A field that is left out stays as it is, `null` clears it.
#[derive(Object)]
#[oai(example)]
struct EditMe {
    /// The first name, with 1 to 100 characters, or `null` to clear it.
    #[oai(validator(max_length = 100), nullable)]
    first_name: MaybeUndefined<String>,
    /// The last name, with 1 to 100 characters, or `null` to clear it.
    #[oai(validator(max_length = 100), nullable)]
    last_name: MaybeUndefined<String>,
}

/// The confirmation that the own account is to be deleted.
#[derive(Object)]
#[oai(example)]
struct DeleteMe {
    /// The present password.
    #[oai(validator(max_length = 256))]
    current_password: String,
}

impl Example for DeleteMe {
    fn example() -> Self {
        Self { current_password: "mocha stirs slowly".to_owned() }
    }
}

impl Example for EditMe {
    fn example() -> Self {
        Self { first_name: MaybeUndefined::Value("Anna".to_owned()), last_name: MaybeUndefined::Null }
    }
}

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
        let change = body.check(|edit| profile_change(&edit.first_name, &edit.last_name))?;
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
        let current = body.check(|delete| current_password(&delete.current_password))?;
        self.0.delete_own_account(&who.0, current).await?;
        Ok(NoContent::Done)
    }
}

/// A change of names, from how it is written in JSON.
pub fn profile_change(
    first_name: &MaybeUndefined<String>,
    last_name: &MaybeUndefined<String>,
) -> Result<ProfileChange, Invalid> {
    let mut problems = Problems::new();
    let first_name = problems.take(name("first_name", first_name));
    let last_name = problems.take(name("last_name", last_name));
    problems.finish(
        first_name.zip(last_name).map(|(first_name, last_name)| ProfileChange { first_name, last_name }),
    )
}

fn name(field: &'static str, value: &MaybeUndefined<String>) -> Result<Change<Option<Name>>, FieldError> {
    match value {
        MaybeUndefined::Undefined => Ok(Change::Keep),
        MaybeUndefined::Null => Ok(Change::Set(None)),
        MaybeUndefined::Value(typed) => Name::parse(field, typed).map(|name| Change::Set(Some(name))),
    }
}
