//! Following the signing keys and issuers of the store, which another process may change.

use std::{sync::Arc, time::Duration};

use tokio::sync::Mutex;

use crate::{
    core::{Core, Error},
    crypto::{TokenError, Tokens},
    domain::Timestamp,
};

/// How often a token with an unknown key or issuer has the store read again.
const RELOAD_INTERVAL: Duration = Duration::from_secs(1);

/// The tokens of this process, under the keys of the store.
#[derive(Clone)]
pub struct KeyReload {
    core: Core,
    pub tokens: Arc<Tokens>,
    /// The last reload because of a token; locked during one.
    last: Arc<Mutex<Option<LastReload>>>,
}

#[derive(Clone, Copy)]
enum LastReload {
    Ok(Timestamp),
    Failed(Timestamp),
}

impl KeyReload {
    pub fn new(core: Core, tokens: Tokens) -> Self {
        Self { core, tokens: Arc::new(tokens), last: Arc::default() }
    }

    /// Takes the keys and issuers of the store.
    ///
    /// # Errors
    /// If the store does not answer, or a key cannot be read.
    pub async fn reload(&self) -> Result<(), Error> {
        let (rows, issuers) = self.core.read(|tx| Ok((tx.signing_keys()?, tx.issuers()?))).await?;
        Ok(self.tokens.set_keys(&rows, names(issuers), &self.core.secret)?)
    }

    /// Runs `check` on a token that came `now`; once more after a reload if the token's key or issuer was not known. It is
    /// none if the token is not valid.
    ///
    /// # Errors
    /// If the store does not answer, or a key cannot be read.
    pub async fn check<T>(
        &self,
        now: Timestamp,
        check: impl Fn(&Tokens) -> Result<T, TokenError>,
    ) -> Result<Option<T>, Error> {
        match check(&self.tokens) {
            Ok(checked) => Ok(Some(checked)),
            Err(TokenError::Invalid) => Ok(None),
            Err(TokenError::Unknown) => {
                self.reload_on_unknown(now).await?;
                Ok(check(&self.tokens).ok())
            }
        }
    }

    /// Reloads unless that was done within the last second. A request that comes during a reload waits for it.
    async fn reload_on_unknown(&self, now: Timestamp) -> Result<(), Error> {
        let mut last = self.last.lock().await;
        match *last {
            Some(LastReload::Ok(at)) if now.distance(at) < RELOAD_INTERVAL => return Ok(()),
            Some(LastReload::Failed(at)) if now.distance(at) < RELOAD_INTERVAL => {
                return Err(Error::Unavailable("the signing keys cannot be read".to_owned()));
            }
            _ => {}
        }
        let reloaded = self.reload().await;
        let at = self.core.now();
        *last = Some(if reloaded.is_ok() { LastReload::Ok(at) } else { LastReload::Failed(at) });
        reloaded
    }
}

/// Issuers, without when they were last used.
pub fn names(issuers: Vec<(String, Timestamp)>) -> Vec<String> {
    issuers.into_iter().map(|(issuer, _)| issuer).collect()
}
