//! Reloads the signing keys, which another process may have changed, such as the command line.

use std::time::Duration;

use tokio::{sync::watch, time::sleep};

use crate::{accounts::Accounts, isolate_panics::isolate_panics};

/// A new key signs here after this time at most.
const INTERVAL: Duration = Duration::from_secs(5);

pub async fn run(accounts: Accounts, mut stop: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            () = sleep(INTERVAL) => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
        isolate_panics("reloading the signing keys", reload(&accounts)).await;
    }
}

async fn reload(accounts: &Accounts) {
    if let Err(error) = accounts.reload_keys().await {
        tracing::error!(?error, "the signing keys cannot be read");
    }
}
