//! What every use case works with: the store, the time, the settings, and one way each to read and to write.

use std::{ops::Deref, sync::Arc, time::Duration};

use super::{
    error::Error, outbox_pause::OutboxPause, rate_limits::RateLimits, settings::Settings, tasks::Tasks,
};
use crate::{
    config::Config,
    crypto::InstallationSecret,
    domain::{Clock, Timestamp},
    store::{self, Snapshot, Store},
};

/// What every use case needs. Cheap to clone; knows no noun.
#[derive(Clone)]
pub struct Core(Arc<Shared>);

pub struct Shared {
    pub store: Store,
    pub clock: Clock,
    pub settings: Settings,
    pub rate_limits: RateLimits,
    pub secret: InstallationSecret,
    pub outbox_pause: OutboxPause,
    tasks: Tasks,
}

impl Deref for Core {
    type Target = Shared;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

/// A transaction of a use case: the store's, and what the rules inside it need.
///
/// What is done in it has no effect outside of it, so that it can be undone, or run again.
pub struct Tx<'a> {
    store: &'a store::Tx<'a>,
    core: &'a Core,
}

impl Core {
    pub fn new(config: &Config, store: Store, clock: Clock, secret: InstallationSecret) -> Self {
        Self(Arc::new(Shared {
            store,
            clock,
            settings: Settings::new(config),
            rate_limits: RateLimits::new(&config.rate_limit),
            secret,
            outbox_pause: OutboxPause::default(),
            tasks: Tasks::default(),
        }))
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Runs `work` on the store as it is at one instant.
    ///
    /// # Errors
    /// What `work` answers, or that the store cannot.
    pub async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Snapshot<'_>) -> Result<T, Error> + Clone + Send + 'static,
    ) -> Result<T, Error> {
        self.store.read(work).await
    }

    /// Runs `work` in a transaction. If the caller goes away before it has begun, it is not run.
    ///
    /// # Errors
    /// What `work` answers; then nothing was changed. Or that the store cannot.
    pub async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Tx<'_>) -> Result<T, Error> + Clone + Send + 'static,
    ) -> Result<T, Error> {
        let core = self.clone();
        self.store.write(move |tx| work(&Tx { store: tx, core: &core })).await
    }

    /// The same for work that has time: what others wait for goes first, for a while.
    ///
    /// # Errors
    /// The same.
    pub async fn write_background<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Tx<'_>) -> Result<T, Error> + Clone + Send + 'static,
    ) -> Result<T, Error> {
        let core = self.clone();
        self.store.write_background(move |tx| work(&Tx { store: tx, core: &core })).await
    }

    /// Writes even if the request goes away that asked for it: a guess counts whether or not its answer is waited for.
    ///
    /// # Errors
    /// Those of [`Self::write`].
    pub async fn write_to_the_end<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Tx<'_>) -> Result<T, Error> + Clone + Send + 'static,
    ) -> Result<T, Error> {
        let core = self.clone();
        self.tasks.run(async move { core.write(work).await }).await
    }

    /// Runs `work` to its end, whether or not its caller waits for it.
    pub fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(work);
    }

    /// Waits until what was spawned has ended, for `timeout` at most; answers how many tasks have not.
    pub async fn drain(&self, timeout: Duration) -> usize {
        self.tasks.drain(timeout).await
    }
}

impl<'a> Tx<'a> {
    pub fn core(&self) -> &'a Core {
        self.core
    }

    pub fn settings(&self) -> &'a Settings {
        &self.core.settings
    }

    pub fn secret(&self) -> &'a InstallationSecret {
        &self.core.secret
    }
}

impl<'a> Deref for Tx<'a> {
    type Target = store::Tx<'a>;

    fn deref(&self) -> &Self::Target {
        self.store
    }
}
