//! The key pairs that sign tokens and check their signatures.

use std::fmt::Display;

use aws_lc_rs::{
    digest,
    signature::{Ed25519KeyPair, KeyPair},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation, decode, decode_header};
use serde::{Serialize, de::DeserializeOwned};

use super::secret::InstallationSecret;
use crate::{domain::Timestamp, store::SigningKeyRow};

/// Why a signing key cannot be used. None of these is the caller's fault.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("there is no signing key")]
    Missing,
    #[error("the signing key {kid} cannot be read with this installation secret: {why}")]
    Unreadable { kid: String, why: String },
    #[error("cannot make a signing key")]
    NotMade,
    #[error("cannot write a token: {0}")]
    NotSigned(#[from] serde_json::Error),
}

/// A public key, for other services that check tokens.
#[derive(Clone, Debug)]
pub struct PublicKey {
    /// The RFC 7638 thumbprint.
    pub kid: String,
    /// The 32 bytes of the Ed25519 key in base64url: the `x` of RFC 8037, section 2.
    pub x: String,
}

/// The keys of the store, the youngest last, and the issuers under which they have signed.
pub struct KeyRing {
    keys: Vec<Key>,
    issuers: Vec<String>,
}

/// A key pair.
pub struct Key {
    pub public: PublicKey,
    signing: Ed25519KeyPair,
    checking: DecodingKey,
}

impl KeyRing {
    /// The keys in these rows, with the issuers of the store.
    ///
    /// # Errors
    /// If a key was sealed under another secret, or there is none.
    pub fn unseal(
        rows: &[SigningKeyRow],
        issuers: Vec<String>,
        secret: &InstallationSecret,
    ) -> Result<Self, KeyError> {
        let keys: Vec<_> = rows.iter().map(|row| Key::unseal(row, secret)).collect::<Result<_, _>>()?;
        if keys.is_empty() {
            return Err(KeyError::Missing);
        }
        Ok(Self { keys, issuers })
    }

    /// Every key.
    pub fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// The issuers of the store: what another server, or this one before its address was changed, has signed under.
    pub fn issuers(&self) -> &[String] {
        &self.issuers
    }

    /// A token of this type with these claims (RFC 7515, section 7.1), signed by the youngest key. The library would parse
    /// the key for each token, which takes as long as signing.
    ///
    /// # Errors
    /// If it cannot be signed.
    pub fn sign(&self, typ: &str, claims: &impl Serialize) -> Result<String, KeyError> {
        let key = self.keys.last().ok_or(KeyError::Missing)?;
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some(typ.to_owned());
        header.kid = Some(key.public.kid.clone());
        let message = format!("{}.{}", encoded(&header)?, encoded(claims)?);
        let signature = key.signing.sign(message.as_bytes());
        Ok(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    /// The key with this name.
    pub fn named(&self, kid: &str) -> Option<&Key> {
        self.keys.iter().find(|key| key.public.kid == kid)
    }

    /// The claims of a token that one of these keys signed as one of this type (RFC 8725, section 3.11). The library
    /// looks at the signature alone: its own checks of `typ`, `crit`, `iss`, `aud` and `exp` have holes.
    pub fn check<C: DeserializeOwned>(&self, typ: &str, token: &str) -> Option<C> {
        let header = decode_header(token).ok()?;
        if header.alg != Algorithm::EdDSA || header.typ.as_deref() != Some(typ) || header.crit.is_some() {
            return None;
        }
        let key = self.named(&header.kid?)?;
        let mut signature_alone = Validation::new(Algorithm::EdDSA);
        signature_alone.validate_exp = false;
        signature_alone.validate_aud = false;
        signature_alone.required_spec_claims.clear();
        decode(token, &key.checking, &signature_alone).ok().map(|data| data.claims)
    }
}

fn encoded(part: &impl Serialize) -> Result<String, KeyError> {
    Ok(URL_SAFE_NO_PAD.encode(serde_json::to_vec(part)?))
}

impl Key {
    fn unseal(row: &SigningKeyRow, secret: &InstallationSecret) -> Result<Self, KeyError> {
        let unreadable =
            |why: &dyn Display| KeyError::Unreadable { kid: row.kid.clone(), why: why.to_string() };
        let private = secret.unseal(&label(&row.kid), &row.sealed_private_key).map_err(|e| unreadable(&e))?;
        let public = PublicKey { kid: row.kid.clone(), x: URL_SAFE_NO_PAD.encode(row.public_key) };
        Ok(Self {
            public,
            signing: Ed25519KeyPair::from_pkcs8(&private).map_err(|e| unreadable(&e))?,
            checking: DecodingKey::from_ed_der(&row.public_key),
        })
    }
}

/// A new key pair, sealed for the store.
///
/// # Errors
/// If the random generator fails.
pub fn make_key(secret: &InstallationSecret, now: Timestamp) -> Result<SigningKeyRow, KeyError> {
    let pair = Ed25519KeyPair::generate().map_err(|_| KeyError::NotMade)?;
    let public_key: [u8; 32] = pair.public_key().as_ref().try_into().map_err(|_| KeyError::NotMade)?;
    let private = pair.to_pkcs8().map_err(|_| KeyError::NotMade)?;
    let kid = thumbprint(&public_key);
    let sealed_private_key = secret.seal(&label(&kid), private.as_ref()).map_err(|_| KeyError::NotMade)?;
    Ok(SigningKeyRow { kid, public_key, sealed_private_key, created_at: now, retired_at: None })
}

/// RFC 7638 for an Ed25519 key: the hash of its required members in this very form (RFC 8037, appendix A.3).
fn thumbprint(public_key: &[u8; 32]) -> String {
    let x = URL_SAFE_NO_PAD.encode(public_key);
    let members = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, members.as_bytes()))
}

fn label(kid: &str) -> String {
    format!("signing key {kid}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_thumbprint_is_that_of_rfc_8037_appendix_a_3() {
        let x = URL_SAFE_NO_PAD.decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").expect("base64url");
        let thumbprint = thumbprint(&x.try_into().expect("32 bytes"));
        assert_eq!(thumbprint, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }
}
