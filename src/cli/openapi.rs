//! `coffeeshop openapi`.

use std::process::ExitCode;

use anyhow::Result;

use super::output;
use crate::api;

pub fn run() -> Result<ExitCode> {
    output::data(serde_json::to_string_pretty(&api::openapi())?)?;
    Ok(ExitCode::SUCCESS)
}
