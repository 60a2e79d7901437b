//! What a link sends in its query, or a form in its body.

use poem::{Request, http::Method};
use serde::{Deserialize, Deserializer};

use crate::{
    domain::PlainToken,
    http::{self, ApiError, ApiResult, Code, has_media_type},
};

/// Unknown fields are ignored; browser extensions add some.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Form {
    #[serde(deserialize_with = "pasted")]
    pub token: Option<String>,
    #[serde(rename = "do")]
    pub action: Option<String>,
    pub email: Option<String>,
    pub new_password: Option<String>,
    pub repeat_password: Option<String>,
}

impl Form {
    /// # Errors
    /// `malformed_request` if it cannot be read, or has a field twice; `unsupported_media_type`, `payload_too_large`.
    pub async fn read(mut request: Request) -> ApiResult<Self> {
        let malformed = |_| ApiError::new(Code::MalformedRequest, "The form cannot be read.");
        if request.method() != Method::POST {
            let query = request.uri().query().unwrap_or_default();
            return serde_urlencoded::from_str(query).map_err(malformed);
        }
        if !has_media_type(&request, "application/x-www-form-urlencoded") {
            let detail = "The body must be a form: Content-Type: application/x-www-form-urlencoded.";
            return Err(ApiError::new(Code::UnsupportedMediaType, detail));
        }
        let body = request.take_body();
        let bytes = http::read_body(body, &request).await?;
        serde_urlencoded::from_bytes(&bytes).map_err(malformed)
    }
}

/// Without what was copied along with the link, such as a full stop.
fn pasted<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let text = String::deserialize(deserializer)?;
    Ok(Some(PlainToken::pasted(&text).as_str().to_owned()))
}
