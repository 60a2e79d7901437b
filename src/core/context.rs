//! What every use case works with: the store, the time, the settings, and one way each to read and to write.

use std::{cell::RefCell, ops::Deref, sync::Arc, time::Duration};

use super::{
    error::Error, outbox_pause::OutboxPause, rate_limits::RateLimits, settings::Settings, tasks::Tasks,
    token_bucket::Charge,
};
use crate::{
    config::Config,
    crypto::InstallationSecret,
    domain::{Clock, Timestamp},
    store::{self, RateLimitTx, Snapshot, Store},
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

/// What a write has to do to rate limits after its commit.
type Settlement = Arc<dyn Fn(&RateLimitTx<'_>) -> Result<(), Error> + Send + Sync>;

/// A transaction of a use case: the store's, and what the rules inside it need.
///
/// What is done in it has no effect outside of it, so that it can be undone, or run again.
pub struct Tx<'a> {
    store: &'a store::Tx<'a>,
    core: &'a Core,
    settlements: RefCell<Vec<Settlement>>,
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
        self.write_settled(None, work).await
    }

    /// Takes a charge, and runs `work` in a transaction of its own. If `work` is refused, the charge is refunded.
    ///
    /// # Errors
    /// `TooManyRequests`; those of [`Self::write`].
    pub async fn write_charged<T: Send + 'static>(
        &self,
        charge: Charge,
        work: impl FnOnce(&Tx<'_>) -> Result<T, Error> + Clone + Send + 'static,
    ) -> Result<T, Error> {
        self.write_settled((!charge.buckets.is_empty()).then_some(charge), work).await
    }

    /// The same even if the request goes away that asked for it: a guess counts whether or not its answer is waited for.
    ///
    /// # Errors
    /// Those of [`Self::write_charged`].
    pub async fn write_charged_to_the_end<T: Send + 'static>(
        &self,
        charge: Charge,
        work: impl FnOnce(&Tx<'_>) -> Result<T, Error> + Clone + Send + 'static,
    ) -> Result<T, Error> {
        let core = self.clone();
        self.tasks.run(async move { core.write_charged(charge, work).await }).await
    }

    /// The same as [`Self::write`] for work that has time: what others wait for goes first, for a while. It settles no rate
    /// limits.
    ///
    /// # Errors
    /// The same.
    pub async fn write_background<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Tx<'_>) -> Result<T, Error> + Clone + Send + 'static,
    ) -> Result<T, Error> {
        let core = self.clone();
        self.store.write_background(move |tx| work(&Tx::new(tx, &core))).await
    }

    /// Runs `work` in a transaction on rate limits alone.
    ///
    /// # Errors
    /// What `work` answers; then nothing was changed. Or that the store cannot.
    pub async fn write_rate_limits<T: Send + 'static>(
        &self,
        work: impl FnOnce(&RateLimitTx<'_>) -> Result<T, Error> + Clone + Send + 'static,
    ) -> Result<T, Error> {
        self.store.write_rate_limits(work).await
    }

    /// Runs `work` to its end, whether or not its caller waits for it.
    pub fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(work);
    }

    /// Waits until what was spawned has ended, for `timeout` at most; answers how many tasks have not.
    pub async fn drain(&self, timeout: Duration) -> usize {
        self.tasks.drain(timeout).await
    }

    async fn write_settled<T: Send + 'static>(
        &self,
        charge: Option<Charge>,
        work: impl FnOnce(&Tx<'_>) -> Result<T, Error> + Clone + Send + 'static,
    ) -> Result<T, Error> {
        let core = self.clone();
        let take = charge.clone().map(|charge| move |limits: &RateLimitTx<'_>| charge.take(limits));
        let work = move |tx: &store::Tx<'_>| {
            let tx = Tx::new(tx, &core);
            let done = work(&tx)?;
            Ok((done, tx.settlements.into_inner()))
        };
        let settle = move |done: &Result<(T, Vec<Settlement>), Error>| {
            let settlements = match done {
                Ok((_, settlements)) => settlements.clone(),
                Err(Error::OutcomeUnknown(_)) => Vec::new(), // it may have been done
                Err(_) => charge.into_iter().map(refund).collect(),
            };
            (!settlements.is_empty()).then_some(move |limits: &RateLimitTx<'_>| {
                settlements.iter().try_for_each(|settle| settle(limits))
            })
        };
        let (done, _) = self.store.write_charged(take, work, settle).await?;
        Ok(done)
    }
}

impl<'a> Tx<'a> {
    fn new(store: &'a store::Tx<'a>, core: &'a Core) -> Self {
        Self { store, core, settlements: RefCell::default() }
    }

    /// Has rate limits written after the commit, by `settle`.
    pub fn settle(&self, settle: impl Fn(&RateLimitTx<'_>) -> Result<(), Error> + Send + Sync + 'static) {
        self.settlements.borrow_mut().push(Arc::new(settle));
    }

    /// Has a charge refunded after the commit.
    pub fn refund(&self, charge: Charge) {
        self.settlements.borrow_mut().push(refund(charge));
    }

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

fn refund(charge: Charge) -> Settlement {
    Arc::new(move |limits| charge.refund(limits))
}
