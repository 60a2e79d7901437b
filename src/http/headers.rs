//! What every answer tells browsers and caches: keep nothing unless it says so, guess nothing, show it in no frame.

use poem::http::{HeaderMap, HeaderName, HeaderValue, header};

const ALWAYS: [(HeaderName, HeaderValue); 2] = [
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
];

/// For whatever is a user's own, which is everything but the looks of a page.
const KEEP_NOTHING: HeaderValue = HeaderValue::from_static("no-store");

/// For whatever is no page: a browser that shows it all the same runs and loads nothing.
const NOTHING: HeaderValue = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");

/// Of a page of ours: its own style, and forms that go nowhere else.
pub const OF_PAGE: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'self'; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
);

/// Of Swagger UI: a script and a style of this server, and requests to this server.
pub const OF_DOCS: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self'; form-action 'none'; \
     base-uri 'none'; frame-ancestors 'none'",
);

/// A year, as long as what people type starts with https (RFC 6797).
const HTTPS_ONLY: HeaderValue = HeaderValue::from_static("max-age=31536000");

/// The id of the request: the client's own, if it sent a sane one.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Adds them to an answer, which may have said itself what it may load and how long it may be kept.
pub fn add(headers: &mut HeaderMap, request_id: &str, is_https: bool) {
    headers.reserve(ALWAYS.len() + 5);
    if let Ok(id) = HeaderValue::from_str(request_id) {
        headers.insert(REQUEST_ID, id);
    }
    for (name, value) in ALWAYS {
        headers.insert(name, value);
    }
    headers.entry(header::CACHE_CONTROL).or_insert(KEEP_NOTHING);
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(NOTHING);
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    if is_https {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HTTPS_ONLY);
    }
    // JSON is UTF-8; its media type has no charset (RFC 8259, section 11).
    if let Some(media_type) = headers.get_mut(header::CONTENT_TYPE)
        && media_type.as_bytes().starts_with(b"application/json;")
    {
        *media_type = JSON;
    }
}
