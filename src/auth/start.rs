//! The signing keys at a start: the first one is made where there is none.

use super::key_reload::names;
use crate::{
    config::Config,
    core::{Core, Error},
    crypto::{KeyError, Tokens, key_ring::make_key},
    store::SigningKeyRow,
};

/// Tokens under the keys of the store; or why these cannot be read.
pub async fn open_tokens(core: &Core, config: &Config) -> Result<Result<Tokens, KeyError>, Error> {
    let rows = signing_keys(core).await?;
    let issuers = names(core.read(|tx| Ok(tx.issuers()?)).await?);
    Ok(Tokens::new(&rows, issuers, &core.secret, config))
}

/// The keys of the store, or those that are made where it has none. If two programs start together, both get the key of the
/// first.
async fn signing_keys(core: &Core) -> Result<Vec<SigningKeyRow>, Error> {
    let rows = core.read(|tx| Ok(tx.signing_keys()?)).await?;
    if !rows.is_empty() {
        return Ok(rows);
    }
    let key = make_key(&core.secret, core.now())?;
    let made = core.write(move |tx| {
        if tx.signing_keys()?.is_empty() {
            tx.insert_signing_key(&key)?;
        }
        Ok(tx.signing_keys()?)
    });
    made.await
}
