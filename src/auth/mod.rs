//! Sessions, and the keys that sign their tokens.

mod authentication;
mod key_reload;
mod login;
mod refresh;
mod session_cache;
mod sessions;
mod signing_keys;
mod start;

pub(crate) use self::{key_reload::KeyReload, start::open_tokens};
pub use self::{
    sessions::{Sessions, TokenPair},
    signing_keys::{KeyInfo, Rotation, SigningKeys},
};
