//! How each operation refuses: the codes that follow from what it takes, and those that its description lists.
//!
//! A description ends with a list of the errors that are particular to the operation: ``- `409 email_taken`: …``. The
//! responses of the document are made from it.

use std::collections::BTreeMap;

use poem::http::StatusCode;
use serde_json::{Map, Value, json};

use super::{examples::Example, schemas::reference};
use crate::{domain::VariantArray, http::Code};

/// The responses of an operation that are refusals, by status.
pub fn responses(method: &str, operation: &Value, schemas: &Value) -> BTreeMap<StatusCode, Value> {
    let mut by_status: BTreeMap<StatusCode, Vec<Code>> = BTreeMap::new();
    for code in codes(method, operation) {
        by_status.entry(code.status()).or_default().push(code);
    }
    let response = |(status, codes): (StatusCode, Vec<Code>)| {
        (status, response(status, &codes, &Example::new(operation, schemas)))
    };
    by_status.into_iter().map(response).collect()
}

fn codes(method: &str, operation: &Value) -> Vec<Code> {
    let has_body = operation.get("requestBody").is_some();
    let mut parameters = operation["parameters"].as_array().into_iter().flatten();
    let has_path_parameter = parameters.any(|parameter| parameter["in"] == "path");
    let requirements = operation["security"].as_array();
    // A token is optional where an empty requirement is among the alternatives.
    let needs_token = requirements.is_some_and(|requirements| !requirements.contains(&json!({})));
    // Any operation refuses an unknown query parameter.
    let mut codes = vec![
        Code::MalformedRequest,
        Code::RequestTimeout,
        Code::UriTooLong,
        Code::HeadersTooLarge,
        Code::Internal,
    ];
    if has_body {
        codes.extend([Code::PayloadTooLarge, Code::UnsupportedMediaType, Code::ValidationFailed]);
    }
    if has_path_parameter {
        codes.push(Code::NotFound);
    }
    if needs_token {
        codes.push(Code::InvalidToken);
    }
    if has_body || needs_token {
        codes.push(Code::Unavailable);
    }
    if method != "get" {
        codes.extend([Code::OutcomeUnknown, Code::StorageFull]);
    }
    codes.extend(listed(operation["description"].as_str().unwrap_or_default()));
    codes.sort_unstable();
    codes.dedup();
    codes
}

/// The codes in the list of errors of a description.
fn listed(description: &str) -> impl Iterator<Item = Code> {
    let items = description.lines().filter_map(|line| line.strip_prefix("- `")?.split_once('`'));
    items.filter_map(|(error, _)| {
        let (_, code) = error.split_once(' ')?;
        Code::VARIANTS.iter().copied().find(|known| known.as_str() == code)
    })
}

/// A response with one of these codes, which all have this status.
fn response(status: StatusCode, codes: &[Code], example: &Example<'_>) -> Value {
    let titles = codes.iter().map(|code| format!("{} (`{}`)", code.title(), code.as_str()));
    let examples: Map<_, _> = codes
        .iter()
        .map(|code| {
            let problem = example.error(*code).problem("019aaf6e-5040-7b52-8f4e-2d1b93c6a7d0");
            (code.as_str().to_owned(), json!({ "summary": code.title(), "value": problem }))
        })
        .collect();
    let content = json!({ "schema": reference("Problem"), "examples": examples });
    let mut response = json!({
        "description": format!("{}.", titles.collect::<Vec<_>>().join(", or ")),
        "content": { "application/problem+json": content },
    });
    let header = match status {
        StatusCode::UNAUTHORIZED => Some(("WWW-Authenticate", "string", "How to authenticate: `Bearer`.")),
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::INSUFFICIENT_STORAGE => {
            Some(("Retry-After", "integer", "How many seconds to wait before the next attempt."))
        }
        _ => None,
    };
    if let Some((name, ty, description)) = header {
        response["headers"][name] = json!({ "description": description, "schema": { "type": ty } });
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_errors_in_a_description_is_read() {
        let description = "Ends with `503 unavailable`.\n\nErrors:\n- `409 last_admin`: of one\n- `429 \
                           too_many_requests`: of two,\nin a line more\n- `418 teapot`: of none";
        let codes: Vec<_> = listed(description).collect();
        assert_eq!(codes, [Code::LastAdmin, Code::TooManyRequests]);
    }
}
