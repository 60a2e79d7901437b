//! `/.well-known/jwks.json`.

use poem_openapi::{OpenApi, payload::Json};

use super::{Tag, views::KeySet};
use crate::accounts::Accounts;

pub struct Keys(pub Accounts);

#[OpenApi(tag = "Tag::Operation")]
impl Keys {
    /// Get the public keys
    ///
    /// With these keys another service can verify an access token by itself: check the signature (`alg` `EdDSA`, the key
    /// by `kid`), `typ` (`at+jwt`), `iss`, `aud` and `exp`. Revocation is not visible to offline verification until the
    /// token expires. Fetch the keys again when a token names a `kid` that you do not know.
    #[oai(path = "/.well-known/jwks.json", method = "get", operation_id = "jwks")]
    async fn jwks(&self) -> Json<KeySet> {
        Json(self.0.public_keys().into())
    }
}
