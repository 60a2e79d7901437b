//! Work that goes on when the request that it came with is gone, and that a stop waits for.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::task::JoinSet;

/// What runs at present.
#[derive(Clone, Default)]
pub(super) struct Tasks(Arc<Mutex<JoinSet<()>>>);

impl Tasks {
    /// Runs `work` to its end.
    pub(super) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while running.try_join_next().is_some() {} // what has ended needs no place
        running.spawn(work);
    }

    /// Waits until all of it has ended, for `patience` at most; answers how much has not.
    pub(super) async fn drain(&self, patience: Duration) -> usize {
        let mut running = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let ended = async { while running.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(patience, ended).await;
        running.len()
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn a_stop_waits_for_what_runs_and_not_for_ever() {
        let (tasks, (end, ended)) = (Tasks::default(), oneshot::channel::<()>());
        tasks.spawn(async {
            let _ = ended.await;
        });
        let running = tasks.clone();
        assert_eq!(running.drain(Duration::ZERO).await, 1);
        tasks.spawn(async {});
        assert_eq!(tasks.drain(Duration::from_secs(60)).await, 0);
        drop(end);
    }
}
