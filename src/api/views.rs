//! How values look outside, where more than one noun shows them.

use std::borrow::Cow;

use poem_openapi::{
    Enum,
    registry::{MetaSchema, MetaSchemaRef},
    types::{ParseError, ParseFromJSON, ParseResult, ToJSON, Type},
};
use serde_json::Value;

use crate::model;

/// What a user may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename_all = "lowercase", remote = "model::Role")]
pub enum Role {
    User,
    Admin,
}

/// Whether a user has proven to own the address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename_all = "lowercase", remote = "model::Status")]
pub enum Status {
    Unverified,
    Verified,
}

/// The order of a list of users.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(remote = "model::UserSort")]
pub enum UserSort {
    #[oai(rename = "-created_at")]
    NewestFirst,
    #[oai(rename = "created_at")]
    OldestFirst,
    #[oai(rename = "email")]
    EmailUp,
    #[oai(rename = "-email")]
    EmailDown,
}

/// An instant, as RFC 3339 in UTC with milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Time(pub model::Timestamp);

impl Type for Time {
    const IS_REQUIRED: bool = true;

    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> Cow<'static, str> {
        "string_date-time".into()
    }

    fn schema_ref() -> MetaSchemaRef {
        MetaSchemaRef::Inline(Box::new(MetaSchema::new_with_format("string", "date-time")))
    }

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
        Box::new(std::iter::once(self))
    }
}

impl ToJSON for Time {
    fn to_json(&self) -> Option<Value> {
        Some(Value::String(self.0.to_string()))
    }
}

/// Times only go out; this is asked for by the derive of objects.
impl ParseFromJSON for Time {
    fn parse_from_json(value: Option<Value>) -> ParseResult<Self> {
        Err(ParseError::expected_type(value.unwrap_or_default()))
    }
}
