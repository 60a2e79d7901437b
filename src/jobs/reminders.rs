//! Reminds users whose account is about to expire.

use std::time::Duration;

use tokio::{sync::watch, time::sleep};

use crate::{accounts::Reminders, isolate_panics::isolate_panics};

/// Independent of the schedule of the purge, however seldom that is: a reminder must come in time.
const INTERVAL: Duration = Duration::from_mins(5);

pub async fn run(reminders: Reminders, mut stop: watch::Receiver<bool>) {
    loop {
        let remind_and_wait = async {
            isolate_panics("reminding", remind(&reminders)).await;
            sleep(INTERVAL).await;
        };
        tokio::select! {
            () = remind_and_wait => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
    }
}

/// An error is logged; the next run comes after the interval.
async fn remind(reminders: &Reminders) {
    match reminders.send().await {
        Ok(0) => {}
        Ok(users) => tracing::info!(users, "reminded"),
        Err(error) => tracing::error!(?error, "reminding failed; the next run tries again"),
    }
}
