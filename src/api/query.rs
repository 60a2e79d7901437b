//! A query string, held against the parameters that the document gives its operation: a refusal names the rule.

use std::sync::LazyLock;

use poem::{Request, http::Method};
use serde_json::Value;
use uuid::Uuid;

use super::document;
use crate::{domain::FieldError, http::ApiError};

/// How many problems one answer names: a query of 8 KiB could have thousands.
const MOST_PROBLEMS: usize = 20;

/// How much of a name that the document does not have is repeated.
const LONGEST_NAME: usize = 64;

/// Made when the first query comes in: most requests have none.
static OPERATIONS: LazyLock<Vec<Operation>> = LazyLock::new(|| Operation::all(&super::openapi()));

/// What an operation takes in its query.
struct Operation {
    path: String,
    method: String,
    needs_login: bool,
    parameters: Vec<Parameter>,
}

struct Parameter {
    name: String,
    rule: Rule,
}

/// What a value must be, by its schema.
enum Rule {
    Integer { least: i64, most: i64 },
    Boolean,
    Id,
    Choice(Vec<String>),
    Text { most_chars: usize },
}

/// Checks the query of a request whose sender was let in.
///
/// # Errors
/// `malformed_request`, which names every parameter that is unknown, repeated, or breaks its rule.
pub fn check(request: &Request) -> Result<(), ApiError> {
    let Some(query) = request.uri().query() else { return Ok(()) };
    let operation = Operation::of(request);
    operation.map_or(Ok(()), |operation| operation.check(query))
}

/// The same for operations that need no access token. For the others the guards check, once the token is good: that a caller
/// is not allowed is told first.
///
/// # Errors
/// The same.
pub fn check_public(request: &Request) -> Result<(), ApiError> {
    let Some(query) = request.uri().query() else { return Ok(()) };
    let operation = Operation::of(request).filter(|operation| !operation.needs_login);
    operation.map_or(Ok(()), |operation| operation.check(query))
}

impl Operation {
    fn all(document: &Value) -> Vec<Self> {
        let paths = document["paths"].as_object().into_iter().flatten();
        let operations = paths.flat_map(|(path, methods)| {
            let methods = methods.as_object().into_iter().flatten();
            methods.map(|(method, operation)| Self {
                path: path.clone(),
                method: method.to_uppercase(),
                needs_login: needs_login(operation),
                parameters: parameters(operation, document),
            })
        });
        operations.collect()
    }

    /// The operation that a request asks for; none if there is none, which is refused elsewhere.
    fn of(request: &Request) -> Option<&'static Self> {
        let method = match *request.method() {
            Method::HEAD => "GET",
            ref method => method.as_str(),
        };
        let path = request.uri().path();
        let mut operations = OPERATIONS.iter();
        operations.find(|operation| operation.method == method && document::matches(&operation.path, path))
    }

    fn check(&self, query: &str) -> Result<(), ApiError> {
        let pairs: Vec<(String, String)> = serde_urlencoded::from_str(query).unwrap_or_default();
        let mut problems = Vec::new();
        for (index, (name, value)) in pairs.iter().enumerate() {
            if problems.len() == MOST_PROBLEMS {
                break;
            }
            let Some(parameter) = self.parameters.iter().find(|parameter| parameter.name == *name) else {
                problems.push(unknown(name, &self.parameters));
                continue;
            };
            if pairs[..index].iter().any(|(before, _)| before == name) {
                let message = format!("The query parameter {name} is repeated. Send it once.");
                problems.push(FieldError::new(name, "duplicate_parameter", message));
            } else if let Some((code, rule)) = parameter.rule.broken_by(value) {
                let message = format!("The query parameter {name} must {rule}.");
                problems.push(FieldError::new(name, code, message));
            }
        }
        if problems.is_empty() { Ok(()) } else { Err(ApiError::malformed_query(problems)) }
    }
}

/// A parameter that an operation with these does not have.
fn unknown(name: &str, parameters: &[Parameter]) -> FieldError {
    let name: String = name.chars().take(LONGEST_NAME).collect();
    let names: Vec<_> = parameters.iter().map(|parameter| parameter.name.as_str()).collect();
    let takes = match names.as_slice() {
        [] => "This operation takes none.".to_owned(),
        names => format!("There are: {}.", names.join(", ")),
    };
    let message = format!("Unknown query parameter {name}. {takes}");
    FieldError::new(name, "unknown_parameter", message)
}

/// How an operation without any parameters refuses this one.
pub fn takes_none(name: &str) -> ApiError {
    ApiError::malformed_query(vec![unknown(name, &[])])
}

impl Rule {
    fn of(schema: &Value) -> Self {
        // JSON Schema has bounds as any number.
        #[expect(
            clippy::cast_possible_truncation,
            reason = "bounds that are written in the source, and small"
        )]
        let bound = |name: &str, otherwise| schema[name].as_f64().map_or(otherwise, |bound| bound as i64);
        let choices: Vec<_> =
            schema["enum"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        match (schema["type"].as_str(), schema["format"].as_str()) {
            _ if !choices.is_empty() => Self::Choice(choices.into_iter().map(str::to_owned).collect()),
            (Some("integer"), _) => {
                Self::Integer { least: bound("minimum", i64::MIN), most: bound("maximum", i64::MAX) }
            }
            (Some("boolean"), _) => Self::Boolean,
            (_, Some("uuid")) => Self::Id,
            _ => {
                let most_chars = schema["maxLength"].as_u64().and_then(|most| most.try_into().ok());
                Self::Text { most_chars: most_chars.unwrap_or(usize::MAX) }
            }
        }
    }

    /// The code of the problem with a value, and what the value must be or have instead; nothing if it is good.
    fn broken_by(&self, value: &str) -> Option<(&'static str, String)> {
        match self {
            Self::Integer { least, most } => {
                let rule = || format!("be a whole number from {least} to {most}");
                match value.parse() {
                    Ok(number) if (*least..=*most).contains(&number) => None,
                    Ok(_) => Some(("out_of_range", rule())),
                    Err(_) => Some(("wrong_type", rule())),
                }
            }
            Self::Boolean => {
                value.parse::<bool>().is_err().then(|| ("wrong_type", "be true or false".to_owned()))
            }
            Self::Id => {
                let rule = || "be an id such as 019aaf6e-5040-7b52-8f4e-2d1b93c6a7d0".to_owned();
                value.parse::<Uuid>().is_err().then(|| ("wrong_type", rule()))
            }
            Self::Choice(choices) => {
                let rule = || format!("be one of: {}", choices.join(", "));
                (!choices.iter().any(|choice| choice == value)).then(|| ("unknown_value", rule()))
            }
            Self::Text { most_chars } => {
                let rule = || format!("have at most {most_chars} characters");
                (value.chars().count() > *most_chars).then(|| ("too_long", rule()))
            }
        }
    }
}

/// Whether an operation takes an access token and no request without one.
fn needs_login(operation: &Value) -> bool {
    let ways = operation["security"].as_array();
    ways.is_some_and(|ways| ways.iter().all(|way| way.as_object().is_some_and(|way| !way.is_empty())))
}

fn parameters(operation: &Value, document: &Value) -> Vec<Parameter> {
    let parameters = operation["parameters"].as_array().into_iter().flatten();
    let of_query = parameters.filter(|parameter| parameter["in"] == "query");
    let parameter = |parameter: &Value| Parameter {
        name: parameter["name"].as_str().unwrap_or_default().to_owned(),
        rule: Rule::of(resolved(&parameter["schema"], document)),
    };
    of_query.map(parameter).collect()
}

/// A schema itself, where an operation only refers to it.
fn resolved<'d>(schema: &'d Value, document: &'d Value) -> &'d Value {
    if let Some(name) = schema["$ref"].as_str().and_then(|reference| reference.rsplit('/').next()) {
        return &document["components"]["schemas"][name];
    }
    match schema["allOf"].as_array().and_then(|parts| parts.first()) {
        Some(part) => resolved(part, document),
        None => schema,
    }
}
