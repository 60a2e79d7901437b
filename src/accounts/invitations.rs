//! Invitations: an admin makes an account, its owner chooses the password.

use super::{
    Accounts, Admin, Error,
    change_limits::ChangeKind,
    codes::{CodeMessage, FreshCode},
    registration::{insert, name},
};
use crate::domain::{Action, Email, Invalid, Problems, Profile, Purpose, Role, User};

/// Whom an admin invites, not looked at yet.
#[derive(Clone, Debug)]
pub struct InvitationDraft {
    /// The address.
    pub email: String,
    /// First name, if known.
    pub first_name: Option<String>,
    /// Last name, if known.
    pub last_name: Option<String>,
    /// The role that they will have.
    pub role: Role,
}

/// Somebody who can be invited: every rule is met but the uniqueness of the address.
#[derive(Clone, Debug)]
pub struct Invitee {
    profile: Profile,
    role: Role,
}

impl InvitationDraft {
    /// Looks at everything that was typed, so that all that is wrong with it is said at once.
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

impl Accounts {
    /// Makes an account without a password and sends its owner a code and link to choose one, which verifies the address,
    /// too. Until then it has no rights, and expires like any sign-up.
    ///
    /// # Errors
    /// `EmailTaken`, `TooManyRequests`.
    pub async fn invite(&self, by: &Admin, invitee: Invitee) -> Result<User, Error> {
        let now = self.clock.now();
        let fresh = FreshCode::new();
        let (accounts, by) = (self.clone(), by.clone());
        let made = self.store.write(move |tx| {
            by.recheck_admin(tx, now)?;
            accounts.charge_change(tx, ChangeKind::ByAdmin, by.audit_actor(), now)?;
            let lifetime = accounts.rules.unverified_after;
            let user = User::invited(invitee.profile, invitee.role, now, lifetime);
            insert(tx, &user, None)?;
            by.audit_actor().record(tx, Action::UserInvited, user.id, now)?;
            accounts.send_code(tx, CodeMessage::to(&user, Purpose::AcceptInvitation), &fresh, now)?;
            Ok::<_, Error>(user)
        });
        let user = made.await?;
        self.posted.notify_one();
        Ok(user)
    }
}
