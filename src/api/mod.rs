//! HTTP: one file a noun; each handler translates, calls `Accounts`, translates.

mod answers;
mod audit;
mod body;
mod docs;
mod document;
mod emails;
mod error;
mod examples;
mod export;
mod form;
mod guards;
mod health;
mod inputs;
mod keys;
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

use poem::{Endpoint, IntoEndpoint, Request, Response, Route};
use poem_openapi::{OpenApiService, Tags, types::ToJSON};

use self::guards::Context;
use crate::{
    accounts::Accounts,
    config::Config,
    domain::{AuditEvent, Session, User},
    http::ApiResult,
};

/// The methods of each path, named in the refusal of another method.
static METHODS: LazyLock<BTreeMap<String, Vec<String>>> = LazyLock::new(methods);

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

/// The JSON API and its documentation.
pub fn endpoint(accounts: &Accounts, config: &Config) -> impl Endpoint<Output = Response> + 'static {
    let service = OpenApiService::new(api(accounts), "", "");
    let docs = docs::add(Route::new(), config.public_path());
    let context = Context { accounts: Arc::new(accounts.clone()) };
    Site { docs, api: service.into_endpoint(), context }
}

/// Documentation at its few paths, the API everywhere else. (A route around the API's own would take every path apart
/// twice, and put it together again in between.)
struct Site<A> {
    docs: Route,
    api: A,
    context: Context,
}

impl<A: Endpoint<Output = Response>> Endpoint for Site<A> {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        let uri = request.uri().clone();
        let answer = self.answer(request).await;
        answer.map_err(|error| error::from_poem(error, methods_of(uri.path())).into())
    }
}

impl<A: Endpoint<Output = Response>> Site<A> {
    async fn answer(&self, mut request: Request) -> poem::Result<Response> {
        if docs::PATHS.contains(&request.uri().path()) {
            return self.docs.call(request).await;
        }
        request.set_data(self.context.clone());
        query::check_public(&request)?;
        self.api.call(request).await
    }
}

fn methods_of(path: &str) -> &'static [String] {
    let found = METHODS.iter().find(|(template, _)| document::matches(template, path));
    found.map_or(&[], |(_, methods)| methods)
}

fn methods() -> BTreeMap<String, Vec<String>> {
    let mut methods = document::methods(&openapi());
    for path in docs::PATHS {
        methods.insert(path.to_owned(), vec!["GET".to_owned(), "HEAD".to_owned()]);
    }
    methods
}

/// The OpenAPI document of an API that is at the root of its server.
#[must_use]
pub fn openapi() -> serde_json::Value {
    openapi_at("/")
}

/// The OpenAPI document of an API whose paths start with `server`, such as `/accounts`.
#[must_use]
pub fn openapi_at(server: &str) -> serde_json::Value {
    document::describe::<Api>(server)
}

/// A user as the API shows them.
#[must_use]
pub fn user_json(user: &User) -> serde_json::Value {
    views::UserView::from(user).to_json().unwrap_or_default()
}

/// A session as the API shows it to somebody else.
#[must_use]
pub fn session_json(session: Session) -> serde_json::Value {
    views::SessionView::new(session, None).to_json().unwrap_or_default()
}

/// An audit event as the API shows it.
#[must_use]
pub fn audit_json(event: AuditEvent) -> serde_json::Value {
    views::AuditEventView::from(event).to_json().unwrap_or_default()
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
    health::Probes,
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
        health::Probes(accounts.clone()),
        keys::Keys(accounts.clone()),
    )
}
