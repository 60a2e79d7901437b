//! Signing up, and making the first admin.

use std::sync::Arc;

use super::{Accounts, Admin, Error, audit::AuditActor, codes::FreshCode, timing::pad_to_step, users::free};
use crate::{
    domain::{
        Action, Client, Email, Invalid, MessageKind, Name, NewPassword, Origin, PasswordHash, PasswordPolicy,
        Problems, Profile, User,
    },
    store::{self, Tx},
};

/// What somebody types to get an account, not looked at yet.
#[derive(Clone, Debug, Default)]
pub struct SignupDraft {
    /// The address.
    pub email: String,
    /// The password.
    pub password: String,
    /// First name, if told.
    pub first_name: Option<String>,
    /// Last name, if told.
    pub last_name: Option<String>,
}

impl SignupDraft {
    fn check(self, policy: &PasswordPolicy) -> Result<NewUser, Invalid> {
        let mut problems = Problems::new();
        let email = problems.take(Email::parse("email", &self.email));
        let first_name = problems.take(name("first_name", self.first_name.as_deref())).flatten();
        let last_name = problems.take(name("last_name", self.last_name.as_deref())).flatten();
        // A password is judged beside whatever is known about its owner, even if that is nothing yet.
        let known = email.clone().unwrap_or_else(|| Email::stored(self.email.clone(), self.email));
        let profile = Profile { email: known, first_name, last_name };
        let password = problems.take(policy.check("password", &self.password, &profile));
        problems.finish(email.zip(password).map(|(_, password)| NewUser { profile, password }))
    }
}

/// Somebody who may have an account: every rule is met but the uniqueness of the address.
#[derive(Clone, Debug)]
pub struct NewUser {
    profile: Profile,
    password: NewPassword,
}

/// What came of a sign-up.
#[derive(Debug)]
pub enum Registered {
    /// An account.
    User(Box<User>),
    /// Something that the shop does not want to tell (`auth.hide_taken_emails`).
    Hidden,
}

impl Accounts {
    /// Looks at everything that was typed, so that all that is wrong with it is said at once.
    ///
    /// # Errors
    /// `Invalid` with every field that breaks a rule; `TooManyRequests` from this client, for which a password that takes
    /// some milliseconds to judge costs something of a budget; `Busy`.
    pub async fn check_signup(&self, draft: SignupDraft, client: &Client) -> Result<NewUser, Error> {
        let rules = Arc::clone(&self.rules);
        if rules.policy.measure("password", &draft.password).is_err() {
            return Ok(draft.check(&rules.policy)?); // nothing in it takes long
        }
        self.charge_strength_check(client, self.clock.now()).await?;
        Ok(self.hasher.run(move || draft.check(&rules.policy)).await??)
    }

    /// Signs somebody up: an unverified user, and a message with a code and a link to verify with.
    ///
    /// # Errors
    /// `EmailTaken`, unless the shop hides that; `TooManyRequests` from this client; `Busy`.
    pub async fn register(&self, new: NewUser, origin: Origin) -> Result<Registered, Error> {
        if self.rules.hide_taken_emails {
            return pad_to_step(self.try_to_register(new, origin)).await;
        }
        self.try_to_register(new, origin).await
    }

    async fn try_to_register(&self, new: NewUser, origin: Origin) -> Result<Registered, Error> {
        let now = self.clock.now();
        let hash = self.hasher.hash(new.password).await?;
        let code = FreshCode::new();
        let accounts = self.clone();
        let registered = self.store.write(move |tx| {
            let user = User::signed_up(new.profile, now, accounts.rules.unverified_after);
            match insert(tx, &user, Some(&hash)) {
                Err(Error::EmailTaken) if accounts.rules.hide_taken_emails => {
                    accounts.charge_message(tx, &origin.client, now)?;
                    accounts.tell_owner(tx, &user)?;
                }
                inserted => {
                    inserted?;
                    accounts.charge_message(tx, &origin.client, now)?;
                    AuditActor::anonymous(origin).record(tx, Action::UserSignedUp, user.id, now)?;
                    accounts.ask_to_verify(tx, &user, &code, now)?;
                }
            }
            Ok::<_, Error>(user)
        });
        let user = registered.await?;
        self.posted.notify_one();
        Ok(if self.rules.hide_taken_emails { Registered::Hidden } else { Registered::User(Box::new(user)) })
    }

    /// Makes a verified admin, from the console.
    ///
    /// # Errors
    /// `EmailTaken`.
    pub async fn create_admin(&self, by: &Admin, new: NewUser) -> Result<User, Error> {
        let now = self.clock.now();
        let hash = self.hasher.hash(new.password).await?;
        let by = by.clone();
        let created = self.store.write(move |tx| {
            let user = User::admin(new.profile, now);
            insert(tx, &user, Some(&hash))?;
            by.audit_actor().record(tx, Action::UserCreated, user.id, now)?;
            Ok::<_, Error>(user)
        });
        created.await
    }

    /// Tells the owner of an address that somebody tried to sign up with it.
    fn tell_owner(&self, tx: &Tx<'_>, newcomer: &User) -> Result<(), Error> {
        let now = newcomer.created_at;
        let Some((owner, _)) = tx.user_by_email(&newcomer.profile.email)? else { return Ok(()) };
        self.notify_with_form(tx, "taken", MessageKind::AddressTaken, &owner.profile.email, now)
    }
}

/// Adds a user; an expired account gives its address up first. There is no look before the insert: the database alone
/// decides whose address it is.
pub(crate) fn insert(tx: &Tx<'_>, user: &User, hash: Option<&PasswordHash>) -> Result<(), Error> {
    free(tx, &user.profile.email, user.created_at)?;
    tx.insert_user(user, hash).map_err(|error: store::Error| error.into())
}

/// A name that may have been told.
pub(crate) fn name(
    field: &'static str,
    typed: Option<&str>,
) -> Result<Option<Name>, crate::domain::FieldError> {
    typed.map(|typed| Name::parse(field, typed)).transpose()
}
