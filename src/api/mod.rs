//! HTTP: one file a noun; each handler translates, calls `Accounts`, translates.

mod answers;
mod audit;
mod body;
mod client;
mod cors;
mod document;
mod edge;
mod emails;
mod error;
mod examples;
mod export;
mod guards;
mod headers;
mod health;
mod invitations;
mod keys;
mod page;
mod pages;
mod passwords;
mod profile;
mod query;
mod registration;
mod schemas;
mod session_list;
mod sessions;
mod users;
mod verification;
mod views;

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock},
};

use poem::{
    Body, Endpoint, IntoEndpoint, IntoResponse, Request, Response, Route, endpoint::make_sync, get,
    http::header,
};
use poem_openapi::{OpenApiService, Tags, types::ToJSON};

use self::{client::Context, cors::Cors, edge::Edge, error::ApiError};
use crate::{
    accounts::Accounts,
    config::Config,
    model::{AuditEvent, Session, User},
};

type ApiResult<T> = Result<T, ApiError>;

/// The documentation, made when somebody wants to see it: most starts of a server are not for that. Every answer is this
/// one text and no copy: whoever asks often and reads nothing would fill the memory.
static DOCUMENT: LazyLock<String> = LazyLock::new(|| format!("{:#}", openapi()));
static PAGE: LazyLock<String> = LazyLock::new(document::page::<Api>);
/// The methods of each path, for whoever uses another.
static METHODS: LazyLock<BTreeMap<String, Vec<String>>> = LazyLock::new(methods);

/// The paths of the documentation.
const DOCUMENTS: [&str; 2] = ["/docs", "/openapi.json"];

/// The chapters of the documentation.
#[derive(Tags)]
enum Tag {
    /// Sign up, confirm an e-mail address, reset a password.
    Registration,
    /// Log in, stay logged in, log out.
    Sessions,
    /// What users see and change about themselves.
    #[oai(rename = "Own account")]
    OwnAccount,
    /// What admins see and change about all users.
    Users,
    /// What was done, when and by which user.
    Audit,
    /// For the operator of the server: probes and public keys.
    Operation,
}

/// The whole HTTP side, ready to be served.
#[must_use]
pub fn endpoint(accounts: Accounts, config: &Config) -> impl Endpoint + 'static {
    let service = OpenApiService::new(api(&accounts), "", "");
    let pages = pages::add(Route::new(), &accounts, config)
        .at(
            "/docs",
            get(make_sync(|_| {
                let page = Body::from(PAGE.as_str()).with_content_type("text/html; charset=utf-8");
                page.with_header(header::CONTENT_SECURITY_POLICY, headers::OF_DOCS)
            })),
        )
        .at(
            "/openapi.json",
            get(make_sync(|_| Body::from(DOCUMENT.as_str()).with_content_type("application/json"))),
        );
    let clock = accounts.clock();
    let proxies = config.server.trusted_proxies.clone();
    let context = Context { accounts: Arc::new(accounts) };
    let inner = Site { pages, api: service.into_endpoint(), context };
    let cors = Cors(config.server.cors_origins.clone());
    let is_https = config.server.public_url.starts_with("https://");
    let deadline = config.server.request_timeout.get();
    let shop_name = config.messages.shop_name.clone();
    Edge { inner, clock, methods: &METHODS, proxies, cors, deadline, is_https, shop_name }
}

/// Pages and documents at their few paths, the API everywhere else. (A route around the API's own would take every path
/// apart twice, and put it together again in between.)
struct Site<A> {
    pages: Route,
    api: A,
    context: Context,
}

impl<A: Endpoint<Output = Response>> Endpoint for Site<A> {
    type Output = Response;

    async fn call(&self, mut request: Request) -> poem::Result<Response> {
        request.set_data(self.context.clone());
        let path = request.uri().path();
        let is_page = DOCUMENTS.contains(&path) || pages::PATHS.iter().any(|(page, _)| *page == path);
        if is_page {
            return self.pages.call(request).await;
        }
        query::check_public(&request)?;
        self.api.call(request).await
    }
}

fn methods() -> BTreeMap<String, Vec<String>> {
    let mut methods = document::methods(&openapi());
    for path in DOCUMENTS {
        methods.insert(path.to_owned(), vec!["GET".to_owned(), "HEAD".to_owned()]);
    }
    for (path, allowed) in pages::PATHS {
        methods.insert(path.to_owned(), allowed.iter().map(|&method| method.to_owned()).collect());
    }
    methods
}

/// The OpenAPI document.
#[must_use]
pub fn openapi() -> serde_json::Value {
    document::describe::<Api>()
}

/// A user as the API shows them.
#[must_use]
pub fn user_json(user: &User) -> serde_json::Value {
    users::UserView::from(user).to_json().unwrap_or_default()
}

/// A session as the API shows it to somebody else.
#[must_use]
pub fn session_json(session: Session) -> serde_json::Value {
    session_list::SessionView::new(session, None).to_json().unwrap_or_default()
}

/// An audit event as the API shows it.
#[must_use]
pub fn audit_json(event: AuditEvent) -> serde_json::Value {
    audit::AuditEventView::from(event).to_json().unwrap_or_default()
}

/// Every noun.
type Api = (
    registration::Registration,
    verification::Verification,
    passwords::Passwords,
    sessions::Sessions,
    profile::Profile,
    emails::Emails,
    export::Exports,
    users::Users,
    session_list::SessionList,
    audit::Audit,
    health::Health,
    keys::Keys,
);

fn api(accounts: &Accounts) -> Api {
    (
        registration::Registration(accounts.clone()),
        verification::Verification(accounts.clone()),
        passwords::Passwords(accounts.clone()),
        sessions::Sessions(accounts.clone()),
        profile::Profile(accounts.clone()),
        emails::Emails(accounts.clone()),
        export::Exports(accounts.clone()),
        users::Users(accounts.clone()),
        session_list::SessionList(accounts.clone()),
        audit::Audit(accounts.clone()),
        health::Health(accounts.clone()),
        keys::Keys(accounts.clone()),
    )
}
