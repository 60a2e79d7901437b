//! `/healthz` and `/readyz`.

use poem_openapi::{OpenApi, payload::Json};

use super::{ApiResult, Tag, views::Health};
use crate::accounts::Accounts;

pub struct Probes(pub Accounts);

#[OpenApi(tag = "Tag::Operation")]
impl Probes {
    /// Liveness probe
    ///
    /// Answers `200` as long as the process runs, whatever state the store is in. If it does not answer, restart the
    /// process.
    #[oai(path = "/healthz", method = "get", operation_id = "healthz")]
    async fn healthz(&self) -> Json<Health> {
        Json(Health::ok())
    }

    /// Readiness probe
    ///
    /// Answers `200` if the store answers and is up to date, and `503 unavailable` while it does not. Send requests to
    /// another instance, or wait, until it answers `200` again.
    #[oai(path = "/readyz", method = "get", operation_id = "readyz")]
    async fn readyz(&self) -> ApiResult<Json<Health>> {
        self.0.ready().await?;
        Ok(Json(Health::ok()))
    }
}
