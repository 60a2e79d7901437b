//! What an invitation takes and gives; the operation is with the others of `/users`.

use poem_openapi::{ApiResponse, Object, types::Example};

use super::{answers::Json, users::UserView, views::Role};
use crate::{accounts::InvitationDraft, model};

/// Whom an admin invites.
#[derive(Object)]
#[oai(example)]
pub struct Invite {
    /// A plain address such as `name@example.com`, at most 254 bytes; unique in the shop, whatever its spelling.
    #[oai(validator(max_length = 254))]
    email: String,
    /// 1 to 100 characters.
    #[oai(validator(max_length = 100), nullable)]
    first_name: Option<String>,
    /// 1 to 100 characters.
    #[oai(validator(max_length = 100), nullable)]
    last_name: Option<String>,
    /// What they may do once they have accepted; `user` if it is left out.
    role: Option<Role>,
}

impl Example for Invite {
    fn example() -> Self {
        Self {
            email: "bob@example.com".to_owned(),
            first_name: Some("Bob".to_owned()),
            last_name: None,
            role: Some(Role::User),
        }
    }
}

#[derive(ApiResponse)]
pub enum Invited {
    /// The new user, `unverified`.
    #[oai(status = 201)]
    Created(Json<UserView>),
}

impl From<Invite> for InvitationDraft {
    fn from(invite: Invite) -> Self {
        let Invite { email, first_name, last_name, role } = invite;
        Self { email, first_name, last_name, role: role.map_or(model::Role::User, Into::into) }
    }
}
