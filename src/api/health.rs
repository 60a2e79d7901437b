//! `/healthz` and `/readyz`.

use poem_openapi::OpenApi;

use super::{answers::Json, tags::Tag, views::Health};
use crate::{http::ApiResult, operations};

pub struct Probes(pub operations::Health);

#[OpenApi(tag = "Tag::Operation")]
impl Probes {
    /// Liveness probe
    ///
    /// Answers `200` as long as the process runs, whatever state the store is in. Restart the process if it does not
    /// answer.
    #[oai(path = "/healthz", method = "get", operation_id = "healthz")]
    async fn healthz(&self) -> Json<Health> {
        Json(Health::ok())
    }

    /// Readiness probe
    ///
    /// Answers `200` if the store answers and has the schema of this version. Send no requests to this instance until it
    /// answers `200` again.
    ///
    /// Errors:
    /// - `503 unavailable`: the store does not answer, or its migrations are pending.
    #[oai(path = "/readyz", method = "get", operation_id = "readyz")]
    async fn readyz(&self) -> ApiResult<Json<Health>> {
        self.0.ready().await?;
        Ok(Json(Health::ok()))
    }
}
