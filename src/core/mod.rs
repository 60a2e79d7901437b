//! What every use case shares: errors, rate limits, codes, the audit, and who asks.

pub(crate) mod actor;
pub(crate) mod attempts_in_progress;
pub(crate) mod audit;
pub(crate) mod change_limits;
pub(crate) mod codes;
pub(crate) mod error;
pub(crate) mod links;
pub(crate) mod password_attempts;
pub(crate) mod rate_limits;
pub(crate) mod tasks;
pub(crate) mod timing;
