//! The schemas of the document, as generators of clients read them.
//!
//! What a request sends is closed: a field that the server does not know is refused. What an answer holds is open: a
//! client ignores a field that it does not know, so that one can be added. A field of an answer that is always there is
//! `required`, also if it may be `null`.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::document::members;
use crate::{domain::FieldError, http::Code};

const PREFIX: &str = "#/components/schemas/";

/// Makes the schemas of the document what they are to be, and adds those that no handler declares.
pub fn complete(document: &mut Value) {
    let schemas = &mut document["components"]["schemas"];
    schemas["Problem"] = problem();
    schemas["ProblemCode"] = problem_code();
    schemas["FieldProblem"] = field_problem();
    schemas["FieldProblemCode"] = field_problem_code();
    let sent = reached(document, "requestBody");
    let received = reached(document, "responses");
    for (name, schema) in document["components"]["schemas"].as_object_mut().into_iter().flatten() {
        schema.get_mut("properties").into_iter().flat_map(members).for_each(refer_plainly);
        if schema["type"] == "object" && sent.contains(name) {
            schema["additionalProperties"] = json!(false);
        }
        if schema["type"] == "object" && received.contains(name) {
            require_what_is_always_there(schema);
        }
    }
}

/// The names of the schemas that a part of the operations leads to: `requestBody` or `responses`.
fn reached(document: &Value, part: &str) -> BTreeSet<String> {
    let operations = document["paths"].as_object().into_iter().flat_map(Map::values);
    let operations = operations.filter_map(Value::as_object).flat_map(Map::values);
    let mut found = BTreeSet::new();
    for operation in operations {
        follow(&operation[part], &document["components"]["schemas"], &mut found);
    }
    found
}

/// Gathers the names of the schemas that a value refers to, and those that they refer to.
fn follow(value: &Value, schemas: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            let name = members.get("$ref").and_then(Value::as_str).and_then(|path| path.strip_prefix(PREFIX));
            if let Some(name) = name
                && found.insert(name.to_owned())
            {
                follow(&schemas[name], schemas, found);
            }
            members.values().for_each(|value| follow(value, schemas, found));
        }
        Value::Array(items) => items.iter().for_each(|item| follow(item, schemas, found)),
        _ => {}
    }
}

/// A reference with a description is an `allOf` of the reference alone. The library says the description a second time, as a
/// schema of its own; generators then look for a type that is both.
fn refer_plainly(property: &mut Value) {
    if let Some(parts) = property.get_mut("allOf").and_then(Value::as_array_mut) {
        parts.retain(|part| part.get("$ref").is_some());
    }
}

/// What can be `null` is there: only what is left out when there is nothing to say is not.
fn require_what_is_always_there(schema: &mut Value) {
    let required = schema["required"].as_array().cloned().unwrap_or_default();
    let properties = schema["properties"].as_object().into_iter().flatten();
    let always =
        properties.filter(|(name, property)| property["nullable"] == true || required.contains(&json!(name)));
    schema["required"] = always.map(|(name, _)| json!(name)).collect();
}

fn problem() -> Value {
    let text = |description: &str| json!({ "type": "string", "description": description });
    json!({
        "type": "object",
        "title": "Problem",
        "description": "Why a request was refused: problem details (RFC 9457), as `application/problem+json`.",
        "required": ["type", "title", "status", "detail", "code", "request_id"],
        "properties": {
            "type": text("Always `about:blank`: `code` says which problem it is."),
            "title": text("The kind of problem, in a few words. The same for every problem with this `code`."),
            "status": { "type": "integer", "description": "The HTTP status." },
            "detail": text("A sentence that can be shown to a person. Its wording may change: programs look at `code`."),
            "code": { "$ref": "#/components/schemas/ProblemCode" },
            "request_id": text("The id of the request, as in the header `X-Request-Id`. The log of the server has it, too."),
            "errors": {
                "type": "array",
                "description": "Each field of the body that breaks a rule (`validation_failed`), or each query parameter (`malformed_request`).",
                "items": { "$ref": "#/components/schemas/FieldProblem" },
            },
        },
    })
}

fn problem_code() -> Value {
    let words: Vec<_> = Code::ALL.iter().map(|code| code.row().1).collect();
    let description = "Which problem it is. A word that does not change; new ones may be added, so treat one that you do not know by its status.";
    json!({ "type": "string", "title": "ProblemCode", "description": description, "enum": words })
}

fn field_problem_code() -> Value {
    let description = "Which rule a field breaks. A word that does not change; new ones may be added, so show the `message` of one that you do not know.";
    json!({ "type": "string", "title": "FieldProblemCode", "description": description, "enum": FieldError::CODES })
}

fn field_problem() -> Value {
    let text = |description: &str| json!({ "type": "string", "description": description });
    json!({
        "type": "object",
        "title": "FieldProblem",
        "description": "A field of the body, or a query parameter, that breaks a rule.",
        "required": ["field", "code", "message"],
        "properties": {
            "field": text("The name of the field or query parameter, as in the request."),
            "code": { "$ref": "#/components/schemas/FieldProblemCode" },
            "message": text("A sentence that can be shown to a person, beside the field."),
        },
    })
}
