//! `coffeeshop openapi`.

use std::process::ExitCode;

use anyhow::Result;

use super::output;
use crate::{
    api,
    config::{Config, ConfigError},
};

/// Prints the document, with the path and the figures of the settings. Without valid settings, such as where clients are
/// generated, it takes the defaults.
pub fn run(config: Result<Config, ConfigError>) -> Result<ExitCode> {
    let document = match config {
        Ok(config) => api::openapi(&config),
        Err(error) => {
            output::message(format!("warning: the document has the default settings: {error}"));
            api::openapi(&Config::default())
        }
    };
    output::data(serde_json::to_string_pretty(&document)?)?;
    Ok(ExitCode::SUCCESS)
}
