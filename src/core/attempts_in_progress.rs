//! Tries that this process is making: what they were paid from is not gone for good before it is known how they end.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::sync::{Notify, futures::OwnedNotified};

use crate::domain::CountKey;

/// How many tries are under way at each budget.
#[derive(Clone, Default)]
pub(crate) struct AttemptsInProgress(Arc<Mutex<HashMap<CountKey, Tries>>>);

#[derive(Default)]
struct Tries {
    count: u32,
    settled: Arc<Notify>,
}

/// A try that is under way, until it ends or this is dropped.
pub(crate) struct InProgress {
    all: AttemptsInProgress,
    paid_from: Vec<CountKey>,
    has_ended: AtomicBool,
}

impl AttemptsInProgress {
    /// Begins a try that was paid from these budgets.
    pub(crate) fn begin(&self, paid_from: Vec<CountKey>) -> InProgress {
        let mut all = self.lock();
        for key in &paid_from {
            all.entry(*key).or_default().count += 1;
        }
        drop(all);
        InProgress { all: self.clone(), paid_from, has_ended: AtomicBool::new(false) }
    }

    /// How many tries that were paid from a budget are under way.
    pub(crate) fn count(&self, key: CountKey) -> u32 {
        self.lock().get(&key).map_or(0, |tries| tries.count)
    }

    /// The end of one of the tries that were paid from a budget; none if there are none.
    pub(crate) fn next_end(&self, key: CountKey) -> Option<OwnedNotified> {
        self.lock().get(&key).map(|tries| Arc::clone(&tries.settled).notified_owned())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<CountKey, Tries>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl InProgress {
    /// The end of the try, once.
    pub(crate) fn end(&self) {
        if self.has_ended.swap(true, Ordering::Relaxed) {
            return;
        }
        let mut all = self.all.lock();
        for key in &self.paid_from {
            let Some(tries) = all.get_mut(key) else { continue };
            tries.count -= 1;
            tries.settled.notify_waiters();
            if tries.count == 0 {
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
    async fn the_end_of_a_try_wakes_all_that_wait_and_leaves_nothing() {
        let in_progress = AttemptsInProgress::default();
        assert!(in_progress.next_end(KEY).is_none());
        let (one, two) = (in_progress.begin(vec![KEY]), in_progress.begin(vec![KEY]));
        let (first, second) = (in_progress.next_end(KEY), in_progress.next_end(KEY));
        assert_eq!(in_progress.count(KEY), 2);
        one.end();
        drop(one);
        for end in [first, second] {
            tokio::time::timeout(Duration::from_mins(1), end.expect("under way")).await.expect("woken");
        }
        assert_eq!(in_progress.count(KEY), 1);
        drop(two);
        assert!(in_progress.lock().is_empty());
    }
}
