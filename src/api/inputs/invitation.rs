//! The body of an invitation.

use poem_openapi::{Object, types::Example};

use crate::{accounts::InvitationDraft, api::views::Role, domain};

/// An invitation.
#[derive(Object)]
#[oai(example)]
pub struct Invite {
    /// The e-mail address, such as `name@example.com`, with at most 254 bytes. Only one account can have it, in whatever
    /// spelling: upper and lower case do not differ. Letters before the @ that stand for others, such as full-width ones,
    /// are refused.
    #[oai(validator(max_length = 254))]
    email: String,
    /// The first name, with 1 to 100 characters. Optional.
    #[oai(validator(max_length = 100), nullable)]
    first_name: Option<String>,
    /// The last name, with 1 to 100 characters. Optional.
    #[oai(validator(max_length = 100), nullable)]
    last_name: Option<String>,
    /// What the user may do once the invitation is accepted. Default: `user`.
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

impl From<Invite> for InvitationDraft {
    fn from(invite: Invite) -> Self {
        let Invite { email, first_name, last_name, role } = invite;
        Self { email, first_name, last_name, role: role.map_or(domain::Role::User, Into::into) }
    }
}
