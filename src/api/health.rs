//! `/healthz` and `/readyz`.

use poem_openapi::{Object, OpenApi, payload::Json, types::Example};

use super::{ApiResult, Tag};
use crate::accounts::Accounts;

pub struct Health(pub Accounts);

/// All is well.
#[derive(Object)]
#[oai(example)]
struct Fine {
    /// Always `ok`; anything else is a problem.
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
    /// Is the process alive?
    ///
    /// Answers as long as the process does. Looks at nothing else.
    #[oai(path = "/healthz", method = "get", operation_id = "healthz")]
    async fn healthz(&self) -> Json<Fine> {
        Json(Fine::new())
    }

    /// Can it work?
    ///
    /// Asks the store. `503` while it does not answer.
    #[oai(path = "/readyz", method = "get", operation_id = "readyz")]
    async fn readyz(&self) -> ApiResult<Json<Fine>> {
        self.0.ready().await?;
        Ok(Json(Fine::new()))
    }
}
