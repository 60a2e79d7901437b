//! What the use cases and the outbox worker tell each other besides the messages themselves.

use std::sync::atomic::{AtomicI64, Ordering};

use tokio::sync::Notify;

use crate::domain::Timestamp;

#[derive(Debug, Default)]
pub struct OutboxSignal {
    /// Notified when a message was enqueued.
    enqueued: Notify,
    /// Until when nothing is sent at all; milliseconds.
    paused_until: AtomicI64,
}

impl OutboxSignal {
    /// Wakes the worker, or has it look again at once if it is busy.
    pub fn notify(&self) {
        self.enqueued.notify_one();
    }

    /// Returns when this process has enqueued a message since the last call.
    pub async fn notified(&self) {
        self.enqueued.notified().await;
    }

    /// Has messages that are enqueued from now on wait until then. The time 0 ends that.
    pub fn pause_until(&self, until: Timestamp) {
        self.paused_until.store(until.millis(), Ordering::Relaxed);
    }

    pub fn paused_until(&self) -> Timestamp {
        Timestamp::from_millis(self.paused_until.load(Ordering::Relaxed))
    }
}
