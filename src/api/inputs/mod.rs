//! What requests bring: one file per noun. Each input is checked into values of the domain.

mod email_change;
mod invitation;
pub mod page;
mod password;
mod profile;
mod registration;
mod session;
mod text;
mod user;
mod verification;

pub use self::{
    email_change::ChangeEmail,
    invitation::Invite,
    password::{ChangePassword, Reset},
    profile::{DeleteMe, EditMe},
    registration::Signup,
    session::{Login, Refresh},
    text::{AuditCursorText, SearchText, UserCursorText},
    user::EditUser,
    verification::{Address, Verify, proof},
};
