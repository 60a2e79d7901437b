//! Refusals as examples for the document: each is made by the code that refuses, so that it is what a client gets.

use serde_json::Value;

use super::{
    body, error, form,
    inputs::{page::foreign_cursor, proof},
    query,
};
use crate::{
    accounts::Error as E,
    domain::{Email, FieldError, Invalid, Name, PasswordPolicy, Profile},
    http::{self, ApiError, Code},
};

/// Seconds until an address that logged in wrongly too often may try again.
const WAIT: u64 = 900;

/// How an operation of the document refuses with this code.
pub fn refusal(operation: &Value, code: Code) -> ApiError {
    let id = operation["operationId"].as_str().unwrap_or_default();
    let error = match code {
        Code::MalformedRequest => return malformed(id, operation),
        Code::ValidationFailed => return ApiError::invalid(wrong_fields(id)),
        Code::PayloadTooLarge => return http::payload_too_large(),
        Code::UnsupportedMediaType => return error::not_json(),
        Code::MethodNotAllowed => return ApiError::method_not_allowed(&["POST".to_owned()]),
        Code::RequestTimeout => return http::timeout(),
        Code::UriTooLong => return http::uri_too_long(),
        Code::HeadersTooLarge => return http::headers_too_large(),
        Code::InvalidCredentials if id == "login" => E::InvalidCredentials,
        Code::InvalidCredentials => E::WrongPassword,
        Code::VerificationFailed => E::VerificationFailed,
        Code::InvalidToken => E::InvalidToken,
        Code::InvalidRefreshToken => E::InvalidRefreshToken,
        Code::Forbidden => E::Forbidden,
        Code::AccountDisabled => E::AccountDisabled,
        Code::EmailNotVerified => E::EmailNotVerified,
        Code::NotFound => E::NotFound,
        Code::EmailTaken => E::EmailTaken,
        Code::LastAdmin => E::LastAdmin,
        Code::TooManyRequests => E::TooManyRequests { retry_after: WAIT },
        Code::Internal => E::Internal(String::new()),
        Code::Unavailable => E::Unavailable(String::new()),
        Code::StorageFull => E::StorageFull(String::new()),
    };
    error.into()
}

fn malformed(id: &str, operation: &Value) -> ApiError {
    match id {
        "list_users" => foreign_cursor("a list in this sort"),
        "list_audit" => foreign_cursor("this list"),
        _ if operation.get("requestBody").is_some() => body::not_an_object(),
        _ => query::takes_none("verbose"),
    }
}

/// Fields of this operation that break a rule.
fn wrong_fields(id: &str) -> Vec<FieldError> {
    let wrong = match id {
        "signup" => return [address("email"), new_password("password")].into_iter().flatten().collect(),
        "refresh" | "logout" => Some(form::missing("refresh_token")),
        "delete_me" => Some(form::missing("current_password")),
        "verify" => {
            let no_code = proof(Some("ann@example.com".to_owned()), None, None);
            return no_code.err().map(|Invalid(errors)| errors).unwrap_or_default();
        }
        "reset_password" | "change_password" => new_password("new_password"),
        "change_email" => address("new_email"),
        "edit_me" => Name::parse("first_name", "").err(),
        "edit_user" => Some(form::none_of("role", &["user", "admin"])),
        _ => address("email"),
    };
    wrong.into_iter().collect()
}

fn address(field: &'static str) -> Option<FieldError> {
    Email::parse(field, "ann").err()
}

fn new_password(field: &'static str) -> Option<FieldError> {
    let policy = PasswordPolicy { min_chars: 8, shop_name: String::new() };
    let email = Email::parse("email", "ann@example.com").ok()?;
    policy.check(field, "mocha", &Profile { email, first_name: None, last_name: None }).err()
}
