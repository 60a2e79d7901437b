//! What keeps a server running: the purge, whether it works, and a move to another database.

mod health;
mod purge;
mod purge_hold;
mod purge_plan;
mod store_move;

pub use self::{
    health::Health,
    purge::{Purge, PurgeInterrupted},
    purge_hold::{ClockCheck, HoldReason, MAX_JUMP, PurgeHold},
    purge_plan::{PurgePlan, PurgeScope, Purged},
    store_move::{MoveError, MoveMode, MoveProgress, Moved, StoreMove},
};
