//! The state of the server.

use poem_openapi::{Object, types::Example};
use serde::Serialize;

/// The state of the server.
#[derive(Object, Serialize)]
#[oai(example)]
pub struct Health {
    /// Always `ok`. Any other state gets an error.
    status: String,
}

impl Example for Health {
    fn example() -> Self {
        Self::ok()
    }
}

impl Health {
    pub fn ok() -> Self {
        Self { status: "ok".to_owned() }
    }
}
