//! Signing up, and creating the first admin.

use super::new_user::{insert, name};
use crate::{
    core::{
        Admin, AuditActor, Core, Error, FreshCode, Tx, charge_strength_check, message_charge, outbox,
        pad_to_step, send_verification,
    },
    crypto::Hasher,
    domain::{
        Action, Client, Email, FieldError, Invalid, MessageKind, NewPassword, Origin, PasswordPolicy,
        Problems, Profile, User,
    },
};

#[derive(Clone)]
pub struct Registration {
    core: Core,
    hasher: Hasher,
}

/// What was typed to get an account, not checked yet.
#[derive(Clone, Debug, Default)]
pub struct SignupDraft {
    pub email: String,
    pub password: String,
    pub first_name: Option<String>,
    pub last_name: Option<String>,
    /// What is wrong with its form already; a field that is named here is not named a second time.
    pub malformed: Vec<FieldError>,
}

/// The result of a sign-up.
#[derive(Debug)]
pub enum Registered {
    User(Box<User>),
    /// The shop does not tell whether the address was free (`auth.hide_taken_emails`).
    Hidden,
}

/// A user who may have an account: every rule is met but the uniqueness of the address.
struct NewUser {
    profile: Profile,
    password: NewPassword,
}

impl Registration {
    pub(crate) fn new(core: Core, hasher: Hasher) -> Self {
        Self { core, hasher }
    }

    /// Creates an unverified user, and sends a code and a link to verify with.
    ///
    /// # Errors
    /// `Invalid` with every field that breaks a rule; `EmailTaken`, unless the shop hides that; `TooManyRequests` from this
    /// client; `Busy`.
    pub async fn register(&self, draft: SignupDraft, origin: Origin) -> Result<Registered, Error> {
        let new = self.check(draft, &origin.client).await?;
        if self.core.settings.hide_taken_emails {
            pad_to_step(self.create(new, origin)).await?;
            return Ok(Registered::Hidden);
        }
        Ok(Registered::User(Box::new(self.create(new, origin).await?)))
    }

    /// Creates a verified admin, from the command line.
    ///
    /// # Errors
    /// `Invalid`, `EmailTaken`.
    pub async fn create_admin(&self, by: &Admin, draft: SignupDraft) -> Result<User, Error> {
        let new = self.check(draft, &Client::default()).await?;
        let hash = self.hasher.hash(new.password).await?;
        let created = self.core.write_as(by, move |tx, by, now| {
            let user = User::admin(new.profile, now);
            insert(tx, &user, Some(&hash))?;
            by.record(tx, Action::UserCreated, user.id, now)?;
            Ok(user)
        });
        created.await
    }

    /// Checks everything that was typed, so that all that is wrong with it is said at once. The strength check takes some
    /// milliseconds: it is charged to the client, and runs where passwords are hashed.
    async fn check(&self, draft: SignupDraft, client: &Client) -> Result<NewUser, Error> {
        let core = self.core.clone();
        let settings = &self.core.settings;
        if settings.policy.check_length("password", &draft.password).is_err() {
            return Ok(draft.check(&settings.policy)?); // nothing in it takes long
        }
        charge_strength_check(&self.core, client, self.core.now()).await?;
        Ok(self.hasher.run(move || draft.check(&core.settings.policy)).await??)
    }

    async fn create(&self, new: NewUser, origin: Origin) -> Result<User, Error> {
        let now = self.core.now();
        let hash = self.hasher.hash(new.password).await?;
        let code = FreshCode::new();
        let charge = message_charge(&self.core, &origin.client, now);
        let created = self.core.write_charged(charge, move |tx| {
            let user = User::signed_up(new.profile, now, tx.settings().unverified_after);
            match insert(tx, &user, Some(&hash)) {
                Err(Error::EmailTaken) if tx.settings().hide_taken_emails => notify_owner(tx, &user)?,
                inserted => {
                    inserted?;
                    AuditActor::anonymous(origin).record(tx, Action::UserSignedUp, user.id, now)?;
                    send_verification(tx, &user, &code, now)?;
                }
            }
            Ok(user)
        });
        created.await
    }
}

impl SignupDraft {
    fn check(self, policy: &PasswordPolicy) -> Result<NewUser, Invalid> {
        let mut problems = Problems::new();
        let email = problems.take(Email::parse("email", &self.email));
        let first_name = problems.take(name("first_name", self.first_name.as_deref())).flatten();
        let last_name = problems.take(name("last_name", self.last_name.as_deref())).flatten();
        // A password is checked beside whatever is known about its user, even if that is nothing yet.
        let known = email.clone().unwrap_or_else(|| Email::stored(self.email.clone(), self.email));
        let profile = Profile { email: known, first_name, last_name };
        let password = problems.take(policy.check("password", &self.password, &profile));
        let checked = problems.finish(email.zip(password).map(|(_, password)| NewUser { profile, password }));
        Invalid::with_malformed(self.malformed, checked)
    }
}

/// Tells the owner of an address that it was used to sign up again.
fn notify_owner(tx: &Tx<'_>, signed_up: &User) -> Result<(), Error> {
    let now = signed_up.created_at;
    let Some((owner, _)) = tx.user_by_email(&signed_up.profile.email)? else { return Ok(()) };
    outbox::notify_with_form(tx, "taken", MessageKind::AddressTaken, &owner.profile.email, now)
}
