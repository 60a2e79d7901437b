//! What a purge deletes, and how much it deleted.

use std::{ops::Add, time::Duration};

use crate::{core::AuditActor, domain::Timestamp};

/// What a purge deletes.
#[derive(Clone, Debug)]
pub struct PurgePlan {
    /// Unverified users that expire by then.
    pub(super) by: Timestamp,
    pub(super) now: Timestamp,
    /// Events that happened before.
    pub(super) kept_since: Timestamp,
    pub(super) audit_actor: AuditActor,
}

impl PurgePlan {
    /// When it was made.
    #[must_use]
    pub const fn now(&self) -> Timestamp {
        self.now
    }
}

/// Which unverified users a purge deletes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PurgeScope {
    /// Those that have expired.
    Expired,
    /// Those that have been unverified for at least so long, as the command line may decide.
    OlderThan(Duration),
}

/// How many of each were deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Purged {
    /// Unverified users, with everything that belonged to them.
    pub users: u64,
    /// Expired ones.
    pub sessions: u64,
    /// Expired codes and links.
    pub codes: u64,
    /// Counts of what was sent, and token buckets that are full again.
    pub counts: u64,
    /// Messages that expired a while ago.
    pub messages: u64,
    /// Audit events whose retention is over.
    pub events: u64,
}

impl Purged {
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
