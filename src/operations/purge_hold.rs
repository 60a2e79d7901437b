//! Whether a clean-up may run, or is held because the clock of the machine is perhaps wrong.
//!
//! What it deletes cannot be used any more by that clock, so it can wait. If the clock was wrong, it is all there again once it
//! is right; what was deleted would not be.

use std::{fmt, time::Duration};

use super::{purge::Purge, purge_plan::PurgePlan};
use crate::{
    core::Error,
    domain::Timestamp,
    store::{CleanUpRow, Snapshot},
};

/// By how much the clock may differ from the time that has passed while a server ran.
pub const LEAP: Duration = Duration::from_hours(1);
/// By how much it may be ahead of the last clean-up, whose server may have been switched off since: over a long weekend, and
/// not over a holiday.
const FAR: Duration = Duration::from_hours(7 * 24);
/// How long a clean-up is held, nearly: a schedule of every hour is to miss one turn and not two.
const HOLD: Duration = Duration::from_mins(59);
/// The same for a clock that is far ahead of the last clean-up. A server that was off for a month is late by a day; one whose
/// year is wrong gives its operator that day.
const LONG_HOLD: Duration = Duration::from_mins(23 * 60 + 59);
/// So many of each kind may always go.
const FEW: u64 = 20;

/// What a server knows of the clock since it looked last.
#[derive(Clone, Copy, Debug)]
pub enum ClockSeen {
    /// It goes as time does; the clean-up has been held for so long meanwhile.
    Steady(Duration),
    /// It was moved.
    Leapt,
}

/// Why a clean-up is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HoldReason {
    /// The clock is far ahead of the last one.
    FarAhead,
    /// The clock was moved while the server ran.
    Leapt,
    /// The clock is behind the last one.
    Behind,
    /// Most users would go.
    MostUsers,
    /// Most sessions would go.
    MostSessions,
    /// Most audit events would go.
    MostEvents,
}

/// A clean-up that is held.
#[derive(Clone, Copy, Debug)]
pub struct PurgeHold {
    /// Why.
    pub why: HoldReason,
    last_run: Option<Timestamp>,
    now: Timestamp,
    /// For how long a server has to run until it goes on.
    pub wait: Duration,
}

impl HoldReason {
    const fn hold(self) -> Duration {
        match self {
            Self::FarAhead => LONG_HOLD,
            Self::Leapt | Self::Behind | Self::MostUsers | Self::MostSessions | Self::MostEvents => HOLD,
        }
    }
}

impl fmt::Display for PurgeHold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let away = self.last_run.map_or(Duration::ZERO, |last_run| self.now.distance(last_run));
        match self.why {
            HoldReason::FarAhead => write!(f, "the clock is {} ahead of the last clean-up", InWords(away)),
            HoldReason::Leapt => f.write_str("the clock leapt"),
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

/// A length of time to the day, the hour or the minute.
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
    /// Whether a clean-up is held. It goes on once servers have run for long enough since it was held first, restarts or
    /// not; a clock that leaps has it held anew.
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn held(&self, plan: &PurgePlan, clock: ClockSeen) -> Result<Option<PurgeHold>, Error> {
        let (seen, now) = (plan.clone(), plan.now);
        // A clean-up at the console may run meanwhile: what is written back was read in the same transaction.
        let looked = self.core.write_background(move |tx| {
            let mut row = tx.clean_up()?;
            match clock {
                ClockSeen::Steady(held) => row.held += held,
                ClockSeen::Leapt => (row.leapt, row.held) = (true, Duration::ZERO),
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

/// Why a clean-up is to be held; the first has it held for longest.
fn why(tx: &Snapshot<'_>, row: &CleanUpRow, plan: &PurgePlan) -> Result<Option<HoldReason>, Error> {
    let now = plan.now;
    if row.last_run.is_some_and(|last_run| now > last_run + FAR) {
        return Ok(Some(HoldReason::FarAhead));
    }
    if row.leapt {
        return Ok(Some(HoldReason::Leapt));
    }
    if row.last_run.is_some_and(|last_run| now + LEAP < last_run) {
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
