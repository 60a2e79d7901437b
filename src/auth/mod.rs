//! Sessions, and the keys that sign their tokens.

pub(crate) mod session_cache;
pub(crate) mod sessions;
pub(crate) mod signing_keys;
