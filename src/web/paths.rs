//! The paths of the pages, and whether a request is for a page that a person reads.

use poem::{Request, http::header};

/// Each with the methods that it accepts.
const PATHS: [(&str, &[&str]); 3] = [
    ("/verify", &["GET", "HEAD", "POST"]),
    ("/reset", &["GET", "HEAD", "POST"]),
    ("/pages.css", &["GET", "HEAD"]),
];

/// Whether there is a page at this path.
#[must_use]
pub fn has(path: &str) -> bool {
    PATHS.iter().any(|(page, _)| *page == path)
}

pub fn methods_of(path: &str) -> Vec<String> {
    let found = PATHS.iter().find(|(page, _)| *page == path);
    found.map_or_else(Vec::new, |(_, methods)| methods.iter().map(|&method| method.to_owned()).collect())
}

/// Whether a browser asks for a page, and so a person reads the answer.
pub fn is_from_browser(request: &Request) -> bool {
    let accepts_html = request.header(header::ACCEPT).is_some_and(|accept| accept.contains("text/html"));
    accepts_html && has(request.uri().path())
}
