//! The outermost layer: every request has an id, every refusal and every panic is a problem, and what went wrong inside
//! is logged once.

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

const LONGEST_ADDRESS: usize = 8 * 1024;
const MOST_HEADERS: usize = 64;
const LARGEST_HEADERS: usize = 16 * 1024;
/// How much of a method and of a path is logged: those of ours have less than a hundred bytes, and what is refused may
/// have 64 KiB.
const LONGEST_LOGGED: usize = 300;

/// Refusals for people: pages in the place of problem details.
pub trait ErrorPages: Send + Sync {
    /// Whether a refusal of this request is shown to a person, in a browser.
    fn apply_to(&self, request: &Request) -> bool;

    /// The refusal as a page.
    fn show(&self, error: ApiError, request_id: &str) -> Response;
}

/// An endpoint in the outermost layer.
pub struct RequestMiddleware<E, P> {
    /// What answers.
    pub inner: E,
    /// What time it is.
    pub clock: Clock,
    /// The proxies whose word about clients counts.
    pub proxies: Proxies,
    /// Whose scripts may read the answers.
    pub cors: Cors,
    /// How long a request may take, its body included.
    pub deadline: Duration,
    /// Whether people come by https.
    pub is_https: bool,
    /// What people see of a refusal.
    pub error_pages: P,
}

impl<E: Endpoint, P: ErrorPages> Endpoint for RequestMiddleware<E, P> {
    type Output = Response;

    async fn call(&self, mut request: Request) -> poem::Result<Response> {
        let start = Instant::now();
        let id = request_id(&request, self.clock.now());
        let (method, uri) = (request.method().clone(), request.uri().clone());
        let client = self.proxies.client(&request);
        let origin = self.cors.named(&request);
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
        let for_people = self.error_pages.apply_to(&request);
        let error = match self.in_bounds(request).await {
            Ok(Ok(Ok(output))) => return output.into_response(),
            Ok(Ok(Err(error))) => ApiError::from_poem(error, &[]),
            Ok(Err(_)) => ApiError::internal("a handler panicked".to_owned()),
            Err(error) => error,
        };
        if let Some(cause) = &error.cause {
            tracing::error!(request_id = id, cause, "{:?}", error.code);
        }
        if for_people { self.error_pages.show(error, id) } else { error.into_answer(id) }
    }

    /// What comes of a request that is neither too large nor too slow.
    async fn in_bounds(
        &self,
        request: Request,
    ) -> Result<std::thread::Result<poem::Result<E::Output>>, ApiError> {
        check_head(&request)?;
        let answer = AssertUnwindSafe(self.inner.call(request)).catch_unwind();
        tokio::time::timeout(self.deadline, answer).await.map_err(|_| timeout())
    }
}

/// Looks at the length of the address and the headers, before anybody works with them.
fn check_head(request: &Request) -> Result<(), ApiError> {
    let address = request.original_uri().path_and_query().map_or(0, |path| path.as_str().len());
    if address > LONGEST_ADDRESS {
        return Err(uri_too_long());
    }
    let headers = request.headers();
    let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if headers.len() > MOST_HEADERS || bytes > LARGEST_HEADERS {
        return Err(headers_too_large());
    }
    Ok(())
}

/// A request that took longer than it may.
pub fn timeout() -> ApiError {
    ApiError::new(Code::RequestTimeout, "The request took too long. Send it again.")
}

/// A path and query with more bytes than they may have.
pub fn uri_too_long() -> ApiError {
    let detail = format!("The path and query must have at most {LONGEST_ADDRESS} bytes.");
    ApiError::new(Code::UriTooLong, detail)
}

/// More headers, or larger ones, than there may be.
pub fn headers_too_large() -> ApiError {
    let detail =
        format!("A request may have at most {MOST_HEADERS} headers, with {LARGEST_HEADERS} bytes in all.");
    ApiError::new(Code::HeadersTooLarge, detail)
}

/// The client's own id if it is a sane one, else a fresh one.
fn request_id(request: &Request, now: Timestamp) -> Arc<str> {
    let sane = |id: &&str| {
        (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    };
    let fresh = || fresh_id(now).as_hyphenated().encode_lower(&mut Uuid::encode_buffer()).into();
    request.header(headers::REQUEST_ID).filter(sane).map_or_else(fresh, Into::into)
}

/// A UUIDv7 whose random part is a keyed hash of a count: it must be unique, not secret, and asking the system for
/// randomness at each request costs half as much as finding out who asks.
fn fresh_id(now: Timestamp) -> Uuid {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let random = u128::from(KEY.hash_one(count)) << 16 | u128::from(count & 0xffff);
    let mut bytes = [0; 10];
    bytes.copy_from_slice(&random.to_be_bytes()[6..]);
    Builder::from_unix_timestamp_millis(u64::try_from(now.millis()).unwrap_or(0), &bytes).into_uuid()
}

/// As the log says it, with at most three decimals.
fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

fn start_of(text: &str) -> &str {
    &text[..text.floor_char_boundary(LONGEST_LOGGED)]
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
