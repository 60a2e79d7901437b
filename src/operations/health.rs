//! Whether the server works, for probes and at the start.

use crate::{
    core::{Core, Error},
    store::OpenError,
};

#[derive(Clone)]
pub struct Health {
    core: Core,
}

impl Health {
    pub(crate) fn new(core: Core) -> Self {
        Self { core }
    }

    /// Whether the store answers; requests that wait for it do not matter.
    ///
    /// # Errors
    /// If it does not.
    pub async fn ready(&self) -> Result<(), Error> {
        self.core.store.answers().await.map_err(|error| match Error::from(error) {
            // Such as a missing table: another server may do better.
            Error::Internal(why) => Error::Unavailable(why),
            error => error,
        })
    }

    /// Checks the whole store for damage: now if it is small, in the background if it is not.
    ///
    /// # Errors
    /// If a small store is damaged.
    pub async fn check_integrity(&self) -> Result<(), OpenError> {
        self.core.store.check_integrity().await
    }

    /// Returns whether an active admin exists.
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn has_admin(&self) -> Result<bool, Error> {
        self.core.read(|tx| Ok(tx.count_active_admins()? > 0)).await
    }
}
