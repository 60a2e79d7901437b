//! Examples of refusals, made by the code that refuses, so that each is what a client receives.

use serde_json::Value;

use super::{
    body, error, form,
    inputs::{page, proof},
    query, schemas,
};
use crate::{
    core::Error as E,
    domain::{Email, FieldError, Invalid, Name, PasswordPolicy, Profile},
    http::{self, ApiError, Code},
};

/// In seconds.
const RETRY_AFTER: u64 = 900;

/// The examples of an operation of the document.
pub struct Example<'a> {
    operation: &'a Value,
    schemas: &'a Value,
}

impl<'a> Example<'a> {
    pub fn new(operation: &'a Value, schemas: &'a Value) -> Self {
        Self { operation, schemas }
    }

    pub fn error(&self, code: Code) -> ApiError {
        let error = match code {
            Code::MalformedRequest => return self.malformed_request(),
            Code::ValidationFailed => return ApiError::invalid(self.invalid_fields()),
            Code::PayloadTooLarge => return http::payload_too_large(),
            Code::UnsupportedMediaType => return error::not_json(),
            Code::MethodNotAllowed => return ApiError::method_not_allowed(&["POST".to_owned()]),
            Code::RequestTimeout => return http::timeout(),
            Code::UriTooLong => return http::uri_too_long(),
            Code::HeadersTooLarge => return http::headers_too_large(),
            Code::InvalidCredentials if self.id() == "login" => E::InvalidCredentials,
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
            Code::TooManyRequests => E::TooManyRequests { retry_after: RETRY_AFTER },
            Code::Internal => E::Internal(String::new()),
            Code::Unavailable => E::Unavailable(String::new()),
            Code::OutcomeUnknown => E::OutcomeUnknown(String::new()),
            Code::StorageFull => E::StorageFull(String::new()),
        };
        error.into()
    }

    fn id(&self) -> &str {
        self.operation["operationId"].as_str().unwrap_or_default()
    }

    fn malformed_request(&self) -> ApiError {
        match self.id() {
            "list_users" => page::foreign_cursor("a list in this sort"),
            "list_audit" => page::foreign_cursor("this list"),
            _ if self.operation.get("requestBody").is_some() => body::not_an_object(),
            _ => query::refuse_any("verbose"),
        }
    }

    fn invalid_fields(&self) -> Vec<FieldError> {
        let error = match self.id() {
            "signup" => {
                return [email("email"), new_password("password")].into_iter().flatten().collect();
            }
            "verify" => {
                let without_code = proof(Some("ann@example.com".into()), None, None);
                return without_code.err().map(|Invalid(errors)| errors).unwrap_or_default();
            }
            "login" | "resend_verification" | "forgot_password" | "invite_user" => email("email"),
            "change_email" => email("new_email"),
            "reset_password" | "change_password" => new_password("new_password"),
            "edit_me" => Name::parse("first_name", "").err(),
            "edit_user" => Some(form::none_of("role", &["user", "admin"])),
            _ => self.missing_field(),
        };
        error.into_iter().collect()
    }

    /// The first required field of the body, as if it was missing.
    fn missing_field(&self) -> Option<FieldError> {
        let schema = &self.operation["requestBody"]["content"]["application/json"]["schema"];
        let schema = &self.schemas[schemas::referenced(schema)?];
        Some(form::missing(schema["required"][0].as_str()?))
    }
}

fn email(field: &'static str) -> Option<FieldError> {
    Email::parse(field, "ann").err()
}

fn new_password(field: &'static str) -> Option<FieldError> {
    let policy = PasswordPolicy { min_chars: 8, shop_name: String::new() };
    let email = Email::parse("email", "ann@example.com").ok()?;
    policy.check(field, "mocha", &Profile { email, first_name: None, last_name: None }).err()
}
