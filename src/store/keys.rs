//! The table `signing_keys`.

use super::{Error, Snapshot, Tx};
use crate::model::Timestamp;

/// A key pair as it is stored.
#[derive(Clone, Debug)]
pub struct SigningKeyRow {
    /// Its name in the tokens it signs.
    pub kid: String,
    /// The public half: 32 bytes.
    pub public_key: [u8; 32],
    /// The private half, encrypted under the installation secret.
    pub sealed_private_key: Vec<u8>,
    /// When it was made.
    pub created_at: Timestamp,
}

impl Snapshot<'_> {
    /// Every key, oldest first.
    pub(crate) fn signing_keys(&self) -> Result<Vec<SigningKeyRow>, Error> {
        self.all(
            "SELECT kid, public_key, private_key, created_at FROM signing_keys ORDER BY created_at, kid",
            [],
            |row| {
                Ok(SigningKeyRow {
                    kid: row.get(0)?,
                    public_key: row.get(1)?,
                    sealed_private_key: row.get(2)?,
                    created_at: Timestamp::from_millis(row.get(3)?),
                })
            },
        )
    }
}

impl Tx<'_> {
    /// Adds a key.
    pub(crate) fn insert_signing_key(&self, key: &SigningKeyRow) -> Result<(), Error> {
        self.execute_one(
            "INSERT INTO signing_keys (kid, public_key, private_key, created_at) VALUES (?1, ?2, ?3, ?4)",
            (&key.kid, key.public_key, &key.sealed_private_key, key.created_at.millis()),
        )
    }
}
