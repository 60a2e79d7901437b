//! Values, checked when they are made; no I/O, no async.

mod audit;
mod clock;
mod code;
mod email;
mod fold;
mod invalid;
mod joiners;
mod local_part;
mod message;
mod name;
mod network;
mod page;
mod password;
mod session;
pub mod typed;
mod user;

pub use audit::{Action, AuditCursor, AuditEvent, AuditQuery, Channel, FieldChange, Origin};
pub use clock::{Clock, Timestamp};
pub use code::{Code, CodeHash, CountKey, PlainCode, PlainToken, Purpose, TokenHash};
pub use email::{Email, mailbox};
pub use fold::{fold, search_words, searchable};
pub use invalid::{FieldError, Invalid, Problems};
pub use message::{Message, MessageId, MessageKind, MessageState, OutboxEntry};
pub use name::Name;
pub use network::{network, site};
pub use page::{Limit, Page, UserCursor, UserFilter, UserQuery, UserSort};
pub use password::{NewPassword, Password, PasswordHash, PasswordPolicy};
pub use session::{Client, Session, SessionId};
pub use strum::VariantArray;
pub use user::{Change, Profile, ProfileChange, Role, Status, User, UserChange, UserId, Verification};
