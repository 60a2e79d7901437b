//! Around every endpoint: an id for each request, limits on its head and its time, one answer for each refusal and each
//! panic, the log, CORS and security headers.

use std::{
    hash::{BuildHasher, RandomState},
    panic::AssertUnwindSafe,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::FutureExt;
use poem::{Endpoint, IntoResponse, Request, Response};
use uuid::{Builder, Uuid};

use super::{
    cors::Cors,
    headers,
    origin::{Proxies, RequestInfo},
    problem::{ApiError, Code},
};
use crate::domain::{Clock, Timestamp};

const MAX_URI_BYTES: usize = 8 * 1024;
const MAX_HEADERS: usize = 64;
const MAX_HEADER_BYTES: usize = 16 * 1024;
/// How much of a method and of a path is logged: a request that is refused can have 64 KiB of either.
const MAX_LOGGED_BYTES: usize = 300;

/// Shows refusals as pages instead of problem details.
pub trait ErrorPages: Send + Sync {
    fn apply_to(&self, request: &Request) -> bool;

    fn show(&self, error: ApiError, request_id: &str) -> Response;
}

pub struct RequestMiddleware<E, P> {
    pub inner: E,
    pub clock: Clock,
    pub proxies: Proxies,
    pub cors: Cors,
    /// For a whole request, its body included.
    pub deadline: Duration,
    /// Whether the public URL is https.
    pub is_https: bool,
    pub error_pages: P,
}

impl<E: Endpoint, P: ErrorPages> Endpoint for RequestMiddleware<E, P> {
    type Output = Response;

    async fn call(&self, mut request: Request) -> poem::Result<Response> {
        let start = Instant::now();
        let id = request_id(&request, self.clock.now());
        let (method, uri) = (request.method().clone(), request.uri().clone());
        let client = self.proxies.client(&request);
        let origin = self.cors.allowed(&request);
        let preflight = origin.as_ref().and_then(|_| Cors::preflight(&request));
        let mut answer = match preflight {
            Some(answer) => answer,
            None => {
                request.set_data(RequestInfo { id: Arc::clone(&id), client });
                self.answer(request, &id).await
            }
        };
        self.cors.allow(origin, answer.headers_mut());
        headers::add(answer.headers_mut(), &id, self.is_https);
        let status = answer.status().as_u16();
        let took_ms = milliseconds(start.elapsed());
        let (method, path) = (start_of(method.as_str()), start_of(uri.path()));
        if status >= 400 {
            let code = answer.data::<Code>().map(|code| code.as_str());
            let client = client.map(tracing::field::display);
            tracing::info!(method, path, status, code, took_ms, client, request_id = &*id, "refused");
        } else {
            tracing::debug!(method, path, status, took_ms, request_id = &*id, "answered");
        }
        Ok(answer)
    }
}

impl<E: Endpoint, P: ErrorPages> RequestMiddleware<E, P> {
    async fn answer(&self, request: Request, id: &str) -> Response {
        let as_page = self.error_pages.apply_to(&request);
        let error = match self.limited(request).await {
            Ok(Ok(Ok(output))) => return output.into_response(),
            Ok(Ok(Err(error))) => ApiError::from_poem(error, Vec::new),
            Ok(Err(_)) => ApiError::internal("a handler panicked".to_owned()),
            Err(error) => error,
        };
        if let Some(cause) = &error.cause {
            tracing::error!(request_id = id, cause, "{:?}", error.code);
        }
        if as_page { self.error_pages.show(error, id) } else { error.into_answer(id) }
    }

    /// Calls the endpoint within the limits, and catches a panic.
    async fn limited(
        &self,
        request: Request,
    ) -> Result<std::thread::Result<poem::Result<E::Output>>, ApiError> {
        check_head(&request)?;
        let answer = AssertUnwindSafe(self.inner.call(request)).catch_unwind();
        tokio::time::timeout(self.deadline, answer).await.map_err(|_| timeout())
    }
}

fn check_head(request: &Request) -> Result<(), ApiError> {
    let uri_bytes = request.original_uri().path_and_query().map_or(0, |path| path.as_str().len());
    if uri_bytes > MAX_URI_BYTES {
        return Err(uri_too_long());
    }
    let headers = request.headers();
    let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if headers.len() > MAX_HEADERS || bytes > MAX_HEADER_BYTES {
        return Err(headers_too_large());
    }
    Ok(())
}

#[must_use]
pub fn timeout() -> ApiError {
    ApiError::new(Code::RequestTimeout, "The request took too long. Send it again.")
}

#[must_use]
pub fn uri_too_long() -> ApiError {
    let detail = format!("The path and query must have at most {MAX_URI_BYTES} bytes.");
    ApiError::new(Code::UriTooLong, detail)
}

#[must_use]
pub fn headers_too_large() -> ApiError {
    let detail =
        format!("A request may have at most {MAX_HEADERS} headers, with {MAX_HEADER_BYTES} bytes in all.");
    ApiError::new(Code::HeadersTooLarge, detail)
}

/// The client's own id if it has a safe form, else a new one.
fn request_id(request: &Request, now: Timestamp) -> Arc<str> {
    let is_safe = |id: &&str| {
        (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    };
    let fresh = || fresh_id(now).as_hyphenated().encode_lower(&mut Uuid::encode_buffer()).into();
    request.header(headers::REQUEST_ID).filter(is_safe).map_or_else(fresh, Into::into)
}

/// A UUIDv7 whose random part is a keyed hash of a count. It must be unique, not secret, and random bytes from the system
/// cost half as much as verifying an access token.
fn fresh_id(now: Timestamp) -> Uuid {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let random = u128::from(KEY.hash_one(count)) << 16 | u128::from(count & 0xffff);
    let mut bytes = [0; 10];
    bytes.copy_from_slice(&random.to_be_bytes()[6..]);
    Builder::from_unix_timestamp_millis(u64::try_from(now.millis()).unwrap_or(0), &bytes).into_uuid()
}

/// With at most three decimals.
fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

fn start_of(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_LOGGED_BYTES)]
}

#[cfg(test)]
mod tests {
    use poem::{endpoint::make_sync, http::StatusCode};

    use super::*;

    struct NoPages;

    impl ErrorPages for NoPages {
        fn apply_to(&self, _request: &Request) -> bool {
            false
        }

        fn show(&self, error: ApiError, request_id: &str) -> Response {
            error.into_answer(request_id)
        }
    }

    #[test]
    fn a_duration_is_logged_with_three_decimals_at_most() {
        for (nanos, logged) in
            [(0, "0"), (1_234_567, "1.235"), (999, "0.001"), (20_000_000, "20"), (70_001, "0.07")]
        {
            assert_eq!(milliseconds(Duration::from_nanos(nanos)).to_string(), logged);
        }
    }

    #[tokio::test]
    async fn a_panic_is_one_refusal_and_the_next_request_is_answered() {
        let edge = RequestMiddleware {
            proxies: Proxies::new(Vec::new()),
            inner: make_sync(|request: Request| assert_ne!(request.uri().path(), "/panics")),
            clock: Clock::system(),
            cors: Cors(Vec::new()),
            deadline: Duration::from_secs(30),
            is_https: false,
            error_pages: NoPages,
        };
        for (path, status) in [("/panics", StatusCode::INTERNAL_SERVER_ERROR), ("/", StatusCode::OK)] {
            let request = Request::builder().uri_str(path).finish();
            assert_eq!(edge.get_response(request).await.status(), status);
        }
    }
}
