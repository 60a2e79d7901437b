//! What happens by the clock: the clean-up and the reminders before it, once at the start and then on schedule.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    sync::{Notify, watch},
    task::JoinSet,
};
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};

use crate::{
    accounts::{
        Accounts, ClockSeen, Error, HoldReason, LEAP, PurgeHold, PurgeInterrupted, PurgePlan, PurgeScope,
    },
    config::Cleanup,
    domain::{Origin, Timestamp},
    isolate_panics::isolate_panics,
};

/// How often to look for those whose time is nearly up.
const REMIND: Duration = Duration::from_mins(5);
/// How soon a key that another process has made signs here.
const LOOK_AT_KEYS: Duration = Duration::from_secs(5);

/// Why the timers cannot run.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// The schedule is not one.
    #[error(
        "cleanup.schedule: {0} is no schedule such as 0 0 * * * * (second, minute, hour, day, month, weekday)"
    )]
    Schedule(String),
    /// The schedule names no instant that is still to come.
    #[error("cleanup.schedule: {0} never comes: 0 0 * * * * comes every hour")]
    Never(String),
    /// The scheduler does not start.
    #[error("the timers cannot start: {0}")]
    Failed(#[from] JobSchedulerError),
}

/// Looks at the schedule before anything starts.
///
/// # Errors
/// If it is not one.
pub fn check(settings: &Cleanup) -> Result<(), JobError> {
    cleanup_job(settings, Arc::default()).map(|_| ())
}

/// The timers, running until they are stopped.
pub struct Jobs {
    scheduler: JobScheduler,
    workers: JoinSet<()>,
}

impl Jobs {
    /// Starts the timers; `stop` ends a run between two slices of its work.
    ///
    /// The scheduler does nothing but ring a bell: it would start a run beside one that is on, and neither waits for
    /// one nor says so when one fails. One worker answers the bell, so a run never overlaps itself.
    ///
    /// # Errors
    /// If the schedule is not one.
    pub async fn start(
        accounts: Accounts,
        settings: &Cleanup,
        stop: watch::Receiver<bool>,
    ) -> Result<Self, JobError> {
        let scheduler = JobScheduler::new().await?;
        let mut workers = JoinSet::new();
        let stop_looking = stop.clone();
        if settings.enabled {
            let bell = Arc::new(Notify::new());
            scheduler.add(cleanup_job(settings, Arc::clone(&bell))?).await?;
            scheduler.start().await?;
            workers.spawn(clean_up_at(bell, accounts.clone(), stop.clone()));
        }
        workers.spawn(remind_in_time(accounts.clone(), stop));
        workers.spawn(reload_keys(accounts, stop_looking));
        Ok(Self { scheduler, workers })
    }

    /// Stops the timers and waits for the run that is on; `stop` must have said so before.
    pub async fn stop(mut self) {
        if let Err(error) = self.scheduler.shutdown().await {
            tracing::warn!(%error, "the timers did not stop by themselves");
        }
        self.workers.join_all().await;
    }
}

/// Rings the bell on schedule.
fn cleanup_job(settings: &Cleanup, bell: Arc<Notify>) -> Result<Job, JobError> {
    let job = Job::new_async(settings.schedule.as_str(), move |_, _| {
        bell.notify_one();
        Box::pin(async {})
    });
    let mut job = job.map_err(|_| JobError::Schedule(settings.schedule.clone()))?;
    // The library says zero where there is no next time.
    if job.job_data()?.next_tick == 0 {
        return Err(JobError::Never(settings.schedule.clone()));
    }
    Ok(job)
}

/// Cleans up: now, and each time that the bell rings.
async fn clean_up_at(bell: Arc<Notify>, accounts: Accounts, mut stop: watch::Receiver<bool>) {
    accounts.allocate_disk_reserve();
    let mut brake = PurgeGuard::default();
    loop {
        let run = async {
            if brake.allows(&accounts, Instant::now()).await {
                clean_up(&accounts).await;
            }
        };
        tokio::select! {
            () = isolate_panics("the clean-up", run) => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
        tokio::select! {
            () = bell.notified() => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
    }
}

/// Holds a clean-up when the clock is perhaps wrong: it leapt while the server ran, is far from where it was at the last
/// clean-up, or would have most users, sessions or audit events deleted. For a while by the clock that cannot leap, since a
/// leap to just before the next turn would bring that at once. If it is the same after that, so be it: there was time to see
/// the warning. (`coffeeshop purge` is not held.)
#[derive(Default)]
pub struct PurgeGuard {
    last: Option<(Instant, Timestamp)>,
    warned_of: Option<HoldReason>,
}

impl PurgeGuard {
    /// Whether a clean-up may run at `tick`, by the clock that cannot leap.
    pub async fn allows(&mut self, accounts: &Accounts, tick: Instant) -> bool {
        let plan = accounts.plan_purge(PurgeScope::Expired, Origin::job());
        let now = accounts.now();
        let held = accounts.held(&plan, self.look_at_clock(now, tick)).await;
        if held.is_ok() {
            // Until the store has taken it, a leap is seen anew at each turn.
            self.last = Some((tick, now));
        }
        match held {
            Ok(None) => {
                self.warned_of = None;
                return true;
            }
            Ok(Some(held)) if self.warned_of == Some(held.why) => {}
            Ok(Some(held)) => {
                self.warned_of = Some(held.why);
                warn(accounts, &plan, &held).await;
            }
            Err(error) => {
                tracing::error!(
                    ?error,
                    "the clean-up failed: what it would delete cannot be counted; the next run tries again"
                );
            }
        }
        false
    }

    fn look_at_clock(&self, now: Timestamp, tick: Instant) -> ClockSeen {
        let Some((then, last)) = self.last else {
            return ClockSeen::Steady(Duration::ZERO);
        };
        let passed = tick.duration_since(then);
        if now < last || now.since(last).abs_diff(passed) > LEAP {
            return ClockSeen::Leapt;
        }
        ClockSeen::Steady(if self.warned_of.is_some() { passed } else { Duration::ZERO })
    }
}

/// Warns of a clean-up that is held, in one line.
async fn warn(accounts: &Accounts, plan: &PurgePlan, held: &PurgeHold) {
    let due = accounts.count_due(plan).await.unwrap_or_default();
    tracing::warn!(
        users = due.users,
        sessions = due.sessions,
        events = due.events,
        "the clean-up, which would delete so many, is held: {held}"
    );
}

/// Notices keys that another process has made, such as the command line.
async fn reload_keys(accounts: Accounts, mut stop: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(LOOK_AT_KEYS) => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
        let look = async {
            if let Err(error) = accounts.reload_keys().await {
                tracing::error!(?error, "the signing keys cannot be read");
            }
        };
        isolate_panics("looking at the signing keys", look).await;
    }
}

/// Reminds, whoever cleans up and however seldom: a reminder that comes too late is none.
async fn remind_in_time(accounts: Accounts, mut stop: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            () = async { isolate_panics("reminding", remind(&accounts)).await; tokio::time::sleep(REMIND).await } => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
    }
}

/// Reminds those whose time is nearly up. What goes wrong is logged; the next run comes all the same.
async fn remind(accounts: &Accounts) {
    match accounts.remind().await {
        Ok(0) => {}
        Ok(users) => tracing::info!(users, "reminded"),
        Err(error) => tracing::error!(?error, "reminding failed; the next run tries again"),
    }
}

/// One run. What goes wrong is logged; the next run comes all the same.
async fn clean_up(accounts: &Accounts) {
    let plan = accounts.plan_purge(PurgeScope::Expired, Origin::job());
    let mut purged = accounts.purge(&plan, |_| {}).await;
    if let Err(PurgeInterrupted { purged: before, why: Error::StorageFull(_) }) = purged
        && accounts.release_disk_reserve()
    {
        let rest = accounts.purge(&plan, |_| {}).await;
        purged = rest
            .map(|more| before + more)
            .map_err(|cut| PurgeInterrupted { purged: before + cut.purged, ..cut });
    }
    accounts.allocate_disk_reserve();
    match purged {
        Ok(purged) if purged.total() == 0 => tracing::debug!("the clean-up found nothing to do"),
        Ok(purged) => tracing::info!(
            users = purged.users,
            sessions = purged.sessions,
            codes = purged.codes,
            counts = purged.counts,
            messages = purged.messages,
            events = purged.events,
            "cleaned up"
        ),
        Err(error) => tracing::error!(?error, "the clean-up failed; the next run tries again"),
    }
}
