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
    accounts::Accounts,
    config::{Config, Transport},
    files::obstacle,
    jobs,
    messaging::ConfiguredTransport,
    server, store,
};

pub async fn run(config: &Config) -> Result<ExitCode> {
    let mut hangup = signal(SignalKind::hangup()).context("cannot listen for SIGHUP")?;
    log_start(config);
    leave_no_core();
    // Everything that can be wrong is found out before the port is taken.
    jobs::check(&config.cleanup)?;
    let transport = ConfiguredTransport::new(config).map_err(Error::msg)?;
    let accounts = open::to_serve(config).await?;
    accounts.check_integrity().await?;
    accounts.remember_sessions().await;
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let listener = TcpListener::bind(config.server.listen).await.map_err(|error| {
        let hint = "is another server running? server.listen says where to listen";
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
    if !accounts.has_admin().await? {
        tracing::info!("there is no admin yet: coffeeshop create-admin --email you@example.com");
    }
    let for_keys = accounts.clone();
    let shutdown = async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => return,
                _ = interrupt.recv() => return,
                _ = hangup.recv() => read_keys(&for_keys).await,
            }
        }
    };
    server::run(listener, accounts, transport, config, shutdown).await?;
    Ok(ExitCode::SUCCESS)
}

/// What keeps mails from the folder that they are written to.
fn folder_obstacle(config: &Config) -> Option<String> {
    let is_used = config.messages.transport == Transport::File;
    is_used.then(|| obstacle(&config.messages.folder, Access::WRITE_OK)).flatten()
}

/// What SIGHUP asks for: other daemons read their settings again, and none of them ends. Settings count from the next start on.
async fn read_keys(accounts: &Accounts) {
    match accounts.reload_keys().await {
        Ok(()) => tracing::info!("SIGHUP: read the signing keys again; settings are read at a start"),
        Err(error) => tracing::error!(?error, "SIGHUP: the signing keys cannot be read"),
    }
}

/// What a report of a problem needs, in one line.
fn log_start(config: &Config) {
    let full = |file: &PathBuf| path::absolute(file).unwrap_or_else(|_| file.clone()).display().to_string();
    let settings = config.file.as_ref().map(|file| tracing::field::display(full(file)));
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        engine = store::engine(),
        store = %config.database,
        settings,
        transport = %config.messages.transport,
        "coffeeshop starts"
    );
}

/// Whatever ends this process leaves no image of its memory on a disk: passwords and tokens pass through it.
fn leave_no_core() {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    if let Err(error) = setrlimit(Resource::Core, none) {
        tracing::warn!(%error, "a crash may leave an image of the memory behind");
    }
}
