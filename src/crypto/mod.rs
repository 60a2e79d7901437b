//! Secrets: passwords hashed, tokens signed, messages sealed; no rule and no store.

pub(crate) mod hashing;
pub(crate) mod key_ring;
pub(crate) mod memory;
pub(crate) mod secret;
pub(crate) mod tokens;
