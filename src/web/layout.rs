//! A page for people: one template, checked when it is compiled and that has no script.

use askama::Template;
use poem::{
    Endpoint, Request, Response,
    endpoint::make,
    get,
    http::{StatusCode, header},
};

use crate::http::{ApiError, ErrorPages, headers};

/// How the pages look.
const STYLE: &str = include_str!("../../templates/pages.css");

/// What is on a page.
#[derive(Default)]
pub struct Page {
    /// Its first line, and its title.
    pub heading: &'static str,
    /// What was wrong with what was typed.
    pub wrong: Option<String>,
    /// What it says.
    pub paragraphs: Vec<String>,
    /// What it asks.
    pub form: Form,
}

/// What a page asks.
#[derive(Default)]
pub enum Form {
    /// Nothing.
    #[default]
    Nothing,
    /// Whether an address is one's own.
    Confirm {
        /// The link's.
        token: String,
        /// On the button that says yes.
        button: &'static str,
        /// What comes of the button that says no, if there is one.
        otherwise: Option<&'static str>,
    },
    /// For a new password.
    Password {
        /// The link's.
        token: String,
        /// Whose password; password managers want to know.
        email: String,
        /// Whether it is the first one, of somebody who may not want an account at all.
        invited: bool,
    },
    /// For an address to send a new link to.
    Ask {
        /// The path that it goes to.
        page: &'static str,
        /// On the button.
        button: &'static str,
        /// What was typed before.
        typed: String,
    },
}

#[derive(Template)]
#[template(path = "page.html")]
struct Html<'a> {
    shop_name: &'a str,
    min_length: usize,
    heading: &'a str,
    wrong: Option<&'a str>,
    paragraphs: &'a [String],
    form: &'a Form,
}

impl Page {
    /// A page that asks nothing.
    pub fn note<const N: usize>(heading: &'static str, paragraphs: [String; N]) -> Self {
        Self { heading, paragraphs: paragraphs.into(), ..Self::default() }
    }

    /// The answer. Its status is 200 also for a link that does not work: the page was found, and says what to do next.
    pub fn into_answer(self, shop_name: &str, min_length: usize) -> Response {
        let html = Html {
            shop_name,
            min_length,
            heading: self.heading,
            wrong: self.wrong.as_deref(),
            paragraphs: &self.paragraphs,
            form: &self.form,
        };
        let Ok(html) = html.render() else { return StatusCode::INTERNAL_SERVER_ERROR.into() };
        let answer = Response::builder().content_type("text/html; charset=utf-8");
        answer.header(header::CONTENT_SECURITY_POLICY, headers::OF_PAGE).body(html)
    }
}

/// Answers with the style of the pages.
pub fn style() -> impl Endpoint {
    get(make(|_| async { Response::builder().content_type("text/css; charset=utf-8").body(STYLE) }))
}

/// A refusal as a page.
pub struct ErrorPage {
    pub shop_name: String,
}

impl ErrorPages for ErrorPage {
    fn apply_to(&self, request: &Request) -> bool {
        super::is_for_people(request)
    }

    fn show(&self, error: ApiError, request_id: &str) -> Response {
        let next = format!("If it stays like this, tell the shop this number: {request_id}");
        let page = Page::note("That did not work", [error.to_string(), next]).into_answer(&self.shop_name, 0);
        let mut answer = error.into_answer(request_id);
        for (name, value) in page.headers() {
            answer.headers_mut().insert(name, value.clone());
        }
        answer.set_body(page.into_body());
        answer
    }
}
