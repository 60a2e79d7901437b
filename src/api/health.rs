//! `/healthz` and `/readyz`.

use poem_openapi::{Object, OpenApi, payload::Json, types::Example};

use super::{ApiResult, Tag};
use crate::accounts::Accounts;

pub struct Health(pub Accounts);

/// The state of the server.
#[derive(Object)]
#[oai(example)]
struct Fine {
    /// Always `ok`: any other state is an error answer.
    status: String,
}

impl Example for Fine {
    fn example() -> Self {
        Self::new()
    }
}

impl Fine {
    fn new() -> Self {
        Self { status: "ok".to_owned() }
    }
}

#[OpenApi(tag = "Tag::Operation")]
impl Health {
    /// Liveness probe
    ///
    /// Answers `200` as long as the process runs, whatever state the store is in. If it does not answer, restart the
    /// process.
    #[oai(path = "/healthz", method = "get", operation_id = "healthz")]
    async fn healthz(&self) -> Json<Fine> {
        Json(Fine::new())
    }

    /// Readiness probe
    ///
    /// Answers `200` if the store answers and is up to date, and `503 unavailable` while it does not. Send requests to
    /// another instance, or wait, until it answers `200` again.
    #[oai(path = "/readyz", method = "get", operation_id = "readyz")]
    async fn readyz(&self) -> ApiResult<Json<Fine>> {
        self.0.ready().await?;
        Ok(Json(Fine::new()))
    }
}
