//! Query parameters of lists.

use super::text::{AuditCursorText, UserCursorText};
use crate::{
    domain::{AuditCursor, FieldError, Limit, UserCursor, UserSort},
    http::{ApiError, ApiResult},
};

/// The most items in a page, unless the query says otherwise.
pub fn default_limit() -> i64 {
    i64::try_from(Limit::default().get()).unwrap_or(i64::MAX)
}

pub fn limit(number: i64) -> ApiResult<Limit> {
    Limit::new(number).map_err(|error| ApiError::malformed_query(vec![error]))
}

pub fn user_cursor(text: Option<UserCursorText>, sort: UserSort) -> ApiResult<Option<UserCursor>> {
    let decode = |text: UserCursorText| {
        UserCursor::decode(&text.0, sort).ok_or_else(|| foreign_cursor("a list in this sort"))
    };
    text.map(decode).transpose()
}

pub fn audit_cursor(text: Option<AuditCursorText>) -> ApiResult<Option<AuditCursor>> {
    let decode =
        |text: AuditCursorText| AuditCursor::decode(&text.0).ok_or_else(|| foreign_cursor("this list"));
    text.map(decode).transpose()
}

/// A `cursor` that is no `next_cursor` of `list`.
pub fn foreign_cursor(list: &str) -> ApiError {
    let message = format!("The query parameter cursor must be a next_cursor of {list}.");
    ApiError::malformed_query(vec![FieldError::new("cursor", "invalid_cursor", message)])
}
