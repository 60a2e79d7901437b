//! What happens by the clock: the clean-up, once at the start and then on schedule.

use std::sync::Arc;

use tokio::{
    sync::{Mutex, watch},
    task::JoinSet,
};
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};

use crate::{
    accounts::{Accounts, Which},
    config::Cleanup,
};

/// Why the timers cannot run.
#[derive(Debug, thiserror::Error)]
pub enum TimerError {
    /// The schedule is not one.
    #[error(
        "cleanup.schedule: {0} is no schedule such as 0 0 * * * * (second, minute, hour, day, month, weekday)"
    )]
    Schedule(String),
    /// The scheduler does not start.
    #[error("the timers cannot start: {0}")]
    Failed(#[from] JobSchedulerError),
}

/// The timers, running until they are stopped.
pub struct Timers {
    scheduler: JobScheduler,
    cleanup: CleanupJob,
    at_start: JoinSet<()>,
}

/// Everything that a run of the clean-up needs.
#[derive(Clone)]
struct CleanupJob {
    accounts: Accounts,
    /// Held by the run that is on: the scheduler would start the next one beside it.
    running: Arc<Mutex<()>>,
    stop: watch::Receiver<bool>,
}

impl Timers {
    /// Starts the timers; `stop` ends a run between two slices of its work.
    ///
    /// # Errors
    /// If the schedule is not one.
    pub async fn start(
        accounts: Accounts,
        settings: &Cleanup,
        stop: watch::Receiver<bool>,
    ) -> Result<Self, TimerError> {
        let cleanup = CleanupJob { accounts, running: Arc::default(), stop };
        let mut scheduler = JobScheduler::new().await?;
        let mut at_start = JoinSet::new();
        if settings.enabled {
            let job = cleanup.clone();
            let job = Job::new_async(settings.schedule.as_str(), move |_, _| Box::pin(job.clone().run()));
            scheduler.add(job.map_err(|_| TimerError::Schedule(settings.schedule.clone()))?).await?;
            scheduler.start().await?;
            at_start.spawn(cleanup.clone().run());
        } else {
            scheduler.shutdown().await?;
        }
        Ok(Self { scheduler, cleanup, at_start })
    }

    /// Stops the timers and waits for the run that is on.
    pub async fn stop(mut self) {
        if let Err(error) = self.scheduler.shutdown().await {
            tracing::warn!(%error, "the timers did not stop by themselves");
        }
        while self.at_start.join_next().await.is_some() {}
        drop(self.cleanup.running.lock().await);
    }
}

impl CleanupJob {
    /// One run, unless one is on. What goes wrong is logged; the next run comes all the same.
    async fn run(mut self) {
        let running = Arc::clone(&self.running);
        let Ok(_running) = running.try_lock() else {
            tracing::info!("the clean-up is still at it; this run is left out");
            return;
        };
        let plan = self.accounts.plan_purge(Which::Expired);
        let purged = tokio::select! {
            purged = self.accounts.purge(plan, |_| {}) => purged,
            _ = self.stop.wait_for(|stop| *stop) => return,
        };
        match purged {
            Ok(purged) if purged.total() == 0 => tracing::debug!("the clean-up found nothing to do"),
            Ok(purged) => tracing::info!(
                users = purged.users,
                sessions = purged.sessions,
                codes = purged.codes,
                messages = purged.messages,
                "cleaned up"
            ),
            Err(error) => tracing::error!(?error, "the clean-up failed; the next run tries again"),
        }
    }
}
