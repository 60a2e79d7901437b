//! Access and refresh tokens: JWTs (RFC 7519) signed with Ed25519 (RFC 8037), checked claim by claim.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::decode_header;
use quick_cache::sync::Cache;

use super::{
    claims::{AccessClaims, Claims},
    key_ring::{KeyError, KeyRing, PublicKey},
    random,
    secret::InstallationSecret,
    secret::sha256,
};
use crate::{
    config::Config,
    domain::{PlainToken, Session, SessionId, Timestamp, User, UserId},
    store::SigningKeyRow,
};

/// How many checked access tokens are cached: some 200 bytes each.
const CACHED: usize = 16 * 1024;
/// By how much the clock of another issuer of `nbf` may be ahead.
const SKEW: Duration = Duration::from_secs(30);
/// The `typ` of access tokens (RFC 9068, section 2.1), and of refresh tokens in the same manner.
const ACCESS: &str = "at+jwt";
const REFRESH: &str = "rt+jwt";

/// Why a token is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error("not a valid token")]
    Invalid,
    /// It names a key that is not known (yet), or one of our keys signed it under an issuer that is not: another server on
    /// the same store may have begun to use it.
    #[error("a token with an unknown key or issuer")]
    Unknown,
}

/// Signs tokens and checks them.
pub struct Tokens {
    keys: RwLock<Arc<Keys>>,
    /// The issuer of the tokens that are signed now.
    issuer: String,
    audience: String,
    access_ttl: Duration,
}

/// The keys in use.
struct Keys {
    ring: KeyRing,
    /// Access tokens that these keys have signed, by the hash of the token. Checking a signature takes longer than the rest
    /// of a request, and its result never changes; expiry and session are checked each time. Other keys or issuers are
    /// another ring, with an empty cache.
    checked: Cache<[u8; 32], Access>,
}

/// From when until when a token is valid.
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
    pub user_id: UserId,
    pub session_id: SessionId,
    validity: Validity,
}

/// What a refresh token says, all of it checked but for whether it is still the current one.
#[derive(Clone, Debug)]
pub struct Refresh {
    pub user_id: UserId,
    pub session_id: SessionId,
    /// Its `jti`, the part that the session is asked about.
    pub token: PlainToken,
}

impl Tokens {
    /// Takes the keys of the store, the youngest of which signs, and its issuers.
    ///
    /// # Errors
    /// If a key was sealed under another secret, or there is none.
    pub fn new(
        rows: &[SigningKeyRow],
        issuers: Vec<String>,
        secret: &InstallationSecret,
        config: &Config,
    ) -> Result<Self, KeyError> {
        Ok(Self {
            keys: RwLock::new(Arc::new(Keys::new(KeyRing::unseal(rows, issuers, secret)?))),
            issuer: config.issuer().to_owned(),
            audience: config.auth.audience.clone(),
            access_ttl: config.auth.access_ttl.get(),
        })
    }

    /// Takes the keys and the issuers of the store, if they have changed.
    ///
    /// # Errors
    /// If a key was sealed under another secret, or there is none.
    pub fn set_keys(
        &self,
        rows: &[SigningKeyRow],
        issuers: Vec<String>,
        secret: &InstallationSecret,
    ) -> Result<(), KeyError> {
        let known = self.keys();
        let are_same =
            known.ring.keys().iter().map(|key| &key.public.kid).eq(rows.iter().map(|row| &row.kid));
        if !are_same || known.ring.issuers() != issuers {
            let keys = Arc::new(Keys::new(KeyRing::unseal(rows, issuers, secret)?));
            *self.keys.write().unwrap_or_else(PoisonError::into_inner) = keys;
        }
        Ok(())
    }

    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The public keys, for `/.well-known/jwks.json` (RFC 7517).
    pub fn public_keys(&self) -> Vec<PublicKey> {
        self.keys().ring.keys().iter().map(|key| key.public.clone()).collect()
    }

    /// An access token for a session, with when it expires.
    ///
    /// # Errors
    /// If it cannot be signed.
    pub fn sign_access(
        &self,
        session: &Session,
        user: &User,
        now: Timestamp,
    ) -> Result<(String, Timestamp), KeyError> {
        let expires_at = (now + self.access_ttl).min(session.expires_at);
        let claims = AccessClaims {
            common: Claims {
                aud: self.audience.clone(),
                ..self.claims(session, URL_SAFE_NO_PAD.encode(random::bytes::<16>()), now, expires_at)
            },
            role: user.role.into_str().to_owned(),
            status: user.status().into_str().to_owned(),
        };
        Ok((self.keys().ring.sign(ACCESS, &claims)?, expires_at))
    }

    /// The refresh token of a session with `token` as its `jti`; the same one each time it is asked for.
    ///
    /// # Errors
    /// If it cannot be signed.
    pub fn sign_refresh(&self, session: &Session, token: &PlainToken) -> Result<String, KeyError> {
        let jti = token.as_str().to_owned();
        self.keys().ring.sign(REFRESH, &self.claims(session, jti, session.last_used_at, session.expires_at))
    }

    /// # Errors
    /// If anything about the token is not as it must be, or it has expired.
    pub fn check_access(&self, token: &str, now: Timestamp) -> Result<Access, TokenError> {
        let keys = self.keys();
        match self.access(token, &keys) {
            Some(access) if access.validity.covers(now) => Ok(access),
            Some(_) => Err(TokenError::Invalid),
            None => Err(self.refusal(token, &keys)),
        }
    }

    /// The session that an access token names, also after the token has expired.
    ///
    /// # Errors
    /// If anything else about the token is not as it must be.
    pub fn named_session(&self, token: &str) -> Result<SessionId, TokenError> {
        let keys = self.keys();
        let access = self.access(token, &keys);
        access.map(|access| access.session_id).ok_or_else(|| self.refusal(token, &keys))
    }

    /// # Errors
    /// If anything about the token is not as it must be, or it has expired.
    pub fn check_refresh(&self, token: &str, now: Timestamp) -> Result<Refresh, TokenError> {
        let keys = self.keys();
        let current = |claims: &Claims| {
            let validity = self.validity(claims, &refresh_audience(&claims.iss), &keys.ring);
            validity.is_some_and(|validity| validity.covers(now))
        };
        let claims = keys.ring.check::<Claims>(REFRESH, token).filter(current);
        let claims = claims.ok_or_else(|| self.refusal(token, &keys))?;
        Ok(Refresh {
            user_id: UserId::from_uuid(claims.sub),
            session_id: SessionId::from_uuid(claims.sid),
            token: PlainToken::new(claims.jti),
        })
    }

    /// What an access token says, whether or not it has expired.
    fn access(&self, token: &str, keys: &Keys) -> Option<Access> {
        let hash = sha256(token);
        if let Some(access) = keys.checked.get(&hash) {
            return Some(access);
        }
        let AccessClaims { common: claims, .. } = keys.ring.check(ACCESS, token)?;
        let access = Access {
            user_id: UserId::from_uuid(claims.sub),
            session_id: SessionId::from_uuid(claims.sid),
            validity: self.validity(&claims, &self.audience, &keys.ring)?,
        };
        keys.checked.insert(hash, access);
        Some(access)
    }

    /// Why a token was not accepted.
    fn refusal(&self, token: &str, keys: &Keys) -> TokenError {
        let kid = decode_header(token).ok().and_then(|header| header.kid);
        let is_unknown = kid.is_some_and(|kid| {
            let claims =
                || keys.ring.check::<Claims>(ACCESS, token).or_else(|| keys.ring.check(REFRESH, token));
            keys.ring.named(&kid).is_none()
                || claims().is_some_and(|claims| !self.is_ours(&claims.iss, &keys.ring))
        });
        if is_unknown { TokenError::Unknown } else { TokenError::Invalid }
    }

    fn is_ours(&self, issuer: &str, key_ring: &KeyRing) -> bool {
        issuer == self.issuer || key_ring.issuers().iter().any(|known| known == issuer)
    }

    fn keys(&self) -> Arc<Keys> {
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
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

    /// When a token with these claims is valid; never, if it is not from here or not for this audience.
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

impl Keys {
    fn new(ring: KeyRing) -> Self {
        Self { ring, checked: Cache::new(CACHED) }
    }
}

impl Validity {
    fn covers(self, now: Timestamp) -> bool {
        self.until > now && self.from.is_none_or(|from| from <= now + SKEW)
    }
}
