//! Signing keys: listed, rotated, and forgotten once nothing that they signed is valid any more.

use std::time::Duration;

use super::key_reload::KeyReload;
use crate::{
    core::{Admin, Core, Error},
    crypto::{PublicKey, key_ring::make_key},
    domain::{Action, Timestamp},
    store::SigningKeyRow,
};

/// How long a key or an issuer is kept after its last token has expired: for other machines' clocks, and because the last use
/// of an issuer is known to the hour.
const SPARE: Duration = Duration::from_hours(1);

#[derive(Clone)]
pub struct SigningKeys {
    core: Core,
    keys: KeyReload,
}

/// A key as it is shown to the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyInfo {
    /// Its name in the header of the tokens that it signed.
    pub kid: String,
    pub created_at: Timestamp,
    /// Since when it signs nothing any more; none for the one that signs.
    pub retired_at: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rotation {
    /// What the old key signed stays valid.
    Gentle,
    /// Nothing stays valid: the old key may be compromised.
    Emergency,
}

impl SigningKeys {
    pub(crate) fn new(core: Core, keys: KeyReload) -> Self {
        Self { core, keys }
    }

    /// Every key, the one that signs last.
    ///
    /// # Errors
    /// Only if the store does not answer.
    pub async fn list(&self, _by: &Admin) -> Result<Vec<KeyInfo>, Error> {
        let rows = self.core.read(|tx| Ok(tx.signing_keys()?)).await?;
        Ok(rows.into_iter().map(Into::into).collect())
    }

    /// The public keys that check our tokens.
    #[must_use]
    pub fn public(&self) -> Vec<PublicKey> {
        self.keys.tokens.public_keys()
    }

    /// Makes a new key that signs from now on. After a gentle rotation the old one still checks what it signed; after an
    /// emergency it is gone, and every session has ended.
    ///
    /// # Errors
    /// If the store does not answer; then nothing was changed.
    pub async fn rotate(&self, by: &Admin, rotation: Rotation) -> Result<KeyInfo, Error> {
        let key = make_key(&self.core.secret, self.core.now())?;
        let info = key.clone().into();
        let rotated = self.core.write_as(by, move |tx, by, now| {
            match rotation {
                Rotation::Gentle => tx.retire_signing_keys(now)?,
                Rotation::Emergency => {
                    tx.delete_signing_keys()?;
                    for user_id in tx.delete_every_session()? {
                        by.record(tx, Action::SessionsEnded, user_id, now)?;
                    }
                }
            }
            Ok(tx.insert_signing_key(&key)?)
        });
        rotated.await?;
        self.follow().await;
        Ok(info)
    }

    /// Takes the keys and issuers of the store, which another process may have changed.
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn reload(&self) -> Result<(), Error> {
        self.keys.reload().await
    }

    /// Deletes the keys and the issuers whose tokens have all expired.
    pub(crate) async fn delete_expired(&self, now: Timestamp) -> Result<(), Error> {
        let settings = &self.core.settings;
        let before = now - settings.refresh_ttl.max(settings.session_ttl) - SPARE;
        let (rows, issuers) = self.core.read(|tx| Ok((tx.signing_keys()?, tx.issuers()?))).await?;
        let is_old = |at: Timestamp| at < before;
        if rows.iter().any(|row| row.retired_at.is_some_and(is_old))
            || issuers.iter().any(|(_, at)| is_old(*at))
        {
            let deleted = self.core.write(move |tx| {
                tx.delete_retired_keys(before)?;
                Ok(tx.delete_old_issuers(before)?)
            });
            deleted.await?;
            self.follow().await;
        }
        Ok(())
    }

    /// Takes the keys that were just changed. If they cannot be read, they are changed all the same, and the server reads
    /// them again within seconds.
    async fn follow(&self) {
        if let Err(error) = self.reload().await {
            tracing::error!(?error, "the signing keys were changed, and cannot be read");
        }
    }
}

impl From<SigningKeyRow> for KeyInfo {
    fn from(row: SigningKeyRow) -> Self {
        Self { kid: row.kid, created_at: row.created_at, retired_at: row.retired_at }
    }
}
