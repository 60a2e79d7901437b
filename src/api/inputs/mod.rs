//! What requests bring: one file per noun. Each input is checked into values of the domain.

mod email;
mod invitation;
pub mod page;
mod password;
mod profile;
mod registration;
mod session;
mod user;
mod verification;

pub use self::{
    email::ChangeEmail,
    invitation::Invite,
    password::{ChangePassword, Reset},
    profile::{DeleteMe, EditMe},
    registration::Signup,
    session::{Login, Refresh},
    user::EditUser,
    verification::{Address, Verify, proof},
};
