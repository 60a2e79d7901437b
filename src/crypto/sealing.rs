//! Encryption of what the database keeps and a copy of it must not give away: messages, and private keys.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};

/// A key for AES-256-GCM with random nonces.
pub struct SealingKey(RandomizedNonceKey);

/// Could not be sealed or unsealed.
#[derive(Debug, thiserror::Error)]
#[error("sealed with another secret, or damaged")]
pub struct Unsealed;

impl SealingKey {
    /// # Errors
    /// If the key does not have 32 bytes.
    pub fn new(key: &[u8]) -> Result<Self, Unsealed> {
        RandomizedNonceKey::new(&AES_256_GCM, key).map(Self).map_err(|_| Unsealed)
    }

    /// Encrypts. The same `label` is needed to decrypt: what is sealed for one purpose opens for no other.
    ///
    /// # Errors
    /// If the random generator fails.
    pub fn seal(&self, label: &str, plain: &[u8]) -> Result<Vec<u8>, Unsealed> {
        let mut sealed = plain.to_vec();
        let nonce = self.0.seal_in_place_append_tag(Aad::from(label), &mut sealed).map_err(|_| Unsealed)?;
        Ok([nonce.as_ref().as_slice(), &sealed].concat())
    }

    /// # Errors
    /// If it was not sealed with this secret and label, or was changed since.
    pub fn unseal(&self, label: &str, sealed: &[u8]) -> Result<Vec<u8>, Unsealed> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_LEN>().ok_or(Unsealed)?;
        let mut plain = sealed.to_vec();
        let length = self
            .0
            .open_in_place(Nonce::from(nonce), Aad::from(label), &mut plain)
            .map_err(|_| Unsealed)?
            .len();
        plain.truncate(length);
        Ok(plain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> SealingKey {
        SealingKey::new(&[byte; 32]).expect("32 bytes")
    }

    #[test]
    fn what_is_sealed_opens_with_the_same_secret_and_label_alone() {
        let sealed = key(1).seal("a", b"text").expect("sealed");
        assert_eq!(key(1).unseal("a", &sealed).expect("the same"), b"text");
        assert!(key(1).unseal("b", &sealed).is_err());
        assert!(key(2).unseal("a", &sealed).is_err());
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(key(1).unseal("a", &changed).is_err());
        }
        assert!(key(1).unseal("a", b"short").is_err());
    }
}
