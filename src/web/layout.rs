//! The layout of a page: one template, checked when it is compiled, without a script.

use askama::Template;
use poem::{
    Endpoint, Request, Response,
    endpoint::make,
    get,
    http::{StatusCode, header},
};

use super::paths::is_from_browser;
use crate::http::{ApiError, ErrorPages, headers};

const STYLE: &str = include_str!("../../templates/pages.css");

#[derive(Default)]
pub struct Page {
    /// Also the title.
    pub heading: &'static str,
    /// Why what was typed is not valid; shown beside the field.
    pub error: Option<String>,
    pub paragraphs: Vec<String>,
    pub form: PageForm,
}

#[derive(Default)]
pub enum PageForm {
    #[default]
    None,
    /// Is this address yours?
    Confirm {
        token: String,
        button: &'static str,
        /// What the button "This was not me" does, if there is one.
        reject_hint: Option<&'static str>,
    },
    /// A new password.
    Password {
        token: String,
        /// For password managers.
        email: String,
        /// Whether it is the first one of a user who may not want the account.
        invited: bool,
    },
    /// The address to send a new link to.
    Email {
        /// The path that the form is sent to.
        page: &'static str,
        button: &'static str,
        typed: String,
    },
}

#[derive(Template)]
#[template(path = "page.html")]
struct Html<'a> {
    shop_name: &'a str,
    min_length: usize,
    heading: &'a str,
    error: Option<&'a str>,
    paragraphs: &'a [String],
    form: &'a PageForm,
}

impl Page {
    /// A page without a form.
    pub fn note<const N: usize>(heading: &'static str, paragraphs: [String; N]) -> Self {
        Self { heading, paragraphs: paragraphs.into(), ..Self::default() }
    }

    /// The answer. Its status is 200 also for a link that no longer works: the page exists, and says what to do next.
    pub fn into_answer(self, shop_name: &str, min_length: usize) -> Response {
        let html = Html {
            shop_name,
            min_length,
            heading: self.heading,
            error: self.error.as_deref(),
            paragraphs: &self.paragraphs,
            form: &self.form,
        };
        let Ok(html) = html.render() else { return StatusCode::INTERNAL_SERVER_ERROR.into() };
        let answer = Response::builder().content_type("text/html; charset=utf-8");
        answer.header(header::CONTENT_SECURITY_POLICY, headers::PAGE_POLICY).body(html)
    }
}

/// Answers with the style sheet of the pages.
pub fn style() -> impl Endpoint {
    get(make(|_| async { Response::builder().content_type("text/css; charset=utf-8").body(STYLE) }))
}

/// A refusal as a page.
pub struct ErrorPage {
    pub shop_name: String,
}

impl ErrorPages for ErrorPage {
    fn apply_to(&self, request: &Request) -> bool {
        is_from_browser(request)
    }

    /// Status and headers are those of the problem details.
    fn show(&self, error: ApiError, request_id: &str) -> Response {
        let next = format!("If this keeps happening, give the shop this reference: {request_id}");
        let page = Page::note("That did not work", [error.to_string(), next]).into_answer(&self.shop_name, 0);
        let mut answer = error.into_answer(request_id);
        for (name, value) in page.headers() {
            answer.headers_mut().insert(name, value.clone());
        }
        answer.set_body(page.into_body());
        answer
    }
}
