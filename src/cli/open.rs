//! Opens the accounts for a command, and says which store it changes.

use anyhow::Result;

use super::output;
use crate::{
    accounts::{Accounts, StartError},
    config::Config,
    domain::Clock,
    files,
    store::{OpenMode, Store},
};

/// Opens the accounts to look at them.
pub async fn to_read(config: &Config) -> Result<Accounts> {
    open(config, OpenMode::RequireCurrent).await
}

/// Opens the accounts to change something, and names the store: in another folder, or without the server's settings, it is
/// not the server's.
pub async fn to_write(config: &Config) -> Result<Accounts> {
    let accounts = open(config, OpenMode::RequireCurrent).await?;
    name(config);
    Ok(accounts)
}

/// The same, and makes the store if there is none.
pub async fn or_make(config: &Config) -> Result<Accounts> {
    let is_new = !Store::exists(&config.database);
    let accounts = open(config, OpenMode::CreateOrMigrate).await?;
    if !is_new {
        name(config);
        return Ok(accounts);
    }
    output::words(format_args!("made a new store: {}", config.database));
    let folder = config.database.data_folder();
    if files::are_for_root(folder) {
        output::warning(format_args!(
            "{} belongs to root, and so does what is in it: give it to the user that runs the server, with chown -R, unless \
             that is root",
            folder.display()
        ));
    }
    Ok(accounts)
}

/// Opens the accounts for a server, which makes the store if there is none, and has a log.
pub async fn to_serve(config: &Config) -> Result<Accounts> {
    let is_new = !Store::exists(&config.database);
    let accounts = open(config, OpenMode::CreateOrMigrate).await?;
    if is_new {
        tracing::info!(store = %config.database, "made a new store");
    }
    Ok(accounts)
}

fn name(config: &Config) {
    output::words(format_args!("store: {}", config.database));
}

async fn open(config: &Config, missing: OpenMode) -> Result<Accounts> {
    let is_new = !Store::exists(&config.database);
    let (store, migrated) = Store::open(&config.database, missing).await.map_err(StartError::from)?;
    // A new store is said to be new, and not to have been through every version.
    for migration in migrated.iter().filter(|_| !is_new) {
        tracing::info!(migration, "brought the store up to date");
    }
    Ok(Accounts::open(config, store, Clock::system()).await?)
}
