//! Whether a purge may run, or is held because the system clock may be wrong.
//!
//! By that clock, what it deletes has expired, so it can wait. If the clock was wrong, all of it is valid again once the clock
//! is right; what was deleted would be lost.

use std::{fmt, time::Duration};

use super::{purge::Purge, purge_plan::PurgePlan};
use crate::{
    core::Error,
    domain::Timestamp,
    store::{CleanUpRow, Snapshot},
};

/// By how much the clock may differ from the time that has passed while a server ran: more is a jump.
pub const MAX_JUMP: Duration = Duration::from_hours(1);
/// By how much it may be ahead of the last purge, since the server may have been switched off: over a long weekend, not over
/// a holiday.
const FAR: Duration = Duration::from_hours(7 * 24);
/// How long a purge is held: just under an hour, so that an hourly schedule misses one run and not two.
const HOLD: Duration = Duration::from_mins(59);
/// The same for a clock that is far ahead of the last purge. A server that was off for a month purges a day late; one whose
/// year is wrong gives its operator a day to notice.
const LONG_HOLD: Duration = Duration::from_mins(23 * 60 + 59);
/// So many of each kind may always be deleted.
const FEW: u64 = 20;

/// How the clock has run since the last check.
#[derive(Clone, Copy, Debug)]
pub enum ClockCheck {
    /// As time has passed; the purge has been held for so long meanwhile.
    Steady(Duration),
    Jumped,
}

/// Why a purge is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HoldReason {
    /// The clock is far ahead of the last purge.
    FarAhead,
    /// The clock jumped while the server ran.
    Jumped,
    /// The clock is behind the last purge.
    Behind,
    MostUsers,
    MostSessions,
    MostEvents,
}

/// A purge that is held.
#[derive(Clone, Copy, Debug)]
pub struct PurgeHold {
    pub why: HoldReason,
    last_run: Option<Timestamp>,
    now: Timestamp,
    /// For how long a server must run until the purge goes on.
    pub wait: Duration,
}

impl HoldReason {
    const fn hold(self) -> Duration {
        match self {
            Self::FarAhead => LONG_HOLD,
            Self::Jumped | Self::Behind | Self::MostUsers | Self::MostSessions | Self::MostEvents => HOLD,
        }
    }
}

impl fmt::Display for PurgeHold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let away = self.last_run.map_or(Duration::ZERO, |last_run| self.now.distance(last_run));
        match self.why {
            HoldReason::FarAhead => write!(f, "the clock is {} ahead of the last clean-up", InWords(away)),
            HoldReason::Jumped => f.write_str("the clock jumped"),
            HoldReason::Behind => write!(f, "the clock is {} behind the last clean-up", InWords(away)),
            HoldReason::MostUsers => f.write_str("most users would be deleted"),
            HoldReason::MostSessions => f.write_str("most sessions would be deleted"),
            HoldReason::MostEvents => f.write_str("most audit events would be deleted"),
        }?;
        write!(
            f,
            ". Set the clock if it is wrong. If it is right, run coffeeshop purge, or wait: the clean-up runs once the server \
             has run for another {}",
            InWords(self.wait)
        )
    }
}

/// A duration to the day, the hour or the minute.
struct InWords(Duration);

impl fmt::Display for InWords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let minutes = self.0.as_secs().div_ceil(60);
        match minutes {
            ..120 => write!(f, "{minutes} min"),
            120..2880 => write!(f, "{} hours", minutes.div_ceil(60)),
            2880.. => write!(f, "{} days", minutes / 1440),
        }
    }
}

impl Purge {
    /// Whether a purge is held. It goes on once servers have run for long enough since it was held first, across restarts;
    /// a clock that jumps has it held anew.
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn held(&self, plan: &PurgePlan, clock: ClockCheck) -> Result<Option<PurgeHold>, Error> {
        let (seen, now) = (plan.clone(), plan.now);
        // A purge at the command line may run meanwhile: what is written back was read in the same transaction.
        let looked = self.core.write_background(move |tx| {
            let mut row = tx.clean_up()?;
            match clock {
                ClockCheck::Steady(held) => row.held += held,
                ClockCheck::Jumped => (row.jumped, row.held) = (true, Duration::ZERO),
            }
            let Some(why) = why(tx, &row, &seen)? else { return Ok(None) };
            tx.put_clean_up(row)?;
            Ok(Some((row, why)))
        });
        let Some((row, why)) = looked.await? else { return Ok(None) };
        let wait = why.hold().saturating_sub(row.held);
        Ok((!wait.is_zero()).then_some(PurgeHold { why, last_run: row.last_run, now, wait }))
    }
}

/// Why a purge is to be held; the first reason holds it longest.
fn why(tx: &Snapshot<'_>, row: &CleanUpRow, plan: &PurgePlan) -> Result<Option<HoldReason>, Error> {
    let now = plan.now;
    if row.last_run.is_some_and(|last_run| now > last_run + FAR) {
        return Ok(Some(HoldReason::FarAhead));
    }
    if row.jumped {
        return Ok(Some(HoldReason::Jumped));
    }
    if row.last_run.is_some_and(|last_run| now + MAX_JUMP < last_run) {
        return Ok(Some(HoldReason::Behind));
    }
    let users = tx.count_due_users(plan.by)?;
    if users > FEW && users * 2 > tx.count_all_users()? {
        return Ok(Some(HoldReason::MostUsers));
    }
    let sessions = tx.count_expired_sessions(now)?;
    if sessions > FEW && tx.count_active_sessions(now, sessions)? < sessions {
        return Ok(Some(HoldReason::MostSessions));
    }
    let events = tx.count_old_audit_events(plan.kept_since)?;
    if events > FEW && tx.count_kept_audit_events(plan.kept_since, events)? < events {
        return Ok(Some(HoldReason::MostEvents));
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_a_clean_up_is_held_is_one_line_that_says_what_to_do() {
        let now = Timestamp::from_seconds(1_795_339_800);
        let held = |why: HoldReason, last_run| {
            PurgeHold { why, last_run: Some(last_run), now, wait: why.hold() }.to_string()
        };
        assert_eq!(
            held(HoldReason::FarAhead, now - Duration::from_hours(400 * 24)),
            "the clock is 400 days ahead of the last clean-up. Set the clock if it is wrong. If it is right, run \
             coffeeshop purge, or wait: the clean-up runs once the server has run for another 24 hours"
        );
        let behind = held(HoldReason::Behind, now + Duration::from_hours(47));
        assert!(behind.starts_with("the clock is 47 hours behind the last clean-up. "), "{behind}");
        let most = held(HoldReason::MostSessions, now);
        assert!(most.starts_with("most sessions would be deleted. ") && most.ends_with(" 59 min"), "{most}");
    }
}
