//! The purge: deletes unverified users that have expired, and sessions, codes, messages and audit events that are over.

use std::time::{Duration, Instant};

use super::purge_plan::{PurgePlan, PurgeScope, Purged};
use crate::{
    auth::SigningKeys,
    core::{AuditActor, Core, Error, Tx, settings::DEAD_MESSAGE_TTL},
    domain::{Action, Origin, Page, User},
    store::{CleanUpRow, DueUserCursor, Snapshot},
};

/// How long one slice of the work may keep other writers waiting.
const SLICE_TIME: Duration = Duration::from_millis(6);
const FIRST_SLICE: u32 = 100;
const LARGEST_SLICE: u32 = 2_000;

#[derive(Clone)]
pub struct Purge {
    pub(super) core: Core,
    signing_keys: SigningKeys,
}

/// A purge that was not completed.
#[derive(Debug, thiserror::Error)]
#[error("the clean-up was cut short")]
pub struct PurgeInterrupted {
    /// What it had deleted by then; that is committed.
    pub purged: Purged,
    #[source]
    pub why: Error,
}

type DeleteSlice = fn(&Tx<'_>, &PurgePlan, u32) -> Result<usize, Error>;
type Count = fn(&mut Purged) -> &mut u64;

impl Purge {
    pub(crate) fn new(core: Core, signing_keys: SigningKeys) -> Self {
        Self { core, signing_keys }
    }

    /// What a purge now deletes.
    #[must_use]
    pub fn plan(&self, scope: PurgeScope, origin: Origin) -> PurgePlan {
        let now = self.core.now();
        // An account expires so long after it became unverified: the one measure for both.
        let by = match scope {
            PurgeScope::Expired => now,
            PurgeScope::OlderThan(age) => now - age + self.core.settings.unverified_after,
        };
        PurgePlan {
            by,
            now,
            kept_since: now - self.core.settings.audit_retention,
            audit_actor: AuditActor::anonymous(origin),
        }
    }

    /// How many of each a purge would delete.
    ///
    /// # Errors
    /// Only if the store does not answer.
    pub async fn count_due(&self, plan: &PurgePlan) -> Result<Purged, Error> {
        let plan = plan.clone();
        let count = move |tx: &Snapshot<'_>| {
            Ok(Purged {
                users: tx.count_due_users(plan.by)?,
                sessions: tx.count_expired_sessions(plan.now)?,
                codes: tx.count_expired_codes(plan.now)?,
                counts: tx.count_old_sent_codes(plan.now)? + tx.count_refilled_limits(plan.now)?,
                messages: tx.count_old_messages(plan.now - DEAD_MESSAGE_TTL)?,
                events: tx.count_old_audit_events(plan.kept_since)?,
            })
        };
        self.core.read(count).await
    }

    /// A page of the users that a purge would delete.
    ///
    /// # Errors
    /// Only if the store does not answer.
    pub async fn due_users(
        &self,
        plan: &PurgePlan,
        after: Option<DueUserCursor>,
    ) -> Result<Page<User, DueUserCursor>, Error> {
        const PAGE: u32 = 500;
        let by = plan.by;
        self.core.read(move |tx| Ok(tx.due_users(by, after, PAGE)?)).await
    }

    /// Deletes in slices so short that other writers do not wait long; calls `progress` after each. Stopped in between, it
    /// leaves no half-deleted user, and the next run goes on. A user is checked again inside the statement that
    /// deletes them: one who has verified by then stays.
    ///
    /// # Errors
    /// If the store does not answer; what was deleted by then is.
    pub async fn run(
        &self,
        plan: &PurgePlan,
        progress: impl FnMut(Purged),
    ) -> Result<Purged, PurgeInterrupted> {
        let mut purged = Purged::default();
        match self.run_by_kinds(plan, &mut purged, progress).await {
            Ok(()) => Ok(purged),
            Err(why) => Err(PurgeInterrupted { purged, why }),
        }
    }

    async fn run_by_kinds(
        &self,
        plan: &PurgePlan,
        purged: &mut Purged,
        mut progress: impl FnMut(Purged),
    ) -> Result<(), Error> {
        let kinds: [(DeleteSlice, Count); 7] = [
            (delete_users, |purged| &mut purged.users),
            (
                |tx, plan, limit| Ok(tx.delete_expired_sessions(plan.now, limit)?),
                |purged| &mut purged.sessions,
            ),
            (|tx, plan, limit| Ok(tx.delete_expired_codes(plan.now, limit)?), |purged| &mut purged.codes),
            (|tx, plan, limit| Ok(tx.delete_old_sent_codes(plan.now, limit)?), |purged| &mut purged.counts),
            (|tx, plan, limit| Ok(tx.delete_refilled_limits(plan.now, limit)?), |purged| &mut purged.counts),
            (
                |tx, plan, limit| Ok(tx.delete_old_messages(plan.now - DEAD_MESSAGE_TTL, limit)?),
                |purged| &mut purged.messages,
            ),
            (
                |tx, plan, limit| Ok(tx.delete_old_audit_events(plan.kept_since, limit)?),
                |purged| &mut purged.events,
            ),
        ];
        for (delete, count) in kinds {
            let mut slice = FIRST_SLICE;
            loop {
                let (deleted, took) = self.delete_slice(delete, plan, slice).await?;
                *count(purged) += deleted as u64;
                progress(*purged);
                if deleted < slice as usize {
                    break;
                }
                slice = next_slice(slice, took);
            }
        }
        self.signing_keys.delete_expired(plan.now).await?;
        // The next purge is measured by this time.
        let row = CleanUpRow { last_run: Some(plan.now), ..CleanUpRow::default() };
        self.core.write(move |tx| Ok(tx.put_clean_up(row)?)).await
    }

    /// Allocates disk space that a purge can have when the disk is full.
    pub fn allocate_disk_reserve(&self) {
        if let Err(error) = self.core.store.allocate_disk_reserve() {
            tracing::warn!(%error, "there is no room for the disk reserve: on a full disk the clean-up could not delete anything");
        }
    }

    /// Releases that space; answers whether there was any.
    #[must_use]
    pub fn release_disk_reserve(&self) -> bool {
        self.core.store.release_disk_reserve()
    }

    async fn delete_slice(
        &self,
        delete: DeleteSlice,
        plan: &PurgePlan,
        slice: u32,
    ) -> Result<(usize, Duration), Error> {
        let plan = plan.clone();
        let slice = move |tx: &Tx<'_>| {
            let start = Instant::now();
            Ok((delete(tx, &plan, slice)?, start))
        };
        let (deleted, start) = self.core.write_background(slice).await?;
        // With its commit: other writers wait for that, too.
        Ok((deleted, start.elapsed()))
    }
}

fn delete_users(tx: &Tx<'_>, plan: &PurgePlan, limit: u32) -> Result<usize, Error> {
    let gone = tx.delete_due_users(plan.by, limit)?;
    for id in &gone {
        plan.audit_actor.record(tx, Action::UserExpired, *id, plan.now)?;
    }
    Ok(gone.len())
}

/// As many as would have taken `SLICE_TIME`, but at most twice as many as before.
fn next_slice(slice: u32, took: Duration) -> u32 {
    let fitting = SLICE_TIME.as_secs_f64() / took.as_secs_f64().max(1e-6);
    let next = f64::from(slice) * fitting.clamp(0.25, 2.0);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few thousand at most")]
    let next = next as u32;
    next.clamp(FIRST_SLICE / 10, LARGEST_SLICE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_slice_fits_into_its_time_and_neither_leaps_nor_vanishes() {
        for (slice, took, next) in [
            (100, SLICE_TIME, 100),
            (100, SLICE_TIME / 2, 200),
            (100, Duration::ZERO, 200),
            (100, SLICE_TIME * 2, 50),
            (400, SLICE_TIME * 1000, 100),
        ] {
            assert_eq!(next_slice(slice, took), next, "{slice} took {took:?}");
        }
        assert_eq!(next_slice(LARGEST_SLICE, Duration::ZERO), LARGEST_SLICE);
        assert_eq!(next_slice(10, Duration::from_secs(1)), 10);
    }
}
