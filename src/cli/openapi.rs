//! `coffeeshop openapi`.

use std::process::ExitCode;

use anyhow::Result;

use super::output;
use crate::{
    api,
    config::{Config, ConfigError},
};

/// Prints the document of the shop with these settings. It needs none: the document is wanted where clients are made, too,
/// and then says that the API is at the root of its server.
pub fn run(config: Result<Config, ConfigError>) -> Result<ExitCode> {
    let document = match config {
        Ok(config) => api::openapi_at(config.public_path()),
        Err(error) => {
            output::words(format!("warning: the path of server.public_url is not known: {error}"));
            api::openapi()
        }
    };
    output::data(serde_json::to_string_pretty(&document)?)?;
    Ok(ExitCode::SUCCESS)
}
