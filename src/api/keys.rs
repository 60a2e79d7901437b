//! `/.well-known/jwks.json`.

use poem_openapi::OpenApi;

use super::{answers::Json, tags::Tag, views::KeySet};
use crate::auth;

pub struct Keys(pub auth::SigningKeys);

#[OpenApi(tag = "Tag::Operation")]
impl Keys {
    /// Get the public keys
    ///
    /// Returns the keys with which another service verifies access tokens offline. Check the signature (`alg` is `EdDSA`;
    /// `kid` names the key), `typ` (`at+jwt`), `iss`, `aud` and `exp`. Revocation is not visible to offline verification
    /// until the token expires. Fetch the keys again when a token names an unknown `kid`.
    #[oai(path = "/.well-known/jwks.json", method = "get", operation_id = "jwks")]
    async fn jwks(&self) -> Json<KeySet> {
        Json(self.0.public().into())
    }
}
