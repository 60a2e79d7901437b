//! `coffeeshop serve`.

use std::{
    path::{self, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Error, Result};
use rustix::{
    fs::Access,
    process::{Resource, Rlimit, setrlimit},
};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};

use super::{open, output::Hinted};
use crate::{
    app::{self, App, StartError},
    config::{Config, Transport},
    files::obstacle,
    jobs,
    messaging::ConfiguredTransport,
    server,
};

pub async fn run(config: &Config) -> Result<ExitCode> {
    let mut hangup = signal(SignalKind::hangup()).context("cannot listen for SIGHUP")?;
    log_start(config);
    disable_core_dumps();
    // Settings and database are checked before the port is taken.
    jobs::check(&config.cleanup)?;
    let transport = ConfiguredTransport::new(config).map_err(Error::msg)?;
    let app = open::to_serve(config).await?;
    app.health.check_integrity().await.map_err(StartError::from)?;
    app.sessions.enable_cache().await;
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let listener = TcpListener::bind(config.server.listen).await.map_err(|error| {
        let hint = "is another server running? change server.listen to use another address or port";
        Hinted::new(format_args!("cannot listen on {}: {error}", config.server.listen), hint)
    })?;
    for warning in config.warnings() {
        tracing::warn!("{warning}");
    }
    if let Some(obstacle) = folder_obstacle(config) {
        tracing::warn!("messages.folder: {obstacle}: messages wait until it can be written");
    }
    let url = format!("http://{}", listener.local_addr()?);
    tracing::info!("listening on {url}");
    tracing::info!("Swagger UI: {url}/docs");
    if !app.health.has_admin().await? {
        tracing::info!(
            "there is no admin yet; create one with: coffeeshop create-admin --email you@example.com"
        );
    }
    let for_keys = app.clone();
    let shutdown = async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => return,
                _ = interrupt.recv() => return,
                _ = hangup.recv() => reload_keys(&for_keys).await,
            }
        }
    };
    server::run(listener, app, transport, config, shutdown).await?;
    Ok(ExitCode::SUCCESS)
}

/// Why the folder of the file transport cannot be written, if it is used.
fn folder_obstacle(config: &Config) -> Option<String> {
    let is_used = config.messages.transport == Transport::File;
    is_used.then(|| obstacle(&config.messages.folder, Access::WRITE_OK)).flatten()
}

/// Handles SIGHUP, which would otherwise end the process. Settings are not reloaded; they apply from the next start.
async fn reload_keys(app: &App) {
    match app.signing_keys.reload().await {
        Ok(()) => tracing::info!("SIGHUP: reloaded the signing keys; settings apply from the next start"),
        Err(error) => tracing::error!(?error, "SIGHUP: cannot reload the signing keys"),
    }
}

/// Logs what a bug report needs, in one line.
fn log_start(config: &Config) {
    let full = |file: &PathBuf| path::absolute(file).unwrap_or_else(|_| file.clone()).display().to_string();
    let settings = config.file.as_ref().map(|file| tracing::field::display(full(file)));
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        engine = app::engine(config),
        database = %config.database,
        settings,
        transport = %config.messages.transport,
        "coffeeshop starts"
    );
}

/// Disables core dumps: the memory of the process may hold passwords and tokens.
fn disable_core_dumps() {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    if let Err(error) = setrlimit(Resource::Core, none) {
        tracing::warn!(%error, "core dumps cannot be disabled: a crash may write passwords to disk");
    }
}
