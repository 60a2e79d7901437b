//! CORS (the Fetch standard): which other origins' scripts may read answers.
//!
//! poem's own middleware refuses requests from all other origins, which includes our own pages behind a proxy. Here such a
//! request is answered like any other, but without the headers that let a script read the answer.

use poem::{
    IntoResponse, Request, Response,
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
};

use crate::config::AllowedOrigin;

const METHODS: HeaderValue = HeaderValue::from_static("GET, POST, PATCH, DELETE");
const REQUEST_HEADERS: HeaderValue = HeaderValue::from_static("authorization, content-type, x-request-id");
const ANSWER_HEADERS: HeaderValue = HeaderValue::from_static("x-request-id, retry-after");
const ONE_HOUR: HeaderValue = HeaderValue::from_static("3600");

/// The origins of `server.cors_origins`.
pub struct Cors(pub Vec<AllowedOrigin>);

impl Cors {
    /// The origin of a request, if it is allowed. Compared byte by byte, so that neither `null` nor a lookalike passes.
    pub fn allowed(&self, request: &Request) -> Option<HeaderValue> {
        let origin = request.headers().get(header::ORIGIN)?;
        self.0.iter().any(|allowed| allowed.allows(origin.as_bytes())).then(|| origin.clone())
    }

    /// The answer to a preflight request of an allowed origin; none if the request is not one.
    pub fn preflight(request: &Request) -> Option<Response> {
        let is_preflight = request.method() == Method::OPTIONS
            && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
        is_preflight.then(|| {
            let mut answer = StatusCode::NO_CONTENT.into_response();
            answer.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
            answer.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_HEADERS, REQUEST_HEADERS);
            answer.headers_mut().insert(header::ACCESS_CONTROL_MAX_AGE, ONE_HOUR);
            answer
        })
    }

    /// Lets scripts of an allowed origin read the answer. `Vary` keeps caches from giving it to another origin.
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
