//! Access and refresh tokens: JWTs (RFC 7519) signed with Ed25519 (RFC 8037), checked claim by claim.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use aws_lc_rs::{
    digest,
    signature::{Ed25519KeyPair, KeyPair},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, decode_header, encode};
use serde::{Deserialize, Deserializer, Serialize, de::DeserializeOwned};
use uuid::Uuid;

use super::{
    Error,
    secret::{self, InstallationSecret},
};
use crate::{
    config::Config,
    model::{PlainToken, Session, SessionId, Timestamp, User, UserId, Word},
    store::SigningKeyRow,
};

/// Clocks of two machines on one store may differ by so much.
const SKEW: Duration = Duration::from_secs(30);
/// The `typ` of access tokens (RFC 9068, section 2.1), and of refresh tokens in the same manner.
const ACCESS: &str = "at+jwt";
const REFRESH: &str = "rt+jwt";

/// A public key, for whoever checks tokens without asking us.
#[derive(Clone, Debug)]
pub struct PublicKey {
    /// Its name: the RFC 7638 thumbprint.
    pub kid: String,
    /// The 32 bytes of the Ed25519 key in base64url: the `x` of RFC 8037, section 2.
    pub x: String,
}

/// Signs tokens and checks them.
pub struct Tokens {
    keys: RwLock<Arc<[Key]>>,
    issuer: String,
    audience: String,
    access_ttl: Duration,
}

struct Key {
    public: PublicKey,
    signing: EncodingKey,
    checking: DecodingKey,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: Uuid,
    sid: Uuid,
    jti: String,
    iat: i64,
    exp: i64,
    /// None of ours has one; whoever wrote one means it (RFC 7519, section 4.1.5).
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "a_number")]
    nbf: Option<i64>,
}

#[derive(Serialize, Deserialize)]
struct AccessClaims {
    #[serde(flatten)]
    common: Claims,
    role: String,
    status: String,
}

/// What an access token says, all of it checked but for whether the session still exists.
#[derive(Clone, Copy, Debug)]
pub struct Access {
    /// Whose it is.
    pub user_id: UserId,
    /// Of which session.
    pub session_id: SessionId,
}

/// What a refresh token says, all of it checked but for whether it is still the current one.
#[derive(Clone, Debug)]
pub struct Refresh {
    /// Whose it is.
    pub user_id: UserId,
    /// Of which session.
    pub session_id: SessionId,
    /// Its `jti`, the part that the session is asked about.
    pub token: PlainToken,
}

impl Tokens {
    /// A signer with the keys of the store, the youngest of which signs.
    ///
    /// # Errors
    /// If a key was sealed under another secret, or there is none.
    pub fn new(rows: &[SigningKeyRow], secret: &InstallationSecret, config: &Config) -> Result<Self, Error> {
        Ok(Self {
            keys: RwLock::new(unseal(rows, secret)?),
            issuer: config.issuer().to_owned(),
            audience: config.auth.audience.clone(),
            access_ttl: config.auth.access_ttl.get(),
        })
    }

    /// Takes the keys of the store, if they are others by now.
    ///
    /// # Errors
    /// If a key was sealed under another secret, or there is none.
    pub fn set_keys(&self, rows: &[SigningKeyRow], secret: &InstallationSecret) -> Result<(), Error> {
        let known = self.keys();
        if !known.iter().map(|key| &key.public.kid).eq(rows.iter().map(|row| &row.kid)) {
            *self.keys.write().unwrap_or_else(PoisonError::into_inner) = unseal(rows, secret)?;
        }
        Ok(())
    }

    /// Whether a token names a key that is not known (yet).
    pub fn names_unknown_key(&self, token: &str) -> bool {
        let named = decode_header(token).ok().and_then(|header| header.kid);
        named.is_some_and(|kid| self.keys().iter().all(|key| key.public.kid != kid))
    }

    /// The public keys, for `/.well-known/jwks.json` (RFC 7517).
    pub fn public_keys(&self) -> Vec<PublicKey> {
        self.keys().iter().map(|key| key.public.clone()).collect()
    }

    fn keys(&self) -> Arc<[Key]> {
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// An access token for a session, with when it expires.
    ///
    /// # Errors
    /// `Internal` if it cannot be signed.
    pub fn sign_access(
        &self,
        session: &Session,
        user: &User,
        now: Timestamp,
    ) -> Result<(String, Timestamp), Error> {
        let expires_at = (now + self.access_ttl).min(session.expires_at);
        let claims = AccessClaims {
            common: self.claims(session, URL_SAFE_NO_PAD.encode(secret::random::<16>()), now, expires_at),
            role: user.role.word().to_owned(),
            status: user.status().word().to_owned(),
        };
        Ok((self.sign(ACCESS, &claims)?, expires_at))
    }

    /// The refresh token of a session with `token` as its `jti`; the same one each time it is asked for.
    ///
    /// # Errors
    /// `Internal` if it cannot be signed.
    pub fn sign_refresh(&self, session: &Session, token: &PlainToken) -> Result<String, Error> {
        let jti = token.as_str().to_owned();
        self.sign(REFRESH, &self.claims(session, jti, session.last_used_at, session.expires_at))
    }

    /// What an access token says.
    ///
    /// # Errors
    /// `InvalidToken` if anything about it is not as it must be.
    pub fn check_access(&self, token: &str, now: Timestamp) -> Result<Access, Error> {
        let claims: AccessClaims = self.check(ACCESS, token).ok_or(Error::InvalidToken)?;
        let claims = self.is_current(claims.common, now).ok_or(Error::InvalidToken)?;
        Ok(Access { user_id: UserId::from_uuid(claims.sub), session_id: SessionId::from_uuid(claims.sid) })
    }

    /// What a refresh token says.
    ///
    /// # Errors
    /// `InvalidRefreshToken` if anything about it is not as it must be.
    pub fn check_refresh(&self, token: &str, now: Timestamp) -> Result<Refresh, Error> {
        let claims = self.check(REFRESH, token).ok_or(Error::InvalidRefreshToken)?;
        let claims = self.is_current(claims, now).ok_or(Error::InvalidRefreshToken)?;
        Ok(Refresh {
            user_id: UserId::from_uuid(claims.sub),
            session_id: SessionId::from_uuid(claims.sid),
            token: PlainToken::new(claims.jti),
        })
    }

    fn claims(&self, session: &Session, jti: String, issued_at: Timestamp, expires_at: Timestamp) -> Claims {
        Claims {
            iss: self.issuer.clone(),
            aud: self.audience.clone(),
            sub: *session.user_id.as_uuid(),
            sid: *session.id.as_uuid(),
            jti,
            iat: issued_at.seconds(),
            // Rounded up: a token does not die before `expires_in` says so.
            exp: (expires_at + Duration::from_millis(999)).seconds(),
            nbf: None,
        }
    }

    fn sign(&self, typ: &str, claims: &impl Serialize) -> Result<String, Error> {
        let keys = self.keys();
        let key = keys.last().ok_or_else(|| Error::Internal("there is no signing key".to_owned()))?;
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some(typ.to_owned());
        header.kid = Some(key.public.kid.clone());
        encode(&header, claims, &key.signing)
            .map_err(|e| Error::Internal(format!("cannot sign a token: {e}")))
    }

    /// The claims of a token that one of our keys signed as one of this type (RFC 8725, section 3.11). The library
    /// looks at the signature alone: its own checks of `typ`, `crit`, `iss`, `aud` and `exp` have holes.
    fn check<C: DeserializeOwned>(&self, typ: &str, token: &str) -> Option<C> {
        let header = decode_header(token).ok()?;
        if header.alg != Algorithm::EdDSA || header.typ.as_deref() != Some(typ) || header.crit.is_some() {
            return None;
        }
        let keys = self.keys();
        let key = keys.iter().find(|key| header.kid.as_ref() == Some(&key.public.kid))?;
        let mut signature_alone = Validation::new(Algorithm::EdDSA);
        signature_alone.validate_exp = false;
        signature_alone.validate_aud = false;
        signature_alone.required_spec_claims.clear();
        decode(token, &key.checking, &signature_alone).ok().map(|data| data.claims)
    }

    fn is_current(&self, claims: Claims, now: Timestamp) -> Option<Claims> {
        let current = claims.iss == self.issuer
            && claims.aud == self.audience
            && Timestamp::from_seconds(claims.exp) > now
            && Timestamp::from_seconds(claims.iat.max(claims.nbf.unwrap_or(i64::MIN))) <= now + SKEW;
        current.then_some(claims)
    }
}

/// A claim that is there is a number; `null` is none.
fn a_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    i64::deserialize(deserializer).map(Some)
}

fn unseal(rows: &[SigningKeyRow], secret: &InstallationSecret) -> Result<Arc<[Key]>, Error> {
    if rows.is_empty() {
        return Err(Error::Internal("there is no signing key".to_owned()));
    }
    rows.iter().map(|row| Key::unseal(row, secret)).collect()
}

impl Key {
    fn unseal(row: &SigningKeyRow, secret: &InstallationSecret) -> Result<Self, Error> {
        let private = secret.unseal(&label(&row.kid), &row.sealed_private_key).map_err(|e| {
            Error::Internal(format!(
                "the signing key {} cannot be read with this installation secret: {e}",
                row.kid
            ))
        })?;
        let public = PublicKey { kid: row.kid.clone(), x: URL_SAFE_NO_PAD.encode(row.public_key) };
        Ok(Self {
            public,
            signing: EncodingKey::from_ed_der(&private),
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
