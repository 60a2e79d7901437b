//! A JSON body: read with a bound, and looked through for everything that is wrong before anything is done with it.

use std::fmt;

use poem::{Request, RequestBody};
use poem_openapi::{
    ApiExtractor, ApiExtractorType, ExtractParamOptions,
    registry::{MetaMediaType, MetaRequest, MetaSchema, MetaSchemaRef, Registry},
    types::{ParseFromJSON, Type},
};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::{Map, Value};

use super::error::not_json;
use crate::{
    accounts::Error,
    domain::{FieldError, Invalid},
    http::{self, ApiError, Code, has_media_type},
};

/// The deepest that a body may be nested. Nothing that is asked for is nested at all.
const DEEPEST: usize = 32;

/// A body as it came, with what is wrong with its form: fields missing, unknown, twice, or of the wrong type. The
/// documented schema is the rule; what it says is checked here.
pub struct Body<T> {
    value: T,
    problems: Vec<FieldError>,
}

impl<T> Body<T> {
    /// What `check` makes of the body, if there is nothing wrong with its form or its content.
    ///
    /// # Errors
    /// Everything that is wrong with either. A field that is wrong in its form is not judged by its content, too.
    pub fn check<U>(self, check: impl FnOnce(T) -> Result<U, Invalid>) -> Result<U, ApiError> {
        both(self.problems, check(self.value))
    }

    /// The same where judging the content takes its time.
    ///
    /// # Errors
    /// The same, and whatever keeps it from being judged.
    pub async fn judge<U>(self, judge: impl AsyncFnOnce(T) -> Result<U, Error>) -> Result<U, ApiError> {
        match judge(self.value).await {
            Ok(judged) => both(self.problems, Ok(judged)),
            Err(Error::Invalid(invalid)) => both(self.problems, Err(invalid)),
            Err(error) => Err(error.into()),
        }
    }
}

/// What was made of a body whose form has these problems.
fn both<U>(mut problems: Vec<FieldError>, checked: Result<U, Invalid>) -> Result<U, ApiError> {
    match checked {
        Ok(checked) if problems.is_empty() => return Ok(checked),
        Ok(_) => {}
        Err(Invalid(found)) => {
            let new = |error: &FieldError| problems.iter().all(|problem| problem.field != error.field);
            let found: Vec<_> = found.into_iter().filter(new).collect();
            problems.extend(found);
        }
    }
    Err(ApiError::invalid(problems))
}

impl<'a, T: Type + ParseFromJSON> ApiExtractor<'a> for Body<T> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];

    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        T::register(registry);
    }

    fn request_meta() -> Option<MetaRequest> {
        let content = vec![MetaMediaType { content_type: "application/json", schema: T::schema_ref() }];
        Some(MetaRequest { description: None, content, required: true })
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _options: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        Ok(read(request, body).await?)
    }
}

async fn read<T: Type + ParseFromJSON>(
    request: &Request,
    body: &mut RequestBody,
) -> Result<Body<T>, ApiError> {
    if !has_media_type(request, "application/json") {
        return Err(not_json());
    }
    let malformed = |detail: String| ApiError::new(Code::MalformedRequest, detail);
    let body = body.take().map_err(|_| malformed("The request has no body.".to_owned()))?;
    let bytes = http::read_body(body, request).await?;
    if depth(&bytes) > DEEPEST {
        return Err(malformed(format!("The body must be nested {DEEPEST} deep at most.")));
    }
    let Members(members) = serde_json::from_slice(&bytes).map_err(|_| not_an_object())?;
    let mut registry = Registry::new();
    let schema = registry.create_fake_schema::<T>();
    let (object, problems) = validate_object(members, &schema, &registry);
    let value = T::parse_from_json(Some(Value::Object(object)))
        .map_err(|_| malformed("The body does not fit the schema in the documentation.".to_owned()))?;
    Ok(Body { value, problems })
}

/// How deep JSON is nested; of what is no JSON, anything.
fn depth(bytes: &[u8]) -> usize {
    let (mut depth, mut deepest, mut in_text, mut escaped) = (0_usize, 0, false, false);
    for byte in bytes {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b'[' | b'{' if !in_text => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// The members of an object in the order in which they came, doubles included: a map would hide them.
struct Members(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Gather;
        impl<'de> Visitor<'de> for Gather {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Gather)
    }
}

/// An object that fits the schema, with something harmless in the place of what is wrong, and what is wrong.
fn validate_object(
    members: Vec<(String, Value)>,
    schema: &MetaSchema,
    registry: &Registry,
) -> (Map<String, Value>, Vec<FieldError>) {
    let mut object = Map::new();
    let mut problems = Vec::new();
    for (name, value) in members {
        let Some((_, wanted)) = schema.properties.iter().find(|(property, _)| *property == name) else {
            // The name came from outside: a long one is cut, so that an answer is not made longer than a question.
            let name: String = name.chars().take(64).collect();
            let message = format!("Unknown field {name}.");
            problems.push(FieldError::new(name, "unknown_field", message));
            continue;
        };
        if object.contains_key(&name) {
            problems.push(FieldError::new(&name, "duplicate_field", format!("The field {name} came twice.")));
            continue;
        }
        match fault(&name, &value, wanted, registry) {
            Some(problem) => {
                problems.push(problem);
                if schema.required.contains(&name.as_str()) {
                    object.insert(name, Value::String(String::new()));
                }
            }
            None => {
                object.insert(name, value);
            }
        }
    }
    for &name in &schema.required {
        if !object.contains_key(name) {
            problems.push(missing(name));
            object.insert(name.to_owned(), Value::String(String::new()));
        }
    }
    (object, problems)
}

/// What is wrong with the form of a value, if anything is.
fn fault(name: &str, value: &Value, wanted: &MetaSchemaRef, registry: &Registry) -> Option<FieldError> {
    let schema = resolve(wanted, registry)?;
    let nullable = matches!(wanted, MetaSchemaRef::Inline(wanted) if wanted.nullable);
    let fits = match value {
        Value::Null if nullable => return None,
        Value::String(_) => schema.ty == "string",
        Value::Bool(_) => schema.ty == "boolean",
        _ => false,
    };
    if !fits {
        let or_null = if nullable { " or null" } else { "" };
        let message = format!("The field {name} must be a {}{or_null}.", schema.ty);
        return Some(FieldError::new(name, "wrong_type", message));
    }
    if !schema.enum_items.is_empty() && !schema.enum_items.contains(value) {
        let choices: Vec<_> = schema.enum_items.iter().filter_map(Value::as_str).collect();
        return Some(none_of(name, &choices));
    }
    let most = schema.max_length.unwrap_or(usize::MAX);
    if value.as_str().is_some_and(|text| text.chars().count() > most) {
        let message = format!("The field {name} must have at most {most} characters.");
        return Some(FieldError::new(name, "too_long", message));
    }
    None
}

/// A body that is no JSON, or of another type at the top.
pub fn not_an_object() -> ApiError {
    ApiError::new(Code::MalformedRequest, "The body must be a JSON object, in UTF-8.")
}

/// A field that is required and is not there.
pub fn missing(name: &str) -> FieldError {
    FieldError::new(name, "required", format!("The field {name} is missing."))
}

/// A field with a value that is none of those that it may have.
pub fn none_of(name: &str, choices: &[&str]) -> FieldError {
    let message = format!("The field {name} must be one of: {}.", choices.join(", "));
    FieldError::new(name, "unknown_value", message)
}

/// The schema itself, where the document only refers to it.
fn resolve<'r>(wanted: &'r MetaSchemaRef, registry: &'r Registry) -> Option<&'r MetaSchema> {
    match wanted {
        MetaSchemaRef::Reference(name) => registry.schemas.get(name),
        MetaSchemaRef::Inline(schema) => match schema.all_of.first() {
            Some(inner) => resolve(inner, registry),
            None => Some(schema),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_is_counted_outside_of_texts() {
        for (json, wanted) in [
            (r#"{"a":"b"}"#, 1),
            (r#"{"a":[[{}]],"b":[]}"#, 4),
            (r#"{"a":"[[[[","b":"\"[[["}"#, 1),
            (r#"{"a":"\\","b":[1]}"#, 2),
            ("]]]]", 0),
        ] {
            assert_eq!(depth(json.as_bytes()), wanted, "{json}");
        }
    }
}
