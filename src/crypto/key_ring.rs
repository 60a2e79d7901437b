//! The keys that sign tokens and check them, and the access tokens whose signatures were found good.

use std::fmt::Display;

use aws_lc_rs::{
    digest,
    signature::{Ed25519KeyPair, KeyPair},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation, decode, decode_header};
use quick_cache::sync::Cache;
use serde::{Serialize, de::DeserializeOwned};

use crate::accounts::{Error, secret::InstallationSecret, tokens::Access};
use crate::{domain::Timestamp, store::SigningKeyRow};

/// How many tokens are remembered: some 200 bytes each.
const REMEMBERED: usize = 16 * 1024;

/// A public key, for whoever checks tokens without asking us.
#[derive(Clone, Debug)]
pub struct PublicKey {
    /// Its name: the RFC 7638 thumbprint.
    pub kid: String,
    /// The 32 bytes of the Ed25519 key in base64url: the `x` of RFC 8037, section 2.
    pub x: String,
}

/// The keys of the store, the youngest last, and the issuers under which they have signed.
pub struct KeyRing {
    keys: Vec<Key>,
    issuers: Vec<String>,
    /// What tokens say that these keys have signed, by the hash of the token. Checking a signature takes longer than all
    /// the rest of a request, and its outcome never changes; whether the token is still current, and its session still
    /// there, is asked each time. Other keys or issuers are another ring, which remembers nothing.
    good: Cache<[u8; 32], Access>,
}

/// A key pair.
pub struct Key {
    /// Its public half.
    pub public: PublicKey,
    /// For signing.
    signing: Ed25519KeyPair,
    /// For checking.
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
    ) -> Result<Self, Error> {
        let keys: Vec<_> = rows.iter().map(|row| Key::unseal(row, secret)).collect::<Result<_, _>>()?;
        if keys.is_empty() {
            return Err(none());
        }
        Ok(Self { keys, issuers, good: Cache::new(REMEMBERED) })
    }

    /// Every key.
    pub fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// The issuers of the store: what another server, or this one before its address was changed, has signed under.
    pub fn issuers(&self) -> &[String] {
        &self.issuers
    }

    /// A token of this type with these claims (RFC 7515, section 7.1), signed by the youngest key. The library would read
    /// the key anew for each token, which takes as long as signing.
    ///
    /// # Errors
    /// `Internal` if it cannot be signed.
    pub fn sign(&self, typ: &str, claims: &impl Serialize) -> Result<String, Error> {
        let key = self.keys.last().ok_or_else(none)?;
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

    /// What an access token says: remembered, or found out by `check`.
    pub fn access(&self, token: &str, check: impl FnOnce(&Self) -> Option<Access>) -> Option<Access> {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest::digest(&digest::SHA256, token.as_bytes()).as_ref());
        self.good.get(&hash).or_else(|| check(self).inspect(|access| self.good.insert(hash, *access)))
    }
}

fn encoded(part: &impl Serialize) -> Result<String, Error> {
    let json = serde_json::to_vec(part);
    let json = json.map_err(|e| Error::Internal(format!("cannot write a token: {e}")))?;
    Ok(URL_SAFE_NO_PAD.encode(json))
}

fn none() -> Error {
    Error::Internal("there is no signing key".to_owned())
}

impl Key {
    fn unseal(row: &SigningKeyRow, secret: &InstallationSecret) -> Result<Self, Error> {
        let unreadable = |why: &dyn Display| {
            Error::Internal(format!(
                "the signing key {} cannot be read with this installation secret: {why}",
                row.kid
            ))
        };
        let private = secret.unseal(&label(&row.kid), &row.sealed_private_key).map_err(|e| unreadable(&e))?;
        let public = PublicKey { kid: row.kid.clone(), x: URL_SAFE_NO_PAD.encode(row.public_key) };
        Ok(Self {
            public,
            signing: Ed25519KeyPair::from_pkcs8(&private).map_err(|e| unreadable(&e))?,
            checking: DecodingKey::from_ed_der(&row.public_key),
        })
    }
}

/// A fresh key pair, sealed for the store.
///
/// # Errors
/// `Internal` if there is no randomness to be had.
pub fn make_key(secret: &InstallationSecret, now: Timestamp) -> Result<SigningKeyRow, Error> {
    let failed = |_| Error::Internal("cannot make a signing key".to_owned());
    let pair = Ed25519KeyPair::generate().map_err(failed)?;
    let public_key: [u8; 32] =
        pair.public_key().as_ref().try_into().map_err(|_| failed(aws_lc_rs::error::Unspecified))?;
    let private = pair.to_pkcs8().map_err(failed)?;
    let kid = thumbprint(&public_key);
    let sealed_private_key =
        secret.seal(&label(&kid), private.as_ref()).map_err(|e| Error::Internal(e.to_string()))?;
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
