//! Which scripts of other origins may read answers (the Fetch standard's CORS protocol): those that the shop names.
//!
//! The framework's own layer refuses a request from any other origin outright, our own pages behind a proxy included.
//! Here such a request is answered like any other, only without the headers that let a script read the answer.

use poem::{
    IntoResponse, Request, Response,
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
};

use crate::config::AllowedOrigin;

const METHODS: HeaderValue = HeaderValue::from_static("GET, POST, PATCH, DELETE");
const REQUEST_HEADERS: HeaderValue = HeaderValue::from_static("authorization, content-type, x-request-id");
const ANSWER_HEADERS: HeaderValue = HeaderValue::from_static("x-request-id, retry-after");
const AN_HOUR: HeaderValue = HeaderValue::from_static("3600");

/// The origins whose scripts may read.
pub struct Cors(pub Vec<AllowedOrigin>);

impl Cors {
    /// The origin of a request, if the shop names it: byte by byte, so that neither `null` nor a lookalike passes.
    pub fn named(&self, request: &Request) -> Option<HeaderValue> {
        let origin = request.headers().get(header::ORIGIN)?;
        self.0.iter().any(|named| named.allows(origin.as_bytes())).then(|| origin.clone())
    }

    /// The answer to a script of a named origin that asks what it may send.
    pub fn preflight(request: &Request) -> Option<Response> {
        let asks = request.method() == Method::OPTIONS
            && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
        asks.then(|| {
            let mut answer = StatusCode::NO_CONTENT.into_response();
            answer.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
            answer.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_HEADERS, REQUEST_HEADERS);
            answer.headers_mut().insert(header::ACCESS_CONTROL_MAX_AGE, AN_HOUR);
            answer
        })
    }

    /// Lets scripts of a named origin read an answer. Where origins are told apart, a cache must, too.
    pub fn allow(&self, origin: Option<HeaderValue>, headers: &mut HeaderMap) {
        if let Some(origin) = origin {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, ANSWER_HEADERS);
        }
        if !self.0.is_empty() {
            headers.append(header::VARY, HeaderValue::from_static("Origin"));
        }
    }
}
