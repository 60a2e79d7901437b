//! What tokens say (RFC 7519, section 4).

use serde::{Deserialize, Deserializer, Serialize};
use uuid::Uuid;

#[derive(Serialize, Deserialize)]
pub struct Claims {
    pub iss: String,
    pub aud: String,
    pub sub: Uuid,
    pub sid: Uuid,
    pub jti: String,
    pub iat: i64,
    pub exp: i64,
    /// Ours have none; in a token that has one it counts (RFC 7519, section 4.1.5).
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "a_number")]
    pub nbf: Option<i64>,
}

#[derive(Serialize, Deserialize)]
pub struct AccessClaims {
    #[serde(flatten)]
    pub common: Claims,
    pub role: String,
    pub status: String,
}

/// A claim that is there is a number; `null` is none.
fn a_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    i64::deserialize(deserializer).map(Some)
}
