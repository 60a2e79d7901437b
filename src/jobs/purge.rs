//! Purges expired data, once at the start and then on schedule.

use std::{sync::Arc, time::Instant};

use tokio::sync::{Notify, watch};

use super::purge_guard::PurgeGuard;
use crate::{
    accounts::{Accounts, Error, PurgeInterrupted, PurgeScope},
    domain::Origin,
    isolate_panics::isolate_panics,
};

pub async fn run(accounts: Accounts, trigger: Arc<Notify>, mut stop: watch::Receiver<bool>) {
    accounts.allocate_disk_reserve();
    let mut guard = PurgeGuard::default();
    loop {
        let purge = async {
            if guard.allows(&accounts, Instant::now()).await {
                purge(&accounts).await;
            }
        };
        tokio::select! {
            () = isolate_panics("the clean-up", purge) => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
        tokio::select! {
            () = trigger.notified() => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
    }
}

/// An error is logged; the next run comes on schedule.
async fn purge(accounts: &Accounts) {
    let plan = accounts.plan_purge(PurgeScope::Expired, Origin::job());
    let mut purged = accounts.purge(&plan, |_| {}).await;
    if let Err(PurgeInterrupted { purged: before, why: Error::StorageFull(_) }) = purged
        && accounts.release_disk_reserve()
    {
        let rest = accounts.purge(&plan, |_| {}).await;
        purged = rest
            .map(|more| before + more)
            .map_err(|interrupted| PurgeInterrupted { purged: before + interrupted.purged, ..interrupted });
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
