//! The clean-up: unverified users whose time ran out, and sessions, codes and messages that are over.

use std::{
    ops::Add,
    time::{Duration, Instant},
};

use crate::accounts::{Accounts, Error, audit::AuditActor, outbox::KEPT_FOR};
use crate::{
    domain::{Action, Origin, Page, Timestamp, User},
    store::{DueUserCursor, Snapshot, Tx},
};

/// How long one slice of the work may keep other writers waiting.
const SLICE_TIME: Duration = Duration::from_millis(6);
const FIRST_SLICE: u32 = 100;
const LARGEST_SLICE: u32 = 2_000;

/// Which unverified users go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PurgeScope {
    /// Those whose time ran out: the rule of the house.
    Expired,
    /// Those who have been unverified for at least so long, as the console may decide.
    OlderThan(Duration),
}

/// How many of each went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Purged {
    /// Unverified users, with everything that belonged to them.
    pub users: u64,
    /// Sessions that were over.
    pub sessions: u64,
    /// Codes and links that could not be used any more.
    pub codes: u64,
    /// Counts of what was sent or tried, which are over.
    pub counts: u64,
    /// Messages that nobody would read any more.
    pub messages: u64,
    /// Audit events whose retention is over.
    pub events: u64,
}

impl Purged {
    /// All of them.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.users + self.sessions + self.codes + self.counts + self.messages + self.events
    }
}

impl Add for Purged {
    type Output = Self;

    fn add(self, more: Self) -> Self {
        Self {
            users: self.users + more.users,
            sessions: self.sessions + more.sessions,
            codes: self.codes + more.codes,
            counts: self.counts + more.counts,
            messages: self.messages + more.messages,
            events: self.events + more.events,
        }
    }
}

/// A clean-up that came to no end.
#[derive(Debug, thiserror::Error)]
#[error("the clean-up was cut short")]
pub struct PurgeInterrupted {
    /// What it had deleted by then, which stays so.
    pub purged: Purged,
    /// What stopped it.
    #[source]
    pub why: Error,
}

/// What a clean-up would delete, to be looked at before.
#[derive(Clone, Debug)]
pub struct PurgePlan {
    /// Unverified users who expire by then.
    pub(crate) by: Timestamp,
    pub(crate) now: Timestamp,
    /// Events that happened before.
    pub(crate) kept_since: Timestamp,
    audit_actor: AuditActor,
}

type DeleteSlice = fn(&Tx<'_>, &PurgePlan, u32) -> Result<usize, Error>;
type Count = fn(&mut Purged) -> &mut u64;

impl Accounts {
    /// What a clean-up now would be about.
    #[must_use]
    pub fn plan_purge(&self, which: PurgeScope, origin: Origin) -> PurgePlan {
        let now = self.clock.now();
        // An account expires so long after it became unverified: the one measure for both.
        let by = match which {
            PurgeScope::Expired => now,
            PurgeScope::OlderThan(age) => now - age + self.rules.unverified_after,
        };
        PurgePlan {
            by,
            now,
            kept_since: now - self.rules.audit_retention,
            audit_actor: AuditActor::anonymous(origin),
        }
    }

    /// How many a clean-up would delete.
    ///
    /// # Errors
    /// Only if the store does not answer.
    pub async fn count_due(&self, plan: &PurgePlan) -> Result<Purged, Error> {
        let plan = plan.clone();
        let count = move |tx: &Snapshot<'_>| {
            Ok::<_, Error>(Purged {
                users: tx.count_due_users(plan.by)?,
                sessions: tx.count_dead_sessions(plan.now)?,
                codes: tx.count_dead_codes(plan.now)?,
                counts: tx.count_old_sent_codes(plan.now)? + tx.count_refilled_limits(plan.now)?,
                messages: tx.count_old_messages(plan.now - KEPT_FOR)?,
                events: tx.count_old_audit_events(plan.kept_since)?,
            })
        };
        self.store.read(count).await
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
        self.store.read(move |tx| Ok::<_, Error>(tx.due_users(by, after, PAGE)?)).await
    }

    /// Cleans up, in slices so short that nobody else waits long; tells `progress` after each. Stopped in between, it
    /// leaves no half-deleted user, and the next run goes on. A user is looked at again inside the statement that
    /// deletes them: one who has verified by then stays.
    ///
    /// # Errors
    /// If the store does not answer; what was deleted by then is.
    pub async fn purge(
        &self,
        plan: &PurgePlan,
        progress: impl FnMut(Purged),
    ) -> Result<Purged, PurgeInterrupted> {
        let mut purged = Purged::default();
        match self.purge_by_kinds(plan, &mut purged, progress).await {
            Ok(()) => Ok(purged),
            Err(why) => Err(PurgeInterrupted { purged, why }),
        }
    }

    async fn purge_by_kinds(
        &self,
        plan: &PurgePlan,
        purged: &mut Purged,
        mut progress: impl FnMut(Purged),
    ) -> Result<(), Error> {
        let kinds: [(DeleteSlice, Count); 7] = [
            (delete_users, |purged| &mut purged.users),
            (|tx, plan, limit| Ok(tx.delete_dead_sessions(plan.now, limit)?), |purged| &mut purged.sessions),
            (|tx, plan, limit| Ok(tx.delete_dead_codes(plan.now, limit)?), |purged| &mut purged.codes),
            (|tx, plan, limit| Ok(tx.delete_old_sent_codes(plan.now, limit)?), |purged| &mut purged.counts),
            (|tx, plan, limit| Ok(tx.delete_refilled_limits(plan.now, limit)?), |purged| &mut purged.counts),
            (
                |tx, plan, limit| Ok(tx.delete_old_messages(plan.now - KEPT_FOR, limit)?),
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
        self.forget_keys(plan.now).await?;
        self.note_clean_up(plan.now).await
    }

    /// Takes space on the disk that the clean-up can have when there is none left.
    pub fn allocate_disk_reserve(&self) {
        if let Err(error) = self.store.allocate_disk_reserve() {
            tracing::warn!(%error, "there is no room for the disk reserve: on a full disk the clean-up could not delete anything");
        }
    }

    /// Gives that space back; answers whether there was any.
    #[must_use]
    pub fn release_disk_reserve(&self) -> bool {
        self.store.release_disk_reserve()
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
            Ok::<_, Error>((delete(tx, &plan, slice)?, start))
        };
        let (deleted, start) = self.store.write_background(slice).await?;
        // With its commit: whoever waits for the slice waits for that, too.
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
