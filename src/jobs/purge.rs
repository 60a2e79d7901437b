//! Purges expired data, once at the start and then on schedule.

use std::{sync::Arc, time::Instant};

use tokio::sync::{Notify, watch};

use super::purge_guard::PurgeGuard;
use crate::{
    core::Error,
    domain::Origin,
    isolate_panics::isolate_panics,
    operations::{Purge, PurgeInterrupted, PurgePlan, PurgeScope},
};

pub async fn run(purge: Purge, trigger: Arc<Notify>, mut stop: watch::Receiver<bool>) {
    purge.allocate_disk_reserve();
    let mut guard = PurgeGuard::default();
    loop {
        let run = async {
            let plan = purge.plan(PurgeScope::Expired, Origin::job());
            if guard.allows(&purge, &plan, Instant::now()).await {
                run_once(&purge, &plan).await;
            }
        };
        tokio::select! {
            () = isolate_panics("the clean-up", run) => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
        tokio::select! {
            () = trigger.notified() => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
    }
}

/// An error is logged; the next run comes on schedule.
async fn run_once(purge: &Purge, plan: &PurgePlan) {
    let mut purged = purge.run(plan, |_| {}).await;
    if let Err(PurgeInterrupted { purged: before, why: Error::StorageFull(_) }) = purged
        && purge.release_disk_reserve()
    {
        let rest = purge.run(plan, |_| {}).await;
        purged = rest
            .map(|more| before + more)
            .map_err(|interrupted| PurgeInterrupted { purged: before + interrupted.purged, ..interrupted });
    }
    purge.allocate_disk_reserve();
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
