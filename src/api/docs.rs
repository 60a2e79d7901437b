//! `/docs` and `/openapi.json`: the document, and Swagger UI to read and try it. The binary contains all of it.

use std::{
    collections::hash_map::DefaultHasher,
    hash::Hasher,
    io::Write,
    sync::{Arc, LazyLock, OnceLock},
};

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use poem::{
    Endpoint, Request, Response, Route,
    endpoint::make,
    get,
    http::{HeaderMap, HeaderValue, header},
};
use poem_openapi::OpenApiService;
use serde_json::Value;

use crate::http::{ApiError, headers};

/// The paths of the documentation.
pub const PATHS: [&str; 4] = ["/docs", "/docs/docs.css", "/docs/docs.js", "/openapi.json"];

/// A year, the longest that caches keep anything. A changed file has a new URL.
const IMMUTABLE: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

// Built at the first request: most processes never serve the documentation.
static STYLE: LazyLock<Text> = LazyLock::new(|| {
    let swagger_ui = swagger_ui("<style charset=\"UTF-8\">", "</style>");
    Text::new("text/css; charset=utf-8", swagger_ui + include_str!("../../templates/docs.css"))
});
static SCRIPT: LazyLock<Text> = LazyLock::new(|| {
    let swagger_ui = swagger_ui("<script charset=\"UTF-8\">", "</script>");
    Text::new("text/javascript; charset=utf-8", swagger_ui + "\n" + include_str!("../../templates/docs.js"))
});
static PAGE: LazyLock<Text> = LazyLock::new(|| {
    let page = include_str!("../../templates/docs.html");
    let page = page.replace("{style}", &STYLE.version).replace("{script}", &SCRIPT.version);
    Text::new("text/html; charset=utf-8", page)
});

/// A file, plain and compressed. All answers share it: with copies, a client that sends many requests and reads no answer
/// would fill the memory.
#[derive(Clone)]
struct Text {
    media_type: &'static str,
    plain: Bytes,
    gzip: Bytes,
    /// A hash of the text.
    version: Arc<str>,
}

/// The documentation. `openapi` builds the document, at the first request for it.
pub fn routes(openapi: impl Fn() -> Value + Send + Sync + Clone + 'static) -> Route {
    let document = Arc::new(OnceLock::new());
    let document = move || {
        let text = document.get_or_init(|| Text::new("application/json", format!("{:#}", openapi())));
        Text::clone(text)
    };
    let page = || PAGE.clone();
    Route::new()
        .at("/docs", get(text(page)))
        .at("/docs/docs.css", get(text(|| STYLE.clone())))
        .at("/docs/docs.js", get(text(|| SCRIPT.clone())))
        .at("/openapi.json", get(text(document)))
}

/// Answers with a text, which is built on another thread because that can take some milliseconds.
fn text(make_text: impl Fn() -> Text + Clone + Send + Sync + 'static) -> impl Endpoint<Output = Response> {
    make(move |request| {
        let make_text = make_text.clone();
        async move {
            let text = tokio::task::spawn_blocking(make_text).await;
            let text = text.map_err(|error| ApiError::internal(error.to_string()))?;
            Ok::<_, poem::Error>(text.into_answer(&request))
        }
    })
}

impl Text {
    fn new(media_type: &'static str, text: String) -> Self {
        let mut hasher = DefaultHasher::new();
        hasher.write(text.as_bytes());
        let version = format!("{:016x}", hasher.finish()).into();
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        // Writing to memory cannot fail.
        let gzip = encoder.write_all(text.as_bytes()).and_then(|()| encoder.finish()).unwrap_or_default();
        Self { media_type, plain: text.into(), gzip: gzip.into(), version }
    }

    fn into_answer(self, request: &Request) -> Response {
        let mut answer = Response::builder()
            .header(header::CONTENT_TYPE, self.media_type)
            .header(header::VARY, header::ACCEPT_ENCODING.as_str());
        if self.media_type.starts_with("text/html") {
            answer = answer.header(header::CONTENT_SECURITY_POLICY, headers::DOCS_POLICY);
        }
        // A URL with the version of another program, before or after an upgrade, must not be cached.
        if request.uri().query().and_then(|query| query.strip_prefix("v=")) == Some(&self.version) {
            answer = answer.header(header::CACHE_CONTROL, IMMUTABLE);
        }
        if accepts_gzip(request.headers()) {
            return answer.header(header::CONTENT_ENCODING, "gzip").body(self.gzip);
        }
        answer.body(self.plain)
    }
}

/// Whether a client accepts gzip (RFC 9110, section 12.5.3): it is named with a weight other than zero.
fn accepts_gzip(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(|choice| {
        let (name, weight) = choice.split_once(';').unwrap_or((choice, "q=1"));
        let weight = weight.trim().strip_prefix("q=").and_then(|weight| weight.parse::<f32>().ok());
        ["gzip", "x-gzip"].iter().any(|gzip| name.trim().eq_ignore_ascii_case(gzip))
            && weight.is_some_and(|q| q > 0.0)
    })
}

/// The part of the library's Swagger UI page between two tags.
fn swagger_ui(start: &str, end: &str) -> String {
    let page = OpenApiService::new((), "", "").swagger_ui_html();
    let part = page.split_once(start).and_then(|(_, rest)| rest.split_once(end));
    part.map_or_else(String::new, |(part, _)| part.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_accepted_by_name_and_weight() {
        let accepts = |line: &'static str| {
            accepts_gzip(&HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static(line))]))
        };
        assert!(!accepts_gzip(&HeaderMap::new()));
        for line in ["gzip", "br, gzip", "GZIP;q=0.5", "deflate;q=1,gzip ; q=0.001", "x-gzip"] {
            assert!(accepts(line), "{line}");
        }
        for line in ["", "br", "gzip;q=0", "gzip; q=0.000", "identity", "gzipped", "gzip;q=x"] {
            assert!(!accepts(line), "{line}");
        }
    }
}
