//! What runs on a schedule: the purge, reminders, and the reload of signing keys.

mod key_reload;
mod purge;
mod purge_guard;
mod reminders;

use std::sync::Arc;

use tokio::{
    sync::{Notify, watch},
    task::JoinSet,
};
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};

pub use self::purge_guard::PurgeGuard;
use crate::{app::App, config::Cleanup};

/// Startup error, shown to the operator.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    #[error(
        "cleanup.schedule: {0} is no schedule such as 0 0 * * * * (second, minute, hour, day, month, weekday)"
    )]
    InvalidSchedule(String),
    #[error("cleanup.schedule: {0} never comes: 0 0 * * * * comes every hour")]
    NeverDue(String),
    #[error("the scheduler cannot start: {0}")]
    Scheduler(#[from] JobSchedulerError),
}

/// Checks the schedule before anything starts.
///
/// # Errors
/// If it cannot be parsed, or is never due.
pub fn check(settings: &Cleanup) -> Result<(), JobError> {
    purge_trigger(settings, Arc::default()).map(|_| ())
}

/// The running jobs.
pub struct Jobs {
    scheduler: JobScheduler,
    workers: JoinSet<()>,
}

impl Jobs {
    /// Starts all jobs. Once `stop` is true, each ends where its run next awaits; what was committed stays.
    ///
    /// The scheduler only triggers: it would start a run while the previous one goes on, and does not wait for runs when it
    /// stops. Each job is one task, so its runs never overlap.
    ///
    /// # Errors
    /// If the schedule cannot be used.
    pub async fn start(app: &App, settings: &Cleanup, stop: watch::Receiver<bool>) -> Result<Self, JobError> {
        let scheduler = JobScheduler::new().await?;
        let mut workers = JoinSet::new();
        if settings.enabled {
            let trigger = Arc::new(Notify::new());
            scheduler.add(purge_trigger(settings, Arc::clone(&trigger))?).await?;
            scheduler.start().await?;
            workers.spawn(purge::run(app.purge.clone(), trigger, stop.clone()));
        }
        workers.spawn(reminders::run(app.reminders.clone(), stop.clone()));
        workers.spawn(key_reload::run(app.signing_keys.clone(), stop));
        Ok(Self { scheduler, workers })
    }

    /// Waits until all jobs have ended; their `stop` must be true already.
    pub async fn stop(mut self) {
        if let Err(error) = self.scheduler.shutdown().await {
            tracing::warn!(%error, "the scheduler did not stop");
        }
        self.workers.join_all().await;
    }
}

fn purge_trigger(settings: &Cleanup, trigger: Arc<Notify>) -> Result<Job, JobError> {
    let job = Job::new_async(settings.schedule.as_str(), move |_, _| {
        trigger.notify_one();
        Box::pin(async {})
    });
    let mut job = job.map_err(|_| JobError::InvalidSchedule(settings.schedule.clone()))?;
    // The library reports zero if there is no next time.
    if job.job_data()?.next_tick == 0 {
        return Err(JobError::NeverDue(settings.schedule.clone()));
    }
    Ok(job)
}
