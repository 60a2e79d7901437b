//! How values look outside, where more than one noun shows them.

use std::borrow::Cow;

use poem_openapi::{
    Enum,
    registry::{MetaSchema, MetaSchemaRef},
    types::{ParseError, ParseFromJSON, ParseResult, ToJSON, Type},
};
use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::{
    domain::{self, Word},
    http::{ApiError, ApiResult},
};

/// How many items a page has at most, in a query.
pub mod limit {
    use super::{ApiError, ApiResult, domain::Limit};

    /// If nothing is said.
    pub fn default() -> i64 {
        i64::try_from(Limit::default().get()).unwrap_or(i64::MAX)
    }

    /// What was said.
    pub fn parse(limit: i64) -> ApiResult<Limit> {
        Limit::new(limit).map_err(|error| ApiError::malformed_query(vec![error]))
    }
}

/// Where a page starts, in a query.
pub mod cursor {
    use super::ApiError;
    use crate::domain::FieldError;

    /// It is not a `next_cursor` of `list`.
    pub fn foreign(list: &str) -> ApiError {
        let message = format!("The query parameter cursor must be a next_cursor of {list}.");
        ApiError::malformed_query(vec![FieldError::new("cursor", "invalid_cursor", message)])
    }
}

/// What a user may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum, Serialize)]
#[serde(rename_all = "lowercase")]
#[oai(rename_all = "lowercase", remote = "domain::Role")]
pub enum Role {
    User,
    Admin,
}

/// Whether a user has confirmed the e-mail address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum, Serialize)]
#[serde(rename_all = "lowercase")]
#[oai(rename_all = "lowercase", remote = "domain::Status")]
pub enum Status {
    Unverified,
    Verified,
}

/// Where a change was made: over HTTP, on a page, on the command line, or in a scheduled job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename_all = "lowercase", remote = "domain::Channel")]
pub enum Channel {
    Api,
    Page,
    /// Reserved for the web console.
    Console,
    Cli,
    Job,
}

/// What was done to an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(remote = "domain::Action")]
pub enum Action {
    #[oai(rename = "user.signed_up")]
    UserSignedUp,
    #[oai(rename = "user.invited")]
    UserInvited,
    #[oai(rename = "user.created")]
    UserCreated,
    #[oai(rename = "user.verified")]
    UserVerified,
    #[oai(rename = "user.edited")]
    UserEdited,
    #[oai(rename = "user.deleted")]
    UserDeleted,
    #[oai(rename = "user.expired")]
    UserExpired,
    #[oai(rename = "user.rejected")]
    UserRejected,
    #[oai(rename = "invitation.accepted")]
    InvitationAccepted,
    #[oai(rename = "email.change_requested")]
    EmailChangeRequested,
    #[oai(rename = "email.change_cancelled")]
    EmailChangeCancelled,
    #[oai(rename = "email.changed")]
    EmailChanged,
    #[oai(rename = "password.reset_requested")]
    PasswordResetRequested,
    #[oai(rename = "password.reset_link_created")]
    PasswordResetLinkCreated,
    #[oai(rename = "password.reset")]
    PasswordReset,
    #[oai(rename = "password.changed")]
    PasswordChanged,
    #[oai(rename = "session.started")]
    SessionStarted,
    #[oai(rename = "session.ended")]
    SessionEnded,
    #[oai(rename = "session.refresh_reuse_detected")]
    SessionRefreshReuseDetected,
    #[oai(rename = "sessions.ended")]
    SessionsEnded,
}

impl Serialize for Channel {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(domain::Channel::from(*self).word())
    }
}

impl Serialize for Action {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(domain::Action::from(*self).word())
    }
}

/// The order of a list of users.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(remote = "domain::UserSort")]
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
pub struct Time(pub domain::Timestamp);

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

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// Times only go out; this is asked for by the derive of objects.
impl ParseFromJSON for Time {
    fn parse_from_json(value: Option<Value>) -> ParseResult<Self> {
        Err(ParseError::expected_type(value.unwrap_or_default()))
    }
}
