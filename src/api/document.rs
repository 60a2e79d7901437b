//! The OpenAPI document: what the handlers declare, completed with all refusals, and with the figures of the settings.

use std::{collections::HashMap, marker::PhantomData};

use poem::{endpoint::BoxEndpoint, http::Method};
use poem_openapi::{
    LicenseObject, OpenApi, OpenApiService,
    registry::{MetaApi, Registry},
};
use serde_json::{Value, json};

use super::{
    figures::Figures,
    refusals,
    schemas::{self, members},
    tags::CHAPTERS,
};
use crate::config::Config;

const DESCRIPTION: &str = "\
User accounts of a coffee shop: sign-up, login, verified e-mail addresses, roles and sessions.

**Try it here.** Sign up, take the code from the message, verify the address and log in; *Authorize* then has the access \
token. If the shop has no mail server, the server prints the messages on its standard output.

**Authentication.** `POST /auth/login` returns an access token and a refresh token. Send the access token with every \
request as `Authorization: Bearer …`. When it has expired (`401 invalid_token`), exchange the refresh token for a new pair \
with `POST /auth/refresh`.

**Errors** are problem details (RFC 9457) as `application/problem+json`. Decide by `code`, which never changes; show `detail`, \
which is a sentence for people; and quote `request_id` to the shop. If fields of the body or query parameters break a rule, \
`errors` names each one. An answer with the status `429`, `503` or `507` has the header `Retry-After`: nothing was changed, \
and the same request can be sent again after that many seconds. The one exception is `503 outcome_unknown`: the change may have \
been made, so look before you send it again.

**Formats.** Bodies are JSON objects of at most {body-kib}, in which unknown fields are refused. Times are RFC 3339 in UTC with \
milliseconds, ids are UUIDs, and lists come in pages with a cursor. Ignore fields in answers that you do not know, because new \
ones can be added. Each answer has the header `X-Request-Id`: the one of the request, if it is valid, or a new one.";

/// The document of an API, with the figures and the path of these settings.
pub fn describe<T: OpenApi>(config: &Config) -> Value {
    let license = LicenseObject::new("MIT OR Apache-2.0").identifier("MIT OR Apache-2.0");
    let service =
        OpenApiService::new(Described::<T>(PhantomData), "Coffee Shop API", env!("CARGO_PKG_VERSION"))
            .description(DESCRIPTION)
            .license(license)
            .server(config.public_path());
    let mut document = serde_json::from_str(&service.spec()).unwrap_or_default();
    complete(&mut document);
    Figures::new(config).fill_in(&mut document);
    document
}

/// An API to describe, without what is needed to call it.
struct Described<T>(PhantomData<T>);

impl<T: OpenApi> OpenApi for Described<T> {
    fn meta() -> Vec<MetaApi> {
        T::meta()
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }

    fn add_routes(self, _routes: &mut HashMap<String, HashMap<Method, BoxEndpoint<'static>>>) {}
}

fn complete(document: &mut Value) {
    // The library writes 3.0.0, of which 3.0.3 is a clarification.
    document["openapi"] = json!("3.0.3");
    if let Some(license) = document["info"]["license"].as_object_mut() {
        license.remove("identifier"); // OpenAPI 3.1, and this document is 3.0
    }
    document["components"]["securitySchemes"]["access_token"]["description"] = json!(
        "The access token of `POST /auth/login` or `POST /auth/refresh`, as `Authorization: Bearer …`."
    );
    schemas::complete(document);
    let schemas = document["components"]["schemas"].clone();
    for operations in members(&mut document["paths"]) {
        for (method, operation) in operations.as_object_mut().into_iter().flatten() {
            for (status, response) in refusals::responses(method, operation, &schemas) {
                operation["responses"][status.as_str()] = response;
            }
            for response in members(&mut operation["responses"]) {
                response["headers"]["X-Request-Id"] = json!({
                    "description": "The id of the request, as in the log of the server.",
                    "schema": { "type": "string" },
                });
            }
        }
    }
    join_lines(document);
    if let Some(tags) = document["tags"].as_array_mut() {
        tags.sort_by_key(|tag| CHAPTERS.iter().position(|chapter| tag["name"] == **chapter));
    }
}

/// Joins the lines of each paragraph and list item in all descriptions, which are wrapped as comments are.
fn join_lines(value: &mut Value) {
    if let Some(Value::String(text)) = value.get_mut("description") {
        let mut joined = String::with_capacity(text.len());
        for line in text.lines() {
            let starts_anew = line.is_empty() || line.starts_with("- ") || joined.ends_with('\n');
            if !joined.is_empty() {
                joined.push(if starts_anew { '\n' } else { ' ' });
            }
            joined.push_str(line);
        }
        *text = joined;
    }
    match value {
        Value::Object(_) => members(value).for_each(join_lines),
        Value::Array(items) => items.iter_mut().for_each(join_lines),
        _ => {}
    }
}
