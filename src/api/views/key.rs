//! Public keys.

use poem_openapi::{Object, types::Example};
use serde::Serialize;

use crate::app::PublicKey;

/// The public keys that verify tokens: a JWK set (RFC 7517).
#[derive(Object, Serialize)]
#[oai(example)]
pub struct KeySet {
    /// The keys. The header of a token names one of them by its `kid`.
    keys: Vec<Jwk>,
}

/// An Ed25519 public key: a JWK (RFC 8037).
#[derive(Object, Serialize)]
struct Jwk {
    /// The key type: `OKP`.
    kty: String,
    /// The curve: `Ed25519`.
    crv: String,
    /// The use of the key: `sig` (signatures).
    #[oai(rename = "use")]
    #[serde(rename = "use")]
    usage: String,
    /// The algorithm: `EdDSA`.
    alg: String,
    /// The id of the key.
    kid: String,
    /// The public key in base64url.
    x: String,
}

impl Example for KeySet {
    fn example() -> Self {
        let kid = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k".to_owned();
        let x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo".to_owned();
        Self { keys: vec![PublicKey { kid, x }.into()] }
    }
}

impl From<PublicKey> for Jwk {
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

impl From<Vec<PublicKey>> for KeySet {
    fn from(keys: Vec<PublicKey>) -> Self {
        Self { keys: keys.into_iter().map(Into::into).collect() }
    }
}
