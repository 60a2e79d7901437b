//! The JSON API: one file per noun. A handler parses, makes one call, and presents what it returns.
//!
//! `inputs` has what requests bring, `views` what answers show. The errors of an operation are listed in its description,
//! from which `refusals` takes them for the document.

mod answers;
mod audit;
mod body;
mod docs;
mod document;
mod email_change;
mod error;
mod examples;
mod export;
mod figures;
mod form;
mod guards;
mod health;
mod inputs;
mod keys;
mod operations;
mod passwords;
mod profile;
mod query;
mod refusals;
mod registration;
mod schemas;
mod sessions;
mod tags;
mod users;
mod verification;
mod views;

use std::sync::Arc;

use poem::{Endpoint, IntoEndpoint, Request, Response, Route};
use poem_openapi::OpenApiService;
use serde_json::Value;

use self::{guards::Context, operations::Operations};
use crate::{
    app::App,
    config::Config,
    domain::{AuditEvent, Session, User},
};

/// All operations, in the order of the documentation.
type Api = (
    registration::Registration,
    verification::Verification,
    profile::Profile,
    passwords::Passwords,
    email_change::EmailChange,
    users::Users,
    sessions::Sessions,
    export::Exports,
    audit::Audit,
    health::Probes,
    keys::Keys,
);

fn api(app: &App) -> Api {
    (
        registration::Registration(app.registration.clone()),
        verification::Verification(app.verification.clone()),
        profile::Profile(app.profile.clone()),
        passwords::Passwords(app.passwords.clone()),
        email_change::EmailChange(app.email_change.clone()),
        users::Users { users: app.users.clone(), invitations: app.invitations.clone() },
        sessions::Sessions(app.sessions.clone()),
        export::Exports(app.exports.clone()),
        audit::Audit(app.audit.clone()),
        health::Probes(app.health.clone()),
        keys::Keys(app.signing_keys.clone()),
    )
}

/// The operations and their documentation.
#[must_use]
pub fn endpoint(app: &App, config: &Config) -> impl Endpoint<Output = Response> + 'static {
    let service = OpenApiService::new(api(app), "", "");
    let context = Context { sessions: app.sessions.clone(), operations: Operations::of::<Api>() };
    let config = Arc::new(config.clone());
    Site {
        docs: docs::routes(move || openapi(&config)),
        api: service.into_endpoint(),
        context: Arc::new(context),
    }
}

/// The OpenAPI document, with the figures and the path of these settings.
#[must_use]
pub fn openapi(config: &Config) -> Value {
    document::describe::<Api>(config)
}

/// A user as the API shows it.
#[must_use]
pub fn user_json(user: &User) -> Value {
    serde_json::to_value(views::UserView::from(user)).unwrap_or_default()
}

/// A session as the API shows it to an admin.
#[must_use]
pub fn session_json(session: Session) -> Value {
    serde_json::to_value(views::SessionView::new(session, None)).unwrap_or_default()
}

/// An audit event as the API shows it.
#[must_use]
pub fn audit_json(event: AuditEvent) -> Value {
    serde_json::to_value(views::AuditEventView::from(event)).unwrap_or_default()
}

/// The documentation at its few paths, the API at all others. A route around the API's own would match each path twice.
struct Site<A> {
    docs: Route,
    api: A,
    context: Arc<Context>,
}

impl<A: Endpoint<Output = Response>> Endpoint for Site<A> {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        let uri = request.uri().clone();
        let answer = self.answer(request).await;
        answer.map_err(|error| error::from_poem(error, || self.methods(uri.path())).into())
    }
}

impl<A: Endpoint<Output = Response>> Site<A> {
    async fn answer(&self, mut request: Request) -> poem::Result<Response> {
        if docs::PATHS.contains(&request.uri().path()) {
            return self.docs.call(request).await;
        }
        request.set_data(Arc::clone(&self.context));
        self.context.operations.check_public_query(&request)?;
        self.api.call(request).await
    }

    fn methods(&self, path: &str) -> Vec<String> {
        if docs::PATHS.contains(&path) {
            return vec!["GET".to_owned(), "HEAD".to_owned()];
        }
        self.context.operations.methods(path)
    }
}
