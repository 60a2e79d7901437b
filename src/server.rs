//! The server: starts its parts, and stops them in order.

use std::{io, time::Duration};

use poem::{Endpoint, EndpointExt, Request, Response};
use tokio::{net::TcpListener, sync::watch, task::JoinSet};

use crate::{
    api,
    app::App,
    config::Config,
    http::{self, Cors, Proxies, RequestMiddleware},
    jobs::{JobError, Jobs},
    messaging::{ConfiguredTransport, Worker},
    web,
};

/// How long a graceful shutdown waits for requests in progress.
const DRAIN: Duration = Duration::from_secs(8);

/// How long it waits for messages in flight.
const DRAIN_MESSAGES: Duration = Duration::from_secs(3);

/// Why the server could not start, or stopped without being asked to.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error(transparent)]
    Jobs(#[from] JobError),
    #[error("cannot serve: {0}")]
    Network(#[from] io::Error),
}

/// Serves on `listener` until `shutdown` completes; then answers the requests in progress, stops the background tasks, and
/// returns.
///
/// # Errors
/// If the jobs cannot start, or the listener fails.
pub async fn run(
    listener: TcpListener,
    app: App,
    transport: ConfiguredTransport,
    config: &Config,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let (stop, stopped) = watch::channel(false);
    let jobs = Jobs::start(&app, &config.cleanup, stopped.clone()).await?;
    let mut background = JoinSet::new();
    background.spawn(Worker::new(app.outbox.clone(), transport).run(stopped));
    let endpoint = endpoint(&app, config).map_to_response();
    let served = http::serve(listener, &config.server, endpoint, shutdown, DRAIN).await;
    tracing::info!("stopping");
    stop.send_replace(true);
    jobs.stop().await;
    // The console transport may block on an unread pipe, which must not delay the end: its messages stay in the outbox.
    if tokio::time::timeout(DRAIN_MESSAGES, background.join_all()).await.is_err() {
        tracing::warn!("messages are left in the outbox");
    }
    app.close().await;
    Ok(served?)
}

/// The endpoint of the server: pages at their paths and the API at all others, within one middleware.
#[must_use]
pub fn endpoint(app: &App, config: &Config) -> impl Endpoint<Output = Response> + 'static {
    RequestMiddleware {
        inner: Site { pages: web::endpoint(app, config), api: api::endpoint(app, config) },
        clock: app.clock(),
        proxies: Proxies::new(config.server.trusted_proxies.clone()),
        cors: Cors(config.server.cors_origins.clone()),
        deadline: config.server.request_timeout.get(),
        is_https: config.server.public_url.starts_with("https://"),
        error_pages: web::ErrorPage { shop_name: config.messages.shop_name.clone() },
    }
}

struct Site<W, A> {
    pages: W,
    api: A,
}

impl<W: Endpoint<Output = Response>, A: Endpoint<Output = Response>> Endpoint for Site<W, A> {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        if web::has(request.uri().path()) {
            self.pages.call(request).await
        } else {
            self.api.call(request).await
        }
    }
}
