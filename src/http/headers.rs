//! Security headers of every answer: no caching unless it says so, no sniffing, no framing.

use poem::http::{HeaderMap, HeaderName, HeaderValue, header};

const ALWAYS: [(HeaderName, HeaderValue); 2] = [
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
];

/// Unless an answer sets its own: most hold a user's data.
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// Unless an answer sets its own: a browser that shows JSON runs and loads nothing.
const DENY_ALL: HeaderValue = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");

/// The `Content-Security-Policy` of a page: our style sheet, and forms to this server.
pub const PAGE_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'self'; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
);

/// The `Content-Security-Policy` of Swagger UI: scripts, styles and requests of this server.
pub const DOCS_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self'; form-action 'none'; \
     base-uri 'none'; frame-ancestors 'none'",
);

/// For one year (RFC 6797).
const HTTPS_ONLY: HeaderValue = HeaderValue::from_static("max-age=31536000");

pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Adds the headers; an answer may have set `Cache-Control` and `Content-Security-Policy` itself.
pub fn add(headers: &mut HeaderMap, request_id: &str, is_https: bool) {
    headers.reserve(ALWAYS.len() + 5);
    if let Ok(id) = HeaderValue::from_str(request_id) {
        headers.insert(REQUEST_ID, id);
    }
    for (name, value) in ALWAYS {
        headers.insert(name, value);
    }
    headers.entry(header::CACHE_CONTROL).or_insert(NO_STORE);
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(DENY_ALL);
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    if is_https {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HTTPS_ONLY);
    }
}
