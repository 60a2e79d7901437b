//! Access and refresh tokens: JWTs (RFC 7519) signed with Ed25519 (RFC 8037), checked claim by claim.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::decode_header;
use serde::{Deserialize, Deserializer, Serialize};
use uuid::Uuid;

use crate::accounts::{
    Error,
    key_ring::{KeyRing, PublicKey},
    secret::{self, InstallationSecret},
};
use crate::{
    config::Config,
    domain::{PlainToken, Session, SessionId, Timestamp, User, UserId},
    store::SigningKeyRow,
};

/// By how much the clock of another issuer of `nbf` may be ahead.
const SKEW: Duration = Duration::from_secs(30);
/// The `typ` of access tokens (RFC 9068, section 2.1), and of refresh tokens in the same manner.
const ACCESS: &str = "at+jwt";
const REFRESH: &str = "rt+jwt";

/// Signs tokens and checks them.
pub struct Tokens {
    key_ring: RwLock<Arc<KeyRing>>,
    /// The issuer in force, which signs.
    issuer: String,
    audience: String,
    access_ttl: Duration,
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

/// From when until when a token is good.
///
/// When it was issued does not matter: a token that lies in the future was issued before the clock was set back. Its
/// signature and the session in the store prove it, and a client takes a refusal of its refresh token as final.
#[derive(Clone, Copy, Debug)]
struct Validity {
    from: Option<Timestamp>,
    until: Timestamp,
}

/// What an access token says, all of it checked but for whether the session still exists.
#[derive(Clone, Copy, Debug)]
pub struct Access {
    /// Whose it is.
    pub user_id: UserId,
    /// Of which session.
    pub session_id: SessionId,
    validity: Validity,
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
    /// A signer with the keys of the store, the youngest of which signs, and its issuers.
    ///
    /// # Errors
    /// If a key was sealed under another secret, or there is none.
    pub fn new(
        rows: &[SigningKeyRow],
        issuers: Vec<String>,
        secret: &InstallationSecret,
        config: &Config,
    ) -> Result<Self, Error> {
        Ok(Self {
            key_ring: RwLock::new(Arc::new(KeyRing::unseal(rows, issuers, secret)?)),
            issuer: config.issuer().to_owned(),
            audience: config.auth.audience.clone(),
            access_ttl: config.auth.access_ttl.get(),
        })
    }

    /// Takes the keys and the issuers of the store, if they are others by now.
    ///
    /// # Errors
    /// If a key was sealed under another secret, or there is none.
    pub fn set_keys(
        &self,
        rows: &[SigningKeyRow],
        issuers: Vec<String>,
        secret: &InstallationSecret,
    ) -> Result<(), Error> {
        let known = self.key_ring();
        let are_same = known.keys().iter().map(|key| &key.public.kid).eq(rows.iter().map(|row| &row.kid));
        if !are_same || known.issuers() != issuers {
            let key_ring = Arc::new(KeyRing::unseal(rows, issuers, secret)?);
            *self.key_ring.write().unwrap_or_else(PoisonError::into_inner) = key_ring;
        }
        Ok(())
    }

    /// The issuer of the tokens that are signed now.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Whether a token names a key that is not known (yet), or one of our keys has signed it under an issuer that is not:
    /// another server on the same store may have begun to use it.
    pub fn names_unknown(&self, token: &str) -> bool {
        let key_ring = self.key_ring();
        let Some(kid) = decode_header(token).ok().and_then(|header| header.kid) else { return false };
        if key_ring.named(&kid).is_none() {
            return true;
        }
        let claims = || key_ring.check::<Claims>(ACCESS, token).or_else(|| key_ring.check(REFRESH, token));
        claims().is_some_and(|claims| !self.is_ours(&claims.iss, &key_ring))
    }

    fn is_ours(&self, issuer: &str, key_ring: &KeyRing) -> bool {
        issuer == self.issuer || key_ring.issuers().iter().any(|known| known == issuer)
    }

    /// The public keys, for `/.well-known/jwks.json` (RFC 7517).
    pub fn public_keys(&self) -> Vec<PublicKey> {
        self.key_ring().keys().iter().map(|key| key.public.clone()).collect()
    }

    fn key_ring(&self) -> Arc<KeyRing> {
        Arc::clone(&self.key_ring.read().unwrap_or_else(PoisonError::into_inner))
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
            common: Claims {
                aud: self.audience.clone(),
                ..self.claims(session, URL_SAFE_NO_PAD.encode(secret::random::<16>()), now, expires_at)
            },
            role: user.role.into_str().to_owned(),
            status: user.status().into_str().to_owned(),
        };
        Ok((self.key_ring().sign(ACCESS, &claims)?, expires_at))
    }

    /// The refresh token of a session with `token` as its `jti`; the same one each time it is asked for.
    ///
    /// # Errors
    /// `Internal` if it cannot be signed.
    pub fn sign_refresh(&self, session: &Session, token: &PlainToken) -> Result<String, Error> {
        let jti = token.as_str().to_owned();
        self.key_ring().sign(REFRESH, &self.claims(session, jti, session.last_used_at, session.expires_at))
    }

    /// What an access token says.
    ///
    /// # Errors
    /// `InvalidToken` if anything about it is not as it must be.
    pub fn check_access(&self, token: &str, now: Timestamp) -> Result<Access, Error> {
        self.access(token).filter(|access| access.validity.covers(now)).ok_or(Error::InvalidToken)
    }

    /// The session that an access token names, also once its time has run out.
    ///
    /// # Errors
    /// `InvalidToken` if anything else about it is not as it must be.
    pub fn named_session(&self, token: &str) -> Result<SessionId, Error> {
        self.access(token).map(|access| access.session_id).ok_or(Error::InvalidToken)
    }

    /// What an access token says, whether or not its time has run out.
    fn access(&self, token: &str) -> Option<Access> {
        let check = |key_ring: &KeyRing| {
            let claims: AccessClaims = key_ring.check(ACCESS, token)?;
            let claims = claims.common;
            Some(Access {
                user_id: UserId::from_uuid(claims.sub),
                session_id: SessionId::from_uuid(claims.sid),
                validity: self.validity(&claims, &self.audience, key_ring)?,
            })
        };
        self.key_ring().access(token, check)
    }

    /// What a refresh token says.
    ///
    /// # Errors
    /// `InvalidRefreshToken` if anything about it is not as it must be.
    pub fn check_refresh(&self, token: &str, now: Timestamp) -> Result<Refresh, Error> {
        let key_ring = self.key_ring();
        let claims: Option<Claims> = key_ring.check(REFRESH, token);
        let current = |claims: &Claims| {
            let validity = self.validity(claims, &refresh_audience(&claims.iss), &key_ring);
            validity.is_some_and(|validity| validity.covers(now))
        };
        let claims = claims.filter(current).ok_or(Error::InvalidRefreshToken)?;
        Ok(Refresh {
            user_id: UserId::from_uuid(claims.sub),
            session_id: SessionId::from_uuid(claims.sid),
            token: PlainToken::new(claims.jti),
        })
    }

    /// The claims of a refresh token, most of which an access token has, too.
    fn claims(&self, session: &Session, jti: String, issued_at: Timestamp, expires_at: Timestamp) -> Claims {
        Claims {
            iss: self.issuer.clone(),
            aud: refresh_audience(&self.issuer),
            sub: *session.user_id.as_uuid(),
            sid: *session.id.as_uuid(),
            jti,
            iat: issued_at.seconds(),
            // Rounded up: a token does not die before `expires_in` says so.
            exp: (expires_at + Duration::from_millis(999)).seconds(),
            nbf: None,
        }
    }

    /// When a token with these claims is good; never, if it is not from here or not for this audience.
    fn validity(&self, claims: &Claims, audience: &str, key_ring: &KeyRing) -> Option<Validity> {
        (self.is_ours(&claims.iss, key_ring) && claims.aud == audience).then(|| Validity {
            from: claims.nbf.map(Timestamp::from_seconds),
            until: Timestamp::from_seconds(claims.exp),
        })
    }
}

/// The audience of refresh tokens: the one endpoint that takes them. A service that checks signature, issuer and
/// audience, and not the `typ`, would otherwise take one for an access token that lives 30 days.
fn refresh_audience(issuer: &str) -> String {
    format!("{issuer}/auth/refresh")
}

impl Validity {
    fn covers(self, now: Timestamp) -> bool {
        self.until > now && self.from.is_none_or(|from| from <= now + SKEW)
    }
}

/// A claim that is there is a number; `null` is none.
fn a_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    i64::deserialize(deserializer).map(Some)
}
