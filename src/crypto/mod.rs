//! What needs keys and randomness, and knows no rule: the installation secret, sealing, password hashing, tokens.
//!
//! Each part has a small error of its own; `core::Error` says what becomes of them.

mod argon2id;
mod claims;
mod hashing;
pub mod key_ring;
mod memory;
pub mod random;
mod sealing;
pub mod secret;
pub mod secret_file;
pub mod tokens;

pub use self::{
    argon2id::{Check, HashError},
    hashing::Hasher,
    key_ring::{KeyError, PublicKey},
    sealing::Unsealed,
    secret::InstallationSecret,
    secret_file::SecretError,
    tokens::{TokenError, Tokens},
};
