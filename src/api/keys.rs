//! `/.well-known/jwks.json`.

use poem_openapi::{Object, OpenApi, payload::Json, types::Example};

use super::Tag;
use crate::accounts::{Accounts, PublicKey};

pub struct Keys(pub Accounts);

/// The public keys that verify tokens, as a JWK set (RFC 7517).
#[derive(Object)]
#[oai(example)]
struct KeySet {
    /// The keys. Tokens name one of them by its `kid`.
    keys: Vec<Key>,
}

/// An Ed25519 public key, as a JWK (RFC 8037).
#[derive(Object)]
#[oai(rename = "Jwk")]
struct Key {
    /// The key type: `OKP`.
    kty: String,
    /// The curve: `Ed25519`.
    crv: String,
    /// The use of the key: `sig`, signatures.
    #[oai(rename = "use")]
    usage: String,
    /// The algorithm: `EdDSA`.
    alg: String,
    /// The id of the key, as in the header of a token.
    kid: String,
    /// The public key, in base64url.
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
    /// Get the public keys
    ///
    /// With these keys another service can verify an access token by itself: check the signature (`alg` `EdDSA`, the key
    /// by `kid`), `typ` (`at+jwt`), `iss`, `aud` and `exp`. Revocation is not visible to offline verification until the
    /// token expires. Fetch the keys again when a token names a `kid` that you do not know.
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
