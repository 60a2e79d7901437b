//! Silence: what must not be told is not told by the time that an answer takes, either.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Longer than any of the work that differs, and shorter than anybody minds.
const STEP: Duration = Duration::from_millis(50);

/// Answers at the end of a step, whether the work took a tenth of one or nine tenths.
pub(crate) async fn pad_to_step<T>(work: impl Future<Output = T>) -> T {
    let start = Instant::now();
    let done = work.await;
    sleep_until(start + end_of_step(start.elapsed())).await;
    done
}

/// When the step ends that something is in.
fn end_of_step(elapsed: Duration) -> Duration {
    let steps = elapsed.as_millis() / STEP.as_millis() + 1;
    STEP * u32::try_from(steps).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_within_a_step_ends_with_it() {
        for (elapsed, end) in [(0, 50), (1, 50), (49, 50), (50, 100), (99, 100), (100, 150), (1_234, 1_250)] {
            assert_eq!(end_of_step(Duration::from_millis(elapsed)), Duration::from_millis(end), "{elapsed}");
        }
    }

    #[tokio::test]
    async fn nothing_is_answered_before_a_step_is_over() {
        let start = Instant::now();
        pad_to_step(std::future::ready(())).await;
        assert!(start.elapsed() >= STEP);
    }
}
