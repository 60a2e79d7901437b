//! Signing keys: seen, exchanged, and noticed when another process has exchanged them.

use std::time::Duration;

use tokio::sync::Mutex;

use crate::accounts::{Accounts, Admin, Error, key_ring};
use crate::{
    domain::{Action, Timestamp},
    store::{Snapshot, Tx},
};

/// How often a token with an unknown key makes us look whether there is a new one.
const RELOAD_INTERVAL: Duration = Duration::from_secs(1);
/// How long after the last token of a key or an issuer has expired that is kept: other machines' clocks, and when an issuer
/// was last used is known to the hour.
const SPARE: Duration = Duration::from_hours(1);

/// A key as its keeper sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyInfo {
    /// Its name in the header of the tokens that it signed.
    pub kid: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// Since when it signs nothing any more; none for the one that signs.
    pub retired_at: Option<Timestamp>,
}

/// How keys are exchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rotation {
    /// What the old key signed stays valid.
    Gentle,
    /// Nothing stays valid: the old key may be in wrong hands.
    Emergency,
}

/// When the keys were last looked at because of a token; locked while they are.
#[derive(Default)]
pub(crate) struct LastReload(Mutex<Option<(Timestamp, Reload)>>);

/// Whether they could be.
#[derive(Clone, Copy)]
enum Reload {
    Ok,
    Failed,
}

/// Issuers, without when they were last used.
pub(crate) fn names(issuers: Vec<(String, Timestamp)>) -> Vec<String> {
    issuers.into_iter().map(|(issuer, _)| issuer).collect()
}

impl Accounts {
    /// Every key, the one that signs last.
    ///
    /// # Errors
    /// Only if the store does not answer.
    pub async fn keys(&self, _by: &Admin) -> Result<Vec<KeyInfo>, Error> {
        let rows = self.store.read(|tx| Ok::<_, Error>(tx.signing_keys()?)).await?;
        let info = |row: crate::store::SigningKeyRow| KeyInfo {
            kid: row.kid,
            created_at: row.created_at,
            retired_at: row.retired_at,
        };
        Ok(rows.into_iter().map(info).collect())
    }

    /// Makes a new key that signs from now on. After a gentle rotation the old one still checks what it signed; after an
    /// emergency it is gone, and every session has ended.
    ///
    /// # Errors
    /// If the store does not answer; then nothing was changed.
    pub async fn rotate_keys(&self, by: &Admin, rotation: Rotation) -> Result<KeyInfo, Error> {
        let now = self.clock.now();
        let key = key_ring::make_key(&self.secret, now)?;
        let info = KeyInfo { kid: key.kid.clone(), created_at: now, retired_at: None };
        let by = by.clone();
        let rotated = self.store.write(move |tx| {
            by.recheck_admin(tx, now)?;
            match rotation {
                Rotation::Gentle => tx.retire_signing_keys(now)?,
                Rotation::Emergency => {
                    tx.delete_signing_keys()?;
                    for user_id in tx.delete_every_session()? {
                        by.audit_actor().record(tx, Action::SessionsEnded, user_id, now)?;
                    }
                }
            }
            Ok::<_, Error>(tx.insert_signing_key(&key)?)
        });
        rotated.await?;
        self.follow_keys().await;
        Ok(info)
    }

    /// Looks whether another process has exchanged the keys, or signs under another issuer.
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn reload_keys(&self) -> Result<(), Error> {
        let look = |tx: &Snapshot<'_>| Ok::<_, Error>((tx.signing_keys()?, tx.issuers()?));
        let (rows, issuers) = self.store.read(look).await?;
        self.tokens.set_keys(&rows, names(issuers), &self.secret)
    }

    /// The same because of a token, which came `now`, with a key or an issuer that is not known; at most once a second. Answers
    /// whether there was a look since it came: a request that comes during one waits for it.
    pub(crate) async fn reload_on_unknown_kid(&self, now: Timestamp) -> Result<bool, Error> {
        let mut last_reload = self.last_reload.0.lock().await;
        if let Some((last, looked)) = *last_reload
            && now.distance(last) < RELOAD_INTERVAL
        {
            return match looked {
                Reload::Ok => Ok(now <= last),
                Reload::Failed => Err(Error::Unavailable("the keys cannot be looked at".to_owned())),
            };
        }
        let found = self.reload_keys().await;
        let looked = if found.is_ok() { Reload::Ok } else { Reload::Failed };
        *last_reload = Some((self.clock.now(), looked));
        found.map(|()| true)
    }

    /// Forgets the keys that can have signed nothing that is still valid, and the issuers under which nothing can have
    /// been signed that is.
    pub(crate) async fn forget_keys(&self, now: Timestamp) -> Result<(), Error> {
        let before = now - self.rules.refresh_ttl.max(self.rules.session_ttl) - SPARE;
        let look = |tx: &Snapshot<'_>| Ok::<_, Error>((tx.signing_keys()?, tx.issuers()?));
        let (rows, issuers) = self.store.read(look).await?;
        let is_old = |at: Timestamp| at < before;
        if rows.iter().any(|row| row.retired_at.is_some_and(is_old))
            || issuers.iter().any(|(_, at)| is_old(*at))
        {
            let forget = move |tx: &Tx<'_>| {
                tx.delete_retired_keys(before)?;
                Ok::<_, Error>(tx.delete_old_issuers(before)?)
            };
            self.store.write(forget).await?;
            self.follow_keys().await;
        }
        Ok(())
    }

    /// Goes by the keys that were just changed. If they cannot be read, they are changed all the same: the server looks
    /// again within seconds.
    async fn follow_keys(&self) {
        if let Err(error) = self.reload_keys().await {
            tracing::error!(?error, "the signing keys were changed, and cannot be read");
        }
    }
}
