//! `coffeeshop openapi`.

use std::process::ExitCode;

use anyhow::Result;

use super::output;
use crate::{
    api,
    config::{Config, ConfigError},
};

/// Prints the document, with the path of `server.public_url`. Without valid settings, such as where clients are generated, it
/// places the API at the root of its server.
pub fn run(config: Result<Config, ConfigError>) -> Result<ExitCode> {
    let document = match config {
        Ok(config) => api::openapi_at(config.public_path()),
        Err(error) => {
            output::message(format!("warning: the path of server.public_url is not known: {error}"));
            api::openapi()
        }
    };
    output::data(serde_json::to_string_pretty(&document)?)?;
    Ok(ExitCode::SUCCESS)
}
