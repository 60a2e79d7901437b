//! What keeps a server running: the purge, and whether it works.

mod health;
mod purge;
mod purge_hold;
mod purge_plan;

pub use self::{
    health::Health,
    purge::{Purge, PurgeInterrupted},
    purge_hold::{ClockCheck, HoldReason, MAX_JUMP, PurgeHold},
    purge_plan::{PurgePlan, PurgeScope, Purged},
};
