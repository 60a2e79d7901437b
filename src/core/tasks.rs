//! Work that goes on after its request has gone away, and that a graceful shutdown waits for.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{sync::oneshot, task::JoinSet};

use super::error::Error;

/// The tasks that run at present.
#[derive(Clone, Default)]
pub struct Tasks(Arc<Mutex<JoinSet<()>>>);

impl Tasks {
    /// Runs `work` to its end, and answers what came of it.
    ///
    /// # Errors
    /// What `work` answers.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Result<T, Error> {
        let (reply, answer) = oneshot::channel();
        self.spawn(async {
            let _ = reply.send(work.await); // a caller that has gone needs no answer
        });
        answer.await.unwrap_or_else(|_| Err(Error::Internal("a task panicked".to_owned())))
    }

    /// Runs `work` to its end.
    pub fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while running.try_join_next().is_some() {} // frees what has ended
        running.spawn(work);
    }

    /// Waits until all of it has ended, for `timeout` at most; answers how much has not.
    pub async fn drain(&self, timeout: Duration) -> usize {
        let mut running = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let ended = async { while running.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(timeout, ended).await;
        running.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_goes_on_when_its_caller_is_gone() {
        let (tasks, (end, ended)) = (Tasks::default(), oneshot::channel());
        let mut work = Box::pin(tasks.run(async {
            tokio::task::yield_now().await;
            let _ = end.send(());
            Ok::<_, Error>(())
        }));
        let _ = futures_util::poll!(&mut work);
        drop(work);
        ended.await.expect("done");
    }

    #[tokio::test]
    async fn a_panic_is_a_defect_and_no_end_of_the_caller() {
        let panicked = Tasks::default().run::<()>(async { panic!("as the test wants it") }).await;
        assert!(matches!(panicked, Err(Error::Internal(_))), "{panicked:?}");
    }

    #[tokio::test]
    async fn a_stop_waits_for_what_runs_and_not_for_ever() {
        let (tasks, (end, ended)) = (Tasks::default(), oneshot::channel::<()>());
        tasks.spawn(async {
            let _ = ended.await;
        });
        let running = tasks.clone();
        assert_eq!(running.drain(Duration::ZERO).await, 1);
        tasks.spawn(async {});
        assert_eq!(tasks.drain(Duration::from_mins(1)).await, 0);
        drop(end);
    }
}
