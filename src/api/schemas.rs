//! The schemas of the document, completed for generators of clients.
//!
//! What a request sends is closed: the server refuses unknown fields. What an answer contains is open: a client ignores
//! unknown fields, so that new ones can be added. A field that an answer always has is `required`, even if it may be `null`.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::{
    domain::{FieldError, VariantArray},
    http::Code,
};

const PREFIX: &str = "#/components/schemas/";

/// Completes the schemas that handlers declare, and adds those of refusals.
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
            require_nullable(schema);
        }
    }
}

/// The names of the schemas that a part of all operations refers to, directly or not: `requestBody` or `responses`.
fn reached(document: &Value, part: &str) -> BTreeSet<String> {
    let operations = document["paths"].as_object().into_iter().flat_map(Map::values);
    let operations = operations.filter_map(Value::as_object).flat_map(Map::values);
    let mut found = BTreeSet::new();
    for operation in operations {
        follow(&operation[part], &document["components"]["schemas"], &mut found);
    }
    found
}

fn follow(value: &Value, schemas: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            if let Some(name) = referenced(value)
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

/// A reference with a description is an `allOf` of the reference alone. The library adds the description a second time, as a
/// schema of its own; generators then look for a type that is both.
fn refer_plainly(property: &mut Value) {
    if let Some(parts) = property.get_mut("allOf").and_then(Value::as_array_mut) {
        parts.retain(|part| part.get("$ref").is_some());
    }
}

/// A field that may be `null` is always there.
fn require_nullable(schema: &mut Value) {
    let required = schema["required"].as_array().cloned().unwrap_or_default();
    let properties = schema["properties"].as_object().into_iter().flatten();
    let always =
        properties.filter(|(name, property)| property["nullable"] == true || required.contains(&json!(name)));
    schema["required"] = always.map(|(name, _)| json!(name)).collect();
}

/// A reference to a schema.
pub fn reference(name: &str) -> Value {
    json!({ "$ref": format!("{PREFIX}{name}") })
}

/// The name of the schema that a value refers to.
pub fn referenced(value: &Value) -> Option<&str> {
    value["$ref"].as_str()?.strip_prefix(PREFIX)
}

/// The values of an object; none of any other value.
pub fn members(object: &mut Value) -> impl Iterator<Item = &mut Value> {
    object.as_object_mut().into_iter().flat_map(|object| object.values_mut())
}

fn problem() -> Value {
    let text = |description: &str| json!({ "type": "string", "description": description });
    json!({
        "type": "object",
        "title": "Problem",
        "description": "Why a request was refused: problem details (RFC 9457), as `application/problem+json`.",
        "required": ["type", "title", "status", "detail", "code", "request_id"],
        "properties": {
            "type": text("Always `about:blank`. Use `code` to tell problems apart."),
            "title": text("The kind of problem in a few words: the same for each problem with this `code`."),
            "status": { "type": "integer", "description": "The HTTP status." },
            "detail": text("A sentence to show to a person. The wording can change; programs use `code`."),
            "code": reference("ProblemCode"),
            "request_id": text("The id of the request, as in the header `X-Request-Id` and in the log of the server."),
            "errors": {
                "type": "array",
                "description": "Each field of the body (`validation_failed`) or query parameter (`malformed_request`) that breaks a rule.",
                "items": reference("FieldProblem"),
            },
        },
    })
}

fn problem_code() -> Value {
    let words: Vec<_> = Code::VARIANTS.iter().map(|code| code.as_str()).collect();
    let description = "The problem. Codes never change, but new ones can be added: treat an unknown one by its HTTP status.";
    json!({ "type": "string", "title": "ProblemCode", "description": description, "enum": words })
}

fn field_problem_code() -> Value {
    let description = "The rule that is broken. Codes never change, but new ones can be added: show the `message` of an unknown one.";
    json!({ "type": "string", "title": "FieldProblemCode", "description": description, "enum": FieldError::CODES })
}

fn field_problem() -> Value {
    let text = |description: &str| json!({ "type": "string", "description": description });
    json!({
        "type": "object",
        "title": "FieldProblem",
        "description": "A field of the body or a query parameter that breaks a rule.",
        "required": ["field", "code", "message"],
        "properties": {
            "field": text("The name of the field or query parameter, as in the request."),
            "code": reference("FieldProblemCode"),
            "message": text("A sentence to show to a person beside the field."),
        },
    })
}
