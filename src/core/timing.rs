//! Response times that reveal nothing about what was found.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Longer than any of the work that differs, and too short to be noticed.
const STEP: Duration = Duration::from_millis(50);

/// Rounds the response time up to a multiple of 50 ms.
pub async fn pad_to_step<T>(work: impl Future<Output = T>) -> T {
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
