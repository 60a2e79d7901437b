//! The installation secret, which is not in the database: a copy of the database alone opens nothing.

use std::{fmt, path::Path};

use aws_lc_rs::{constant_time, digest, hmac};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use super::{
    sealing::{SealingKey, Unsealed},
    secret_file::{self, SecretError},
};
use crate::domain::{CodeHash, CountKey, Email, PlainCode, PlainToken, Purpose, TokenHash, UserId};

/// The keys that are derived from the secret, one for each use.
pub struct InstallationSecret {
    codes: hmac::Key,
    counts: hmac::Key,
    successors: hmac::Key,
    sealing: SealingKey,
}

impl InstallationSecret {
    /// # Errors
    /// If the text is not 32 bytes in base64url or hex.
    pub fn given(text: &str) -> Result<Self, SecretError> {
        Self::derive(secret_file::given(text)?)
    }

    /// # Errors
    /// If the file in this folder cannot be read or created, or is not safe.
    pub fn in_folder(folder: &Path) -> Result<Self, SecretError> {
        Self::derive(secret_file::in_folder(folder)?)
    }

    fn derive(secret: [u8; 32]) -> Result<Self, SecretError> {
        let secret = hmac::Key::new(hmac::HMAC_SHA256, &secret);
        let key = |label: &str| hmac::sign(&secret, label.as_bytes());
        let hmac_key = |label| hmac::Key::new(hmac::HMAC_SHA256, key(label).as_ref());
        Ok(Self {
            codes: hmac_key("coffeeshop codes v1"),
            counts: hmac_key("coffeeshop counts v1"),
            successors: hmac_key("coffeeshop successors v1"),
            sealing: SealingKey::new(key("coffeeshop sealing v1").as_ref())
                .map_err(|_| SecretError::Malformed("the secret".to_owned()))?,
        })
    }

    /// What is stored of a code; it is valid for this user, purpose and address alone.
    pub fn hash_code(&self, code: &PlainCode, user_id: UserId, purpose: Purpose, email: &Email) -> CodeHash {
        let mut context = hmac::Context::with_key(&self.codes);
        // Every part but the last has a fixed length or an end that cannot be in it.
        context.update(user_id.as_uuid().as_bytes());
        context.update(purpose.into_str().as_bytes());
        context.update(b"\0");
        context.update(code.as_str().as_bytes());
        context.update(email.key().as_bytes());
        CodeHash(bytes(context.sign().as_ref()))
    }

    /// The key under which messages of a kind to an address are counted.
    pub fn hash_count(&self, kind: &str, email: &Email) -> CountKey {
        let mut context = hmac::Context::with_key(&self.counts);
        context.update(kind.as_bytes());
        context.update(b"\0");
        context.update(email.key().as_bytes());
        CountKey(bytes(context.sign().as_ref()))
    }

    /// The key of a token bucket. No part may contain a NUL, which separates them. The kinds are stored by this: another word
    /// forgets what was used.
    pub fn hash_limit(&self, kind: &str, parts: &[&str]) -> CountKey {
        let mut context = hmac::Context::with_key(&self.counts);
        context.update(b"limit\0");
        context.update(kind.as_bytes());
        for part in parts {
            context.update(b"\0");
            context.update(part.as_bytes());
        }
        CountKey(bytes(context.sign().as_ref()))
    }

    /// The refresh token that follows another: the same at each call, so that a lost reply can be repeated, and impossible to
    /// guess without the secret.
    pub fn successor(&self, token: &PlainToken) -> PlainToken {
        PlainToken::new(URL_SAFE_NO_PAD.encode(hmac::sign(&self.successors, token.as_str().as_bytes())))
    }

    /// # Errors
    /// See [`SealingKey::seal`].
    pub fn seal(&self, label: &str, plain: &[u8]) -> Result<Vec<u8>, Unsealed> {
        self.sealing.seal(label, plain)
    }

    /// # Errors
    /// See [`SealingKey::unseal`].
    pub fn unseal(&self, label: &str, sealed: &[u8]) -> Result<Vec<u8>, Unsealed> {
        self.sealing.unseal(label, sealed)
    }
}

impl fmt::Debug for InstallationSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InstallationSecret(…)")
    }
}

/// What is stored of a token. A fast hash without a key is enough: a token has 256 random bits.
pub fn hash_token(token: &PlainToken) -> TokenHash {
    TokenHash(sha256(token.as_str()))
}

pub(super) fn sha256(text: &str) -> [u8; 32] {
    bytes(digest::digest(&digest::SHA256, text.as_bytes()).as_ref())
}

/// Compares in constant time.
pub fn same_code(a: CodeHash, b: CodeHash) -> bool {
    constant_time::verify_slices_are_equal(&a.0, &b.0).is_ok()
}

fn bytes(digest: &[u8]) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret() -> InstallationSecret {
        InstallationSecret::given(&"0123456789abcdef".repeat(4)).expect("32 bytes")
    }

    #[test]
    fn a_code_is_bound_to_its_user_purpose_and_address() {
        let email = |text| Email::parse("email", text).expect("plain");
        let (user, code) = (UserId::new(), PlainCode::from_number(123_456));
        let hash = |user, purpose, address| secret().hash_code(&code, user, purpose, &email(address));
        let one = hash(user, Purpose::VerifyEmail, "ann@example.com");
        assert!(same_code(one, hash(user, Purpose::VerifyEmail, "ANN@example.com")));
        assert!(!same_code(one, hash(UserId::new(), Purpose::VerifyEmail, "ann@example.com")));
        assert!(!same_code(one, hash(user, Purpose::ResetPassword, "ann@example.com")));
        assert!(!same_code(one, hash(user, Purpose::VerifyEmail, "bob@example.com")));
    }

    #[test]
    fn a_secret_is_not_printed() {
        assert_eq!(format!("{:?}", secret()), "InstallationSecret(…)");
    }
}
