//! The table `signing_keys`.

use super::{
    error::Error,
    sql::maybe_timestamp,
    tx::{Snapshot, Tx},
};
use crate::domain::Timestamp;

/// A key pair as it is stored.
#[derive(Clone, Debug)]
pub struct SigningKeyRow {
    /// Its id in the header of the tokens that it signs.
    pub kid: String,
    pub public_key: [u8; 32],
    /// Encrypted with the installation secret.
    pub sealed_private_key: Vec<u8>,
    pub created_at: Timestamp,
    /// Since when it does not sign any more.
    pub retired_at: Option<Timestamp>,
}

impl Snapshot<'_> {
    /// Every key; the last one is the one that signs.
    pub(crate) fn signing_keys(&self) -> Result<Vec<SigningKeyRow>, Error> {
        self.all(
            "SELECT kid, public_key, private_key, created_at, retired_at FROM signing_keys \
             ORDER BY retired_at IS NULL, created_at, kid",
            (),
            |row| {
                Ok(SigningKeyRow {
                    kid: row.get(0)?,
                    public_key: row.get(1)?,
                    sealed_private_key: row.get(2)?,
                    created_at: Timestamp::from_millis(row.get(3)?),
                    retired_at: maybe_timestamp(row, 4)?,
                })
            },
        )
    }
}

impl Tx<'_> {
    pub(crate) fn insert_signing_key(&self, key: &SigningKeyRow) -> Result<(), Error> {
        self.execute_one(
            "INSERT INTO signing_keys (kid, public_key, private_key, created_at) VALUES (?1, ?2, ?3, ?4)",
            (&key.kid, key.public_key, &key.sealed_private_key, key.created_at.millis()),
        )
    }

    pub(crate) fn retire_signing_keys(&self, now: Timestamp) -> Result<(), Error> {
        self.execute("UPDATE signing_keys SET retired_at = ?1 WHERE retired_at IS NULL", [now.millis()])?;
        Ok(())
    }

    pub(crate) fn delete_signing_keys(&self) -> Result<(), Error> {
        self.execute("DELETE FROM signing_keys", ())?;
        Ok(())
    }

    /// Deletes keys that were retired earlier; returns how many.
    pub(crate) fn delete_retired_keys(&self, before: Timestamp) -> Result<usize, Error> {
        self.execute("DELETE FROM signing_keys WHERE retired_at < ?1", [before.millis()])
    }
}
