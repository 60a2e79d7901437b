//! The body of an invitation.

use poem_openapi::{Object, types::Example};

use super::text::{EmailText, NameText};
use crate::{accounts::InvitationDraft, api::views::Role, domain};

/// An invitation.
#[derive(Object)]
#[oai(example)]
pub struct Invite {
    /// The e-mail address, such as `name@example.com`, with at most {email-bytes} bytes. Only one account can have it; upper
    /// and lower case do not differ. Look-alikes of other letters before the `@`, such as full-width ones, are refused.
    email: EmailText,
    /// The first name, 1 to {name-chars} characters. Optional.
    #[oai(nullable)]
    first_name: Option<NameText>,
    /// The last name, 1 to {name-chars} characters. Optional.
    #[oai(nullable)]
    last_name: Option<NameText>,
    /// The role of the new user. Default: `user`.
    role: Option<Role>,
}

impl Example for Invite {
    fn example() -> Self {
        Self {
            email: "bob@example.com".into(),
            first_name: Some("Bob".into()),
            last_name: None,
            role: Some(Role::User),
        }
    }
}

impl From<Invite> for InvitationDraft {
    fn from(invite: Invite) -> Self {
        let Invite { email, first_name, last_name, role } = invite;
        Self {
            email: email.0,
            first_name: first_name.map(|name| name.0),
            last_name: last_name.map(|name| name.0),
            role: role.map_or(domain::Role::User, Into::into),
        }
    }
}
