//! Holds the scheduled purge while the system clock may be wrong.

use std::time::{Duration, Instant};

use crate::{
    domain::Timestamp,
    operations::{ClockCheck, HoldReason, MAX_JUMP, Purge, PurgeHold, PurgePlan},
};

/// Holds the purge if the system clock jumped while the server ran, is far from the time of the last purge, or if most users,
/// sessions or audit events would be deleted.
///
/// A hold is measured by the monotonic clock, since the system clock may jump again. When it ends the purge runs: the operator
/// had time to see the warning. (`coffeeshop purge` is not held.)
#[derive(Default)]
pub struct PurgeGuard {
    /// Both clocks at the last check that the store has recorded.
    last: Option<(Instant, Timestamp)>,
    warned_of: Option<HoldReason>,
}

impl PurgeGuard {
    /// Whether this purge may run at `tick` of the monotonic clock.
    pub async fn allows(&mut self, purge: &Purge, plan: &PurgePlan, tick: Instant) -> bool {
        let now = plan.now();
        let held = purge.held(plan, self.compare_clocks(now, tick)).await;
        if held.is_ok() {
            // Only now: a jump that the store has not recorded must be seen again at the next run.
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
                warn(purge, plan, &held).await;
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

    fn compare_clocks(&self, now: Timestamp, tick: Instant) -> ClockCheck {
        let Some((last_tick, last)) = self.last else {
            return ClockCheck::Steady(Duration::ZERO);
        };
        let elapsed = tick.duration_since(last_tick);
        if now < last || now.since(last).abs_diff(elapsed) > MAX_JUMP {
            return ClockCheck::Jumped;
        }
        ClockCheck::Steady(if self.warned_of.is_some() { elapsed } else { Duration::ZERO })
    }
}

async fn warn(purge: &Purge, plan: &PurgePlan, held: &PurgeHold) {
    let due = purge.count_due(plan).await.unwrap_or_default();
    tracing::warn!(
        users = due.users,
        sessions = due.sessions,
        events = due.events,
        "the clean-up, which would delete so many, is held: {held}"
    );
}
