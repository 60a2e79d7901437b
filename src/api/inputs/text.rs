//! Strings of a limited length. The schema documents the limit, and the form of the body or the query is checked with it.

use std::borrow::Cow;

use poem_openapi::{
    registry::{MetaSchema, MetaSchemaRef},
    types::{ParseError, ParseFromJSON, ParseFromParameter, ParseResult, ToJSON, Type},
};
use serde_json::Value;

use crate::domain::{Email, Name, Password};

/// A string of at most `MAX` characters.
pub struct Text<const MAX: usize>(pub String);

pub type EmailText = Text<{ Email::MAX_BYTES }>;
/// Words to search for in addresses and names.
pub type SearchText = Text<{ Email::MAX_BYTES }>;
pub type NameText = Text<{ Name::MAX_CHARS }>;
pub type PasswordText = Text<{ Password::MAX_CHARS }>;
/// A code with spaces and punctuation around its digits.
pub type CodeText = Text<64>;
/// A link token, or a whole link.
pub type LinkText = Text<2048>;
pub type RefreshTokenText = Text<4096>;
pub type UserCursorText = Text<1024>;
pub type AuditCursorText = Text<64>;

impl<const MAX: usize> From<&str> for Text<MAX> {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl<const MAX: usize> Type for Text<MAX> {
    const IS_REQUIRED: bool = true;

    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> Cow<'static, str> {
        format!("string_{MAX}").into()
    }

    fn schema_ref() -> MetaSchemaRef {
        MetaSchemaRef::Inline(Box::new(MetaSchema { max_length: Some(MAX), ..MetaSchema::new("string") }))
    }

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
        Box::new(std::iter::once(self))
    }
}

impl<const MAX: usize> ParseFromJSON for Text<MAX> {
    fn parse_from_json(value: Option<Value>) -> ParseResult<Self> {
        match value {
            Some(Value::String(text)) => Ok(Self(text)),
            other => Err(ParseError::expected_type(other.unwrap_or_default())),
        }
    }
}

impl<const MAX: usize> ParseFromParameter for Text<MAX> {
    fn parse_from_parameter(value: &str) -> ParseResult<Self> {
        Ok(value.into())
    }
}

impl<const MAX: usize> ToJSON for Text<MAX> {
    fn to_json(&self) -> Option<Value> {
        Some(Value::String(self.0.clone()))
    }
}
