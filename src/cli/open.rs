//! Opens the database for a command, and prints which one it changes.

use anyhow::Result;

use super::output;
use crate::{
    app::{App, OpenMode},
    config::Config,
    domain::Clock,
    files,
};

/// Opens it for a command that only reads.
pub async fn to_read(config: &Config) -> Result<App> {
    Ok(open(config, OpenMode::RequireCurrent).await?.0)
}

/// Opens it for a command that writes, and prints its path: in another folder, or without the server's settings, it may not
/// be the server's database.
pub async fn to_write(config: &Config) -> Result<App> {
    let (app, _) = open(config, OpenMode::RequireCurrent).await?;
    print_path(config);
    Ok(app)
}

/// Like [`to_write`], but creates or migrates the database as needed.
pub async fn or_make(config: &Config) -> Result<App> {
    let (app, is_new) = open(config, OpenMode::CreateOrMigrate).await?;
    if !is_new {
        print_path(config);
        return Ok(app);
    }
    output::message(format_args!("created a new database: {}", config.database));
    let folder = config.database.data_folder();
    if config.database.url.is_none() && files::are_for_root(folder) {
        output::warning(format_args!(
            "{} belongs to root, with its files: unless root runs the server, give them to the user who does, with chown -R",
            folder.display()
        ));
    }
    Ok(app)
}

/// Opens it for the server, which reports to its log.
pub async fn to_serve(config: &Config) -> Result<App> {
    let (app, is_new) = open(config, OpenMode::CreateOrMigrate).await?;
    if is_new {
        tracing::info!(database = %config.database, "created a new database");
    }
    Ok(app)
}

fn print_path(config: &Config) {
    output::message(format_args!("database: {}", config.database));
}

/// Returns whether it is new, too.
async fn open(config: &Config, mode: OpenMode) -> Result<(App, bool)> {
    Ok(App::start(config, mode, Clock::system()).await?)
}
