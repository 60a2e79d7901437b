//! The OpenAPI document: what the handlers declare, and on top of it every refusal of every operation.

use std::{
    collections::{BTreeMap, HashMap},
    marker::PhantomData,
};

use poem::{
    endpoint::BoxEndpoint,
    http::{Method, StatusCode},
};
use poem_openapi::{
    LicenseObject, OpenApi, OpenApiService,
    registry::{MetaApi, Registry},
};
use serde_json::{Map, Value, json};

use super::{examples, schemas};
use crate::http::Code;

const DESCRIPTION: &str = "\
User accounts of a coffee shop: sign-up, login, verified e-mail, roles and sessions.

**Try it here.** Sign up, take the code from the message, verify, log in: *Authorize* is then filled in with the access \
token. Where no mail server is set up, messages are printed by the server.

**Authentication.** A login gives an access token, which is sent with every request as `Authorization: Bearer …`, and a \
refresh token, which gives a new pair when the access token expires (`401 invalid_token`).

**Errors** are problem details (RFC 9457) as `application/problem+json`, with a stable `code` for programs, a `detail` for \
people and the `request_id`. If fields break a rule, `errors` names each one. `429`, `503` and `507` have a \
`Retry-After` header.

**Formats.** Times are RFC 3339 in UTC with milliseconds, ids are UUIDs, and lists come in pages with a cursor. Fields may \
be added to answers: ignore those that you do not know. Every answer has the header `X-Request-Id`: the client's own, if \
it sent one.";

/// The chapters, in the order in which a newcomer reads them.
const CHAPTERS: [&str; 6] = ["Registration", "Sessions", "Own account", "Users", "Audit", "Operation"];

/// What an operation refuses besides what its form implies.
const REFUSALS: [(&str, &[Code]); 23] = [
    ("signup", &[Code::EmailTaken, Code::TooManyRequests]),
    ("verify", &[Code::VerificationFailed, Code::EmailTaken, Code::TooManyRequests]),
    ("resend_verification", &[Code::TooManyRequests]),
    ("forgot_password", &[Code::TooManyRequests]),
    (
        "login",
        &[Code::InvalidCredentials, Code::AccountDisabled, Code::EmailNotVerified, Code::TooManyRequests],
    ),
    ("refresh", &[Code::InvalidRefreshToken]),
    ("reset_password", &[Code::VerificationFailed, Code::TooManyRequests]),
    ("change_password", &[Code::InvalidCredentials, Code::TooManyRequests]),
    ("change_email", &[Code::InvalidCredentials, Code::TooManyRequests]),
    ("delete_me", &[Code::InvalidCredentials, Code::TooManyRequests, Code::LastAdmin]),
    ("edit_me", &[Code::TooManyRequests]),
    ("export_me", &[Code::TooManyRequests]),
    ("list_users", &[Code::Forbidden]),
    ("invite_user", &[Code::Forbidden, Code::EmailTaken, Code::TooManyRequests]),
    ("get_user", &[Code::Forbidden]),
    ("edit_user", &[Code::Forbidden, Code::EmailTaken, Code::LastAdmin, Code::TooManyRequests]),
    ("delete_user", &[Code::Forbidden, Code::LastAdmin, Code::TooManyRequests]),
    ("list_sessions", &[Code::Forbidden]),
    ("end_sessions", &[Code::Forbidden]),
    ("list_audit", &[Code::Forbidden]),
    // These two look at nothing that could refuse.
    ("healthz", &[]),
    ("jwks", &[]),
    ("readyz", &[]),
];

/// The document of an API whose paths start with `server`.
pub fn describe<T: OpenApi>(server: &str) -> Value {
    let mut document = serde_json::from_str(&service::<T>(server).spec()).unwrap_or_default();
    complete(&mut document);
    document
}

fn service<T: OpenApi>(server: &str) -> OpenApiService<Described<T>, ()> {
    let license = LicenseObject::new("MIT OR Apache-2.0").identifier("MIT OR Apache-2.0");
    OpenApiService::new(Described(PhantomData), "Coffee Shop API", env!("CARGO_PKG_VERSION"))
        .description(DESCRIPTION)
        .license(license)
        .server(server)
}

/// An API that can be described and not called: what it would be called on is not there.
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

/// The methods of each path of the document, upper case: `/users/{id}` has DELETE, GET and PATCH.
pub fn methods(document: &Value) -> BTreeMap<String, Vec<String>> {
    let paths = document["paths"].as_object().into_iter().flatten();
    let methods = |operations: &Value| {
        let mut methods: Vec<_> =
            operations.as_object().into_iter().flatten().map(|(m, _)| m.to_uppercase()).collect();
        if methods.iter().any(|method| method == "GET") {
            methods.push("HEAD".to_owned());
        }
        methods.sort();
        methods
    };
    paths.map(|(path, operations)| (path.clone(), methods(operations))).collect()
}

/// Whether a path is one of a template: `/users/{id}`.
pub fn matches(template: &str, path: &str) -> bool {
    let (mut template, mut path) = (template.split('/'), path.split('/'));
    loop {
        match (template.next(), path.next()) {
            (None, None) => return true,
            (Some(wanted), Some(found)) if wanted == found || wanted.starts_with('{') => {}
            _ => return false,
        }
    }
}

fn complete(document: &mut Value) {
    // The library writes the first of the 3.0 line, whose later ones only clear things up.
    document["openapi"] = json!("3.0.3");
    if let Some(license) = document["info"]["license"].as_object_mut() {
        license.remove("identifier"); // OpenAPI 3.1, and this document is 3.0
    }
    for operations in members(&mut document["paths"]) {
        for (method, operation) in operations.as_object_mut().into_iter().flatten() {
            for response in members(&mut operation["responses"]) {
                plain_json(response);
                if response["description"] == "" {
                    response["description"] = json!("Success.");
                }
            }
            for (status, codes) in by_status(&refusals(method, operation)) {
                operation["responses"][status.as_str()] = refusal(operation, status, &codes);
            }
            for response in members(&mut operation["responses"]) {
                response["headers"]["X-Request-Id"] = json!({
                    "description": "The id of the request, as in the log of the server.",
                    "schema": { "type": "string" },
                });
            }
        }
    }
    schemas::complete(document);
    if let Some(tags) = document["tags"].as_array_mut() {
        tags.sort_by_key(|tag| CHAPTERS.iter().position(|chapter| tag["name"] == **chapter));
    }
}

/// The values of an object; nothing of what is none.
pub fn members(object: &mut Value) -> impl Iterator<Item = &mut Value> {
    object.as_object_mut().into_iter().flat_map(|object| object.values_mut())
}

/// JSON is UTF-8; the media type has no charset (RFC 8259, section 11).
fn plain_json(response: &mut Value) {
    if let Some(content) = response.get_mut("content").and_then(Value::as_object_mut)
        && let Some(json) = content.remove("application/json; charset=utf-8")
    {
        content.insert("application/json".to_owned(), json);
    }
}

/// Every way in which an operation can refuse: some follow from what it takes, the rest is in the table.
fn refusals(method: &str, operation: &Value) -> Vec<Code> {
    let id = operation["operationId"].as_str().unwrap_or_default();
    let special = REFUSALS.iter().find(|(operation, _)| *operation == id).map_or(&[][..], |(_, codes)| codes);
    let takes = |place: &str| {
        operation["parameters"]
            .as_array()
            .is_some_and(|parameters| parameters.iter().any(|p| p["in"] == place))
    };
    let mut codes = special.to_vec();
    if operation.get("requestBody").is_some() {
        codes.extend([
            Code::MalformedRequest,
            Code::PayloadTooLarge,
            Code::UnsupportedMediaType,
            Code::ValidationFailed,
        ]);
    }
    if takes("path") {
        codes.push(Code::NotFound);
    }
    // An empty way in means that a token may come along, and need not.
    let ways_in = operation["security"].as_array();
    if ways_in.is_some_and(|ways| ways.iter().all(|way| *way != json!({}))) {
        codes.push(Code::InvalidToken);
    }
    if !["healthz", "jwks"].contains(&id) {
        codes.push(Code::Unavailable);
    }
    if method != "get" {
        codes.push(Code::StorageFull);
    }
    // A query may have what no operation takes.
    codes.extend([
        Code::MalformedRequest,
        Code::RequestTimeout,
        Code::UriTooLong,
        Code::HeadersTooLarge,
        Code::Internal,
    ]);
    codes.sort_unstable();
    codes.dedup();
    codes
}

fn by_status(codes: &[Code]) -> BTreeMap<StatusCode, Vec<Code>> {
    let mut statuses: BTreeMap<StatusCode, Vec<Code>> = BTreeMap::new();
    for code in codes {
        statuses.entry(code.row().0).or_default().push(*code);
    }
    statuses
}

/// How an operation answers with one of these codes, which all have this status.
fn refusal(operation: &Value, status: StatusCode, codes: &[Code]) -> Value {
    let words: Vec<_> = codes.iter().map(|code| format!("{} (`{}`)", code.row().2, code.row().1)).collect();
    let examples: Map<_, _> = codes
        .iter()
        .map(|code| {
            let (_, word, title) = code.row();
            let value = examples::refusal(operation, *code).problem("019aaf6e-5040-7b52-8f4e-2d1b93c6a7d0");
            (word.to_owned(), json!({ "summary": title, "value": value }))
        })
        .collect();
    let content = json!({ "schema": { "$ref": "#/components/schemas/Problem" }, "examples": examples });
    let mut response = json!({
        "description": format!("{}.", words.join(", or ")),
        "content": { "application/problem+json": content },
    });
    let header = match status {
        StatusCode::UNAUTHORIZED => Some(("WWW-Authenticate", "string", "How to authenticate: `Bearer`.")),
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::INSUFFICIENT_STORAGE => {
            Some(("Retry-After", "integer", "How many seconds to wait before trying again."))
        }
        _ => None,
    };
    if let Some((name, ty, description)) = header {
        response["headers"][name] = json!({ "description": description, "schema": { "type": ty } });
    }
    response
}
