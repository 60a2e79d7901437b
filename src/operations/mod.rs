//! What the operator's server does by itself: the clean-up.

pub(crate) mod purge;
pub(crate) mod purge_hold;
