//! `/.well-known/jwks.json`.

use poem_openapi::{Object, OpenApi, payload::Json, types::Example};

use super::Tag;
use crate::accounts::{Accounts, PublicKey};

pub struct Keys(pub Accounts);

/// The keys that check tokens (RFC 7517).
#[derive(Object)]
#[oai(example)]
struct KeySet {
    /// The keys.
    keys: Vec<Key>,
}

/// An Ed25519 key (RFC 8037).
#[derive(Object)]
#[oai(rename = "Jwk")]
struct Key {
    /// Key type.
    kty: String,
    /// Curve.
    crv: String,
    /// What it is for: signatures.
    #[oai(rename = "use")]
    usage: String,
    /// Algorithm.
    alg: String,
    /// Its name in the header of a token.
    kid: String,
    /// The key, in base64url.
    x: String,
}

impl Example for KeySet {
    fn example() -> Self {
        let kid = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k".to_owned();
        let x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo".to_owned();
        Self { keys: vec![PublicKey { kid, x }.into()] }
    }
}

#[OpenApi(tag = "Tag::Operation")]
impl Keys {
    /// The public keys
    ///
    /// With these another program can check an access token by itself: `alg` EdDSA, `typ` at+jwt, `iss`, `aud` and `exp`.
    /// It then does not hear of a session that ended early, for up to as long as an access token lives.
    #[oai(path = "/.well-known/jwks.json", method = "get", operation_id = "jwks")]
    async fn jwks(&self) -> Json<KeySet> {
        Json(KeySet { keys: self.0.public_keys().into_iter().map(Into::into).collect() })
    }
}

impl From<PublicKey> for Key {
    fn from(key: PublicKey) -> Self {
        Self {
            kty: "OKP".to_owned(),
            crv: "Ed25519".to_owned(),
            usage: "sig".to_owned(),
            alg: "EdDSA".to_owned(),
            kid: key.kid,
            x: key.x,
        }
    }
}
