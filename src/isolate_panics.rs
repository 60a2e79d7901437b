//! Catches and logs a panic so that a periodic task goes on.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;

/// Awaits one run of `task`. A panic in it is logged and ends this run alone.
pub async fn isolate_panics(task: &str, run: impl Future<Output = ()>) {
    if AssertUnwindSafe(run).catch_unwind().await.is_err() {
        tracing::error!("{task} panicked; the next run comes all the same");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_run_after_a_panic_comes_all_the_same() {
        let mut runs = 0;
        for _ in 0..3 {
            isolate_panics("a test", async {
                runs += 1;
                tokio::task::yield_now().await;
                assert!(runs != 2, "a run of a test panics");
            })
            .await;
        }
        assert_eq!(runs, 3);
    }
}
