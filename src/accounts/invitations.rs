//! Invitations: an admin creates an account, its user chooses the password.

use super::new_user::{insert, name};
use crate::{
    core::{Admin, CodeMessage, Core, Error, FreshCode, send_code},
    domain::{Action, Email, Invalid, Problems, Profile, Purpose, Role, User},
};

#[derive(Clone)]
pub struct Invitations {
    core: Core,
}

/// What an admin types to invite a user, not checked yet.
#[derive(Clone, Debug)]
pub struct InvitationDraft {
    pub email: String,
    pub first_name: Option<String>,
    pub last_name: Option<String>,
    pub role: Role,
}

/// A user who can be invited: every rule is met but the uniqueness of the address.
#[derive(Clone, Debug)]
pub struct Invitee {
    profile: Profile,
    role: Role,
}

impl InvitationDraft {
    /// Checks everything that was typed, so that all that is wrong with it is said at once.
    ///
    /// # Errors
    /// Every field that breaks a rule.
    pub fn check(&self) -> Result<Invitee, Invalid> {
        let mut problems = Problems::new();
        let email = problems.take(Email::parse("email", &self.email));
        let first_name = problems.take(name("first_name", self.first_name.as_deref())).flatten();
        let last_name = problems.take(name("last_name", self.last_name.as_deref())).flatten();
        let role = self.role;
        problems
            .finish(email.map(|email| Invitee { profile: Profile { email, first_name, last_name }, role }))
    }
}

impl Invitations {
    pub(crate) fn new(core: Core) -> Self {
        Self { core }
    }

    /// Creates an account without a password and sends its user a code and link to choose one, which verifies the address,
    /// too. Until then it has no rights, and expires like any sign-up.
    ///
    /// # Errors
    /// `EmailTaken`, `TooManyRequests`.
    pub async fn invite(&self, by: &Admin, invitee: Invitee) -> Result<User, Error> {
        let fresh = FreshCode::new();
        let written = self.core.write_change_as(by, move |tx, by, now| {
            let user = User::invited(invitee.profile, invitee.role, now, tx.settings().unverified_after);
            insert(tx, &user, None)?;
            by.record(tx, Action::UserInvited, user.id, now)?;
            send_code(tx, CodeMessage::to(&user, Purpose::AcceptInvitation), &fresh, now)?;
            Ok(user)
        });
        written.await
    }
}
