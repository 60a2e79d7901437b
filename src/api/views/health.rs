//! The state of the server.

use poem_openapi::{Object, types::Example};

/// The state of the server.
#[derive(Object)]
#[oai(example)]
pub struct Health {
    /// Always `ok`: any other state is an error answer.
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
