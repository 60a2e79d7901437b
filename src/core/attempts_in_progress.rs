//! Attempts at passwords that this process is making: a charge is final only once it is known how its attempt ended.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::sync::{Notify, futures::OwnedNotified};

use crate::domain::CountKey;

/// How many attempts are in progress for each token bucket.
#[derive(Clone, Default)]
pub struct AttemptsInProgress(Arc<Mutex<HashMap<CountKey, Attempts>>>);

#[derive(Default)]
struct Attempts {
    count: u32,
    /// Those of them of which it is known by now how they end.
    settled: u32,
    ended: Arc<Notify>,
}

/// An attempt that is in progress until this is dropped.
pub struct InProgress {
    all: AttemptsInProgress,
    charged: Vec<CountKey>,
    is_settled: AtomicBool,
}

impl AttemptsInProgress {
    /// Begins an attempt that was charged to these buckets.
    pub fn begin(&self, charged: Vec<CountKey>) -> InProgress {
        let mut all = self.lock();
        for key in &charged {
            all.entry(*key).or_default().count += 1;
        }
        drop(all);
        InProgress { all: self.clone(), charged, is_settled: AtomicBool::new(false) }
    }

    fn count_open(&self, key: CountKey) -> u32 {
        self.lock().get(&key).map_or(0, |attempts| attempts.count - attempts.settled)
    }

    /// The end of one of the attempts that were charged to a bucket; none if there are none.
    pub fn next_end(&self, key: CountKey) -> Option<OwnedNotified> {
        self.lock().get(&key).map(|attempts| Arc::clone(&attempts.ended).notified_owned())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<CountKey, Attempts>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl InProgress {
    /// It is known how the attempt ends; a second time changes nothing. It goes on until its end, which is after the commit.
    pub fn settle(&self) {
        if self.is_settled.swap(true, Ordering::Relaxed) {
            return;
        }
        let mut all = self.all.lock();
        for key in &self.charged {
            if let Some(attempts) = all.get_mut(key) {
                attempts.settled += 1;
            }
        }
    }

    /// How many attempts that were charged to a bucket are in progress, and not settled.
    pub fn count_open(&self, key: CountKey) -> u32 {
        self.all.count_open(key)
    }

    fn end(&self) {
        self.settle();
        let mut all = self.all.lock();
        for key in &self.charged {
            let Some(attempts) = all.get_mut(key) else { continue };
            attempts.count -= 1;
            attempts.settled -= 1;
            attempts.ended.notify_waiters();
            if attempts.count == 0 {
                all.remove(key);
            }
        }
    }
}

impl Drop for InProgress {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const KEY: CountKey = CountKey([7; 32]);

    #[tokio::test]
    async fn the_end_of_an_attempt_wakes_all_that_wait() {
        let in_progress = AttemptsInProgress::default();
        assert!(in_progress.next_end(KEY).is_none());
        let (one, two) = (in_progress.begin(vec![KEY]), in_progress.begin(vec![KEY]));
        let (first, second) = (in_progress.next_end(KEY), in_progress.next_end(KEY));
        assert_eq!(in_progress.count_open(KEY), 2);
        one.settle();
        one.settle();
        assert_eq!(one.count_open(KEY), 1);
        assert!(in_progress.next_end(KEY).is_some());
        drop(one);
        for end in [first, second] {
            tokio::time::timeout(Duration::from_mins(1), end.expect("in progress")).await.expect("woken");
        }
        assert_eq!(in_progress.count_open(KEY), 1);
        drop(two);
        assert!(in_progress.lock().is_empty());
    }
}
