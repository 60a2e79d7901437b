//! Reloads the signing keys, which another process may have changed, such as the command line.

use std::time::Duration;

use tokio::{sync::watch, time::sleep};

use crate::{auth::SigningKeys, isolate_panics::isolate_panics};

/// A new key signs here after this time at most.
const INTERVAL: Duration = Duration::from_secs(5);

pub async fn run(signing_keys: SigningKeys, mut stop: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            () = sleep(INTERVAL) => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
        isolate_panics("reloading the signing keys", reload(&signing_keys)).await;
    }
}

async fn reload(signing_keys: &SigningKeys) {
    if let Err(error) = signing_keys.reload().await {
        tracing::error!(?error, "the signing keys cannot be read");
    }
}
