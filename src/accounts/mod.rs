//! User accounts: how they are made, verified, changed, exported and deleted.

mod audit;
mod deletion;
mod email_change;
mod exports;
mod invitations;
mod new_user;
mod passwords;
mod profile;
mod registration;
mod reminders;
mod users;
mod verification;

pub use self::{
    audit::Audit,
    email_change::EmailChange,
    exports::{Export, Exports},
    invitations::{InvitationDraft, Invitations, Invitee},
    passwords::{PasswordReset, Passwords},
    profile::Profile,
    registration::{Registered, Registration, SignupDraft},
    reminders::Reminders,
    users::Users,
    verification::{LinkInfo, Rejected, Verification},
};
