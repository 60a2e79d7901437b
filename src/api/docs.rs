//! `/docs` and `/openapi.json`: the document, and Swagger UI around it, all from the binary.

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

use crate::http::{ApiError, headers};

/// The paths of the documentation.
pub const PATHS: [&str; 4] = ["/docs", "/docs/docs.css", "/docs/docs.js", "/openapi.json"];

/// A year, as no cache keeps anything longer; what it keeps has a new address when it changes.
const FOR_EVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

/// Made when they are first asked for: most starts of a server are not for that.
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

/// A text that is sent as it is or compressed. Every answer is this one text and no copy: a client that asks often and
/// reads nothing would fill the memory.
#[derive(Clone)]
struct Text {
    media_type: &'static str,
    plain: Bytes,
    gzip: Bytes,
    /// Changes with the text.
    version: Arc<str>,
}

/// Adds the documentation to a site. `server` is the path of the API as browsers see it.
pub fn add(site: Route, server: &str) -> Route {
    let server = server.to_owned();
    let document = Arc::new(OnceLock::new());
    let document = move || {
        let made = document
            .get_or_init(|| Text::new("application/json", format!("{:#}", super::openapi_at(&server))));
        Text::clone(made)
    };
    let page = || PAGE.clone();
    site.at("/docs", get(text(page)))
        .at("/docs/docs.css", get(text(|| STYLE.clone())))
        .at("/docs/docs.js", get(text(|| SCRIPT.clone())))
        .at("/openapi.json", get(text(document)))
}

/// Answers with a text. Making it can take a moment, which no other request should wait for.
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
            answer = answer.header(header::CONTENT_SECURITY_POLICY, headers::OF_DOCS);
        }
        // An address that names another version, of a server before or after this one, is not kept.
        if request.uri().query().and_then(|query| query.strip_prefix("v=")) == Some(&self.version) {
            answer = answer.header(header::CACHE_CONTROL, FOR_EVER);
        }
        if takes_gzip(request.headers()) {
            return answer.header(header::CONTENT_ENCODING, "gzip").body(self.gzip);
        }
        answer.body(self.plain)
    }
}

/// Whether a client takes gzip (RFC 9110, section 12.5.3): it is named, and not with a weight of zero.
fn takes_gzip(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(|choice| {
        let (name, weight) = choice.split_once(';').unwrap_or((choice, "q=1"));
        let weight = weight.trim().strip_prefix("q=").and_then(|weight| weight.parse::<f32>().ok());
        ["gzip", "x-gzip"].iter().any(|gzip| name.trim().eq_ignore_ascii_case(gzip))
            && weight.is_some_and(|q| q > 0.0)
    })
}

/// What stands between two tags of the page that the library has Swagger UI as.
fn swagger_ui(start: &str, end: &str) -> String {
    let page = OpenApiService::new((), "", "").swagger_ui_html();
    let part = page.split_once(start).and_then(|(_, rest)| rest.split_once(end));
    part.map_or_else(String::new, |(part, _)| part.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_sent_to_those_who_take_it() {
        let takes = |line: &'static str| {
            takes_gzip(&HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static(line))]))
        };
        assert!(!takes_gzip(&HeaderMap::new()));
        for line in ["gzip", "br, gzip", "GZIP;q=0.5", "deflate;q=1,gzip ; q=0.001", "x-gzip"] {
            assert!(takes(line), "{line}");
        }
        for line in ["", "br", "gzip;q=0", "gzip; q=0.000", "identity", "gzipped", "gzip;q=x"] {
            assert!(!takes(line), "{line}");
        }
    }
}
