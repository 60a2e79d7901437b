//! JSON bodies: read up to the size limit, and checked so that one answer names every error.

use std::fmt;

use poem::{Request, RequestBody};
use poem_openapi::{
    ApiExtractor, ApiExtractorType, ExtractParamOptions,
    registry::{MetaMediaType, MetaRequest, Registry},
    types::{ParseFromJSON, Type},
};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::Value;

use super::{error::not_json, form::Form};
use crate::{
    domain::{FieldError, Invalid},
    http::{self, ApiError, ApiResult, Code, has_media_type},
};

/// The maximum nesting. No field takes a nested value.
const MAX_DEPTH: usize = 32;

/// A body with the errors in its form: fields that are missing, unknown, repeated, or of the wrong type or length. They
/// are reported together with the errors in its content.
pub struct Body<T> {
    value: T,
    errors: Vec<FieldError>,
}

impl<T> Body<T> {
    /// Checks the content.
    ///
    /// # Errors
    /// `validation_failed`, with every error in the form and in the content. A field with an error in its form has no
    /// second one for its content.
    pub fn check<U>(self, check: impl FnOnce(T) -> Result<U, Invalid>) -> ApiResult<U> {
        Invalid::with_malformed(self.errors, check(self.value))
            .map_err(|Invalid(errors)| ApiError::invalid(errors))
    }

    /// The content with the errors in its form, for a check that takes both.
    pub fn into_parts(self) -> (T, Vec<FieldError>) {
        (self.value, self.errors)
    }
}

impl<'a, T: Type + ParseFromJSON + 'static> ApiExtractor<'a> for Body<T> {
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

async fn read<T: Type + ParseFromJSON + 'static>(
    request: &Request,
    body: &mut RequestBody,
) -> ApiResult<Body<T>> {
    if !has_media_type(request, "application/json") {
        return Err(not_json());
    }
    let malformed = |detail: String| ApiError::new(Code::MalformedRequest, detail);
    let body = body.take().map_err(|_| malformed("The request has no body.".to_owned()))?;
    let bytes = http::read_body(body, request).await?;
    if depth(&bytes) > MAX_DEPTH {
        return Err(malformed(format!("The body must be nested at most {MAX_DEPTH} levels deep.")));
    }
    let Members(members) = serde_json::from_slice(&bytes).map_err(|_| not_an_object())?;
    let (object, errors) = Form::of::<T>().validate_object(members);
    let value = T::parse_from_json(Some(Value::Object(object)))
        .map_err(|_| malformed("The body does not fit its schema in the documentation.".to_owned()))?;
    Ok(Body { value, errors })
}

/// How deep JSON is nested. For other text the number has no meaning.
fn depth(bytes: &[u8]) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for byte in bytes {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// The members of an object in the order of the body, including repeated ones, which a map would hide.
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

pub fn not_an_object() -> ApiError {
    ApiError::new(Code::MalformedRequest, "The body must be a JSON object in UTF-8.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_is_counted_outside_of_strings() {
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
