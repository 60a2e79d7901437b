//! What answers show: one file per noun.

mod audit_event;
mod export;
mod health;
mod key;
mod session;
mod time;
mod user;

pub use self::{
    audit_event::{Action, AuditEventView, AuditPage},
    export::Export,
    health::Health,
    key::KeySet,
    session::{SessionList, SessionView, Tokens},
    user::{Role, Status, UserPage, UserSort, UserView},
};
