//! Pages for people: rendered by the server, without a script.

mod form;
mod layout;
mod links;
mod paths;

use poem::{Endpoint, Request, Response, Route};

pub use self::{layout::ErrorPage, paths::has};
use crate::{app::App, config::Config, http::ApiError};

#[must_use]
pub fn endpoint(app: &App, config: &Config) -> impl Endpoint<Output = Response> + 'static {
    Pages(links::add(Route::new(), app, config).at("/pages.css", layout::style()))
}

struct Pages(Route);

impl Endpoint for Pages {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        let uri = request.uri().clone();
        let answer = self.0.call(request).await;
        answer.map_err(|error| ApiError::from_poem(error, || paths::methods_of(uri.path())).into())
    }
}
