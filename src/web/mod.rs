//! Pages for people: rendered by the server, without a script.

mod form;
mod layout;
mod links;

use poem::{Endpoint, Request, Response, Route, http::header};

pub use self::layout::ErrorPage;
use crate::{app::App, config::Config, http::ApiError};

/// The paths of the pages, and the methods that each accepts.
const PATHS: [(&str, &[&str]); 3] = [
    ("/verify", &["GET", "HEAD", "POST"]),
    ("/reset", &["GET", "HEAD", "POST"]),
    ("/pages.css", &["GET", "HEAD"]),
];

#[must_use]
pub fn endpoint(app: &App, config: &Config) -> impl Endpoint<Output = Response> + 'static {
    Pages(links::add(Route::new(), app, config).at("/pages.css", layout::style()))
}

/// Whether there is a page at this path.
#[must_use]
pub fn has(path: &str) -> bool {
    PATHS.iter().any(|(page, _)| *page == path)
}

struct Pages(Route);

impl Endpoint for Pages {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        let uri = request.uri().clone();
        let answer = self.0.call(request).await;
        answer.map_err(|error| ApiError::from_poem(error, &methods_of(uri.path())).into())
    }
}

fn methods_of(path: &str) -> Vec<String> {
    let found = PATHS.iter().find(|(page, _)| *page == path);
    found.map_or_else(Vec::new, |(_, methods)| methods.iter().map(|&method| method.to_owned()).collect())
}

/// Whether a browser asks for a page, and so a person reads the answer.
fn is_from_browser(request: &Request) -> bool {
    let accepts_html = request.header(header::ACCEPT).is_some_and(|accept| accept.contains("text/html"));
    accepts_html && has(request.uri().path())
}
