//! The body of a request: its media type and its size limit.

use bytes::Bytes;
use poem::{Body, Request, error::ReadBodyError, http::header};

use super::{
    connection::{ConnectionState, Step},
    problem::{ApiError, ApiResult, Code},
};

pub const MAX_BODY_BYTES: usize = 16 * 1024;

/// Whether the one `Content-Type` of a request is this (RFC 9110, section 8.3).
pub fn has_media_type(request: &Request, wanted: &str) -> bool {
    let mut types = request.headers().get_all(header::CONTENT_TYPE).iter();
    let (Some(only), None) = (types.next(), types.next()) else { return false };
    let media_type = only.to_str().ok().and_then(|text| text.split(';').next());
    media_type.is_some_and(|media_type| media_type.trim().eq_ignore_ascii_case(wanted))
}

/// Reads the body of `request`.
///
/// # Errors
/// `payload_too_large`, before anything is read if the request announces more than the limit; `malformed_request` if the
/// client stops in the middle.
pub async fn read_body(body: Body, request: &Request) -> ApiResult<Bytes> {
    let announced = request.header(header::CONTENT_LENGTH).and_then(|length| length.parse::<usize>().ok());
    if announced.is_some_and(|length| length > MAX_BODY_BYTES) {
        return Err(payload_too_large());
    }
    let read = body.into_bytes_limit(MAX_BODY_BYTES).await;
    // The connection no longer waits for its client.
    if let Some(connection) = request.data::<ConnectionState>() {
        connection.enter(Step::Request);
    }
    read.map_err(|error| match error {
        ReadBodyError::PayloadTooLarge => payload_too_large(),
        _ => ApiError::new(Code::MalformedRequest, "The request body is incomplete."),
    })
}

#[must_use]
pub fn payload_too_large() -> ApiError {
    ApiError::new(Code::PayloadTooLarge, format!("The body must have at most {MAX_BODY_BYTES} bytes."))
}
