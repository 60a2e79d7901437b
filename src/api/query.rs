//! Query strings: checked against the parameters of the operation, with an error that names the rule.

use poem_openapi::registry::{MetaOperation, MetaParamIn, MetaSchema, Registry};
use serde_json::Value;
use uuid::Uuid;

use super::form::resolve;
use crate::{
    domain::FieldError,
    http::{ApiError, ApiResult},
};

/// How many errors one answer names: a query of 8 KiB could have thousands.
const MAX_ERRORS: usize = 20;

/// How many characters of an unknown parameter's name an answer repeats.
const MAX_NAME_CHARS: usize = 64;

/// The query parameters of an operation.
pub struct Parameters(Vec<Parameter>);

struct Parameter {
    name: String,
    rule: Rule,
}

enum Rule {
    Integer { min: i64, max: i64 },
    Boolean,
    Id,
    Choice(Vec<String>),
    Text { max_chars: usize },
}

impl Parameters {
    pub fn of(operation: &MetaOperation, registry: &Registry) -> Self {
        let parameters = operation.params.iter().filter(|parameter| parameter.in_type == MetaParamIn::Query);
        let parameters = parameters.filter_map(|parameter| {
            let schema = resolve(&parameter.schema, registry)?;
            Some(Parameter { name: parameter.name.clone(), rule: Rule::of(schema) })
        });
        Self(parameters.collect())
    }

    /// # Errors
    /// `malformed_request`, with an error for each parameter that is unknown, repeated, or breaks its rule.
    pub fn check(&self, query: &str) -> ApiResult<()> {
        let pairs: Vec<(String, String)> = serde_urlencoded::from_str(query).unwrap_or_default();
        let mut errors = Vec::new();
        for (index, (name, value)) in pairs.iter().enumerate() {
            if errors.len() == MAX_ERRORS {
                break;
            }
            let Some(parameter) = self.0.iter().find(|parameter| parameter.name == *name) else {
                errors.push(self.unknown(name));
                continue;
            };
            if pairs[..index].iter().any(|(before, _)| before == name) {
                let message = format!("The query parameter {name} is repeated. Send it once.");
                errors.push(FieldError::new(name, "duplicate_parameter", message));
            } else if let Err((code, rule)) = parameter.rule.check(value) {
                let message = format!("The query parameter {name} must {rule}.");
                errors.push(FieldError::new(name, code, message));
            }
        }
        if errors.is_empty() { Ok(()) } else { Err(ApiError::malformed_query(errors)) }
    }

    fn unknown(&self, name: &str) -> FieldError {
        let name: String = name.chars().take(MAX_NAME_CHARS).collect();
        let known: Vec<_> = self.0.iter().map(|parameter| parameter.name.as_str()).collect();
        let known = match known.as_slice() {
            [] => "This operation has no query parameters.".to_owned(),
            known => format!("This operation has the query parameters: {}.", known.join(", ")),
        };
        let message = format!("Unknown query parameter {name}. {known}");
        FieldError::new(name, "unknown_parameter", message)
    }
}

/// How an operation without query parameters refuses one.
pub fn refuse_any(name: &str) -> ApiError {
    ApiError::malformed_query(vec![Parameters(Vec::new()).unknown(name)])
}

impl Rule {
    fn of(schema: &MetaSchema) -> Self {
        // JSON Schema has bounds as floating-point numbers.
        #[expect(clippy::cast_possible_truncation, reason = "small bounds, written in the source")]
        let bound = |bound: Option<f64>| bound.map(|bound| bound as i64);
        if !schema.enum_items.is_empty() {
            let choices = schema.enum_items.iter().filter_map(Value::as_str);
            return Self::Choice(choices.map(str::to_owned).collect());
        }
        match (schema.ty, schema.format) {
            ("integer", _) => Self::Integer {
                min: bound(schema.minimum).unwrap_or(i64::MIN),
                max: bound(schema.maximum).unwrap_or(i64::MAX),
            },
            ("boolean", _) => Self::Boolean,
            (_, Some("uuid")) => Self::Id,
            _ => Self::Text { max_chars: schema.max_length.unwrap_or(usize::MAX) },
        }
    }

    /// # Errors
    /// The code of the error, and what the value must be or have instead.
    fn check(&self, value: &str) -> Result<(), (&'static str, String)> {
        let (is_valid, code, rule) = match self {
            Self::Integer { min, max } => {
                let number = value.parse::<i64>();
                let code = if number.is_ok() { "out_of_range" } else { "wrong_type" };
                let is_valid = number.is_ok_and(|number| (*min..=*max).contains(&number));
                (is_valid, code, format!("be a whole number from {min} to {max}"))
            }
            Self::Boolean => (value.parse::<bool>().is_ok(), "wrong_type", "be true or false".to_owned()),
            Self::Id => {
                let rule = "be a UUID such as 019aaf6e-5040-7b52-8f4e-2d1b93c6a7d0";
                (value.parse::<Uuid>().is_ok(), "wrong_type", rule.to_owned())
            }
            Self::Choice(choices) => {
                let is_valid = choices.iter().any(|choice| choice == value);
                (is_valid, "unknown_value", format!("be one of: {}", choices.join(", ")))
            }
            Self::Text { max_chars } => {
                let is_valid = value.chars().count() <= *max_chars;
                (is_valid, "too_long", format!("have at most {max_chars} characters"))
            }
        };
        if is_valid { Ok(()) } else { Err((code, rule)) }
    }
}
