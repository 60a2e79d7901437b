//! Until when the outbox worker has new messages wait.

use std::sync::atomic::{AtomicI64, Ordering};

use crate::domain::Timestamp;

/// Until when nothing is sent at all; milliseconds.
#[derive(Debug, Default)]
pub struct OutboxPause(AtomicI64);

impl OutboxPause {
    /// Has messages that are enqueued from now on wait until then. The time 0 ends that.
    pub fn set(&self, until: Timestamp) {
        self.0.store(until.millis(), Ordering::Relaxed);
    }

    pub fn until(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::Relaxed))
    }
}
