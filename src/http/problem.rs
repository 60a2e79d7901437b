//! Refusals as problem details (RFC 9457): the one table of codes, statuses and titles, and which error gets which.

use poem::{
    Response,
    error::{MethodNotAllowedError, NotFoundError, ResponseError},
    http::{HeaderName, StatusCode, header},
};
use serde_json::{Value, json};

use crate::{
    core,
    domain::{FieldError, VariantArray},
};

/// In seconds, where the server does not know better.
const RETRY_AFTER: u64 = 2;

pub type ApiResult<T> = Result<T, ApiError>;

/// Why a request was refused, for programs: codes do not change. In the order of their statuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, VariantArray)]
pub enum Code {
    MalformedRequest,
    VerificationFailed,
    InvalidCredentials,
    InvalidToken,
    InvalidRefreshToken,
    Forbidden,
    AccountDisabled,
    EmailNotVerified,
    NotFound,
    MethodNotAllowed,
    EmailTaken,
    LastAdmin,
    PayloadTooLarge,
    UnsupportedMediaType,
    ValidationFailed,
    RequestTimeout,
    UriTooLong,
    HeadersTooLarge,
    TooManyRequests,
    Internal,
    Unavailable,
    OutcomeUnknown,
    StorageFull,
}

impl Code {
    #[must_use]
    pub const fn status(self) -> StatusCode {
        self.describe().0
    }

    /// The code as clients see it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.describe().1
    }

    /// The kind of problem in a few words.
    #[must_use]
    pub const fn title(self) -> &'static str {
        self.describe().2
    }

    const fn describe(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::MalformedRequest => (StatusCode::BAD_REQUEST, "malformed_request", "Malformed request"),
            Self::VerificationFailed => {
                (StatusCode::BAD_REQUEST, "verification_failed", "Verification failed")
            }
            Self::InvalidCredentials => {
                (StatusCode::UNAUTHORIZED, "invalid_credentials", "Invalid credentials")
            }
            Self::InvalidToken => (StatusCode::UNAUTHORIZED, "invalid_token", "Invalid access token"),
            Self::InvalidRefreshToken => {
                (StatusCode::UNAUTHORIZED, "invalid_refresh_token", "Invalid refresh token")
            }
            Self::Forbidden => (StatusCode::FORBIDDEN, "forbidden", "Not allowed"),
            Self::AccountDisabled => (StatusCode::FORBIDDEN, "account_disabled", "Account disabled"),
            Self::EmailNotVerified => (StatusCode::FORBIDDEN, "email_not_verified", "E-mail not verified"),
            Self::NotFound => (StatusCode::NOT_FOUND, "not_found", "Not found"),
            Self::MethodNotAllowed => {
                (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "Method not allowed")
            }
            Self::EmailTaken => (StatusCode::CONFLICT, "email_taken", "E-mail taken"),
            Self::LastAdmin => (StatusCode::CONFLICT, "last_admin", "Last admin"),
            Self::PayloadTooLarge => {
                (StatusCode::PAYLOAD_TOO_LARGE, "payload_too_large", "Payload too large")
            }
            Self::UnsupportedMediaType => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", "Unsupported media type")
            }
            Self::ValidationFailed => {
                (StatusCode::UNPROCESSABLE_ENTITY, "validation_failed", "Validation failed")
            }
            Self::RequestTimeout => (StatusCode::REQUEST_TIMEOUT, "request_timeout", "Request timeout"),
            Self::UriTooLong => (StatusCode::URI_TOO_LONG, "uri_too_long", "URI too long"),
            Self::HeadersTooLarge => {
                (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "headers_too_large", "Headers too large")
            }
            Self::TooManyRequests => {
                (StatusCode::TOO_MANY_REQUESTS, "too_many_requests", "Too many requests")
            }
            Self::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal", "Internal error"),
            Self::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Service unavailable"),
            Self::OutcomeUnknown => (StatusCode::SERVICE_UNAVAILABLE, "outcome_unknown", "Outcome unknown"),
            Self::StorageFull => (StatusCode::INSUFFICIENT_STORAGE, "storage_full", "Storage full"),
        }
    }
}

/// A refusal on its way to the client.
#[derive(Debug)]
pub struct ApiError {
    pub code: Code,
    detail: String,
    errors: Vec<FieldError>,
    retry_after: Option<u64>,
    allow: Option<String>,
    /// For the log only.
    pub cause: Option<String>,
}

impl ApiError {
    /// `detail` is a sentence for a person: what is wrong, and what to do next.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), errors: Vec::new(), retry_after: None, allow: None, cause: None }
    }

    #[must_use]
    pub fn invalid(errors: Vec<FieldError>) -> Self {
        Self::of_fields(Code::ValidationFailed, "fields", errors)
    }

    #[must_use]
    pub fn malformed_query(errors: Vec<FieldError>) -> Self {
        Self::of_fields(Code::MalformedRequest, "query parameters", errors)
    }

    fn of_fields(code: Code, nouns: &str, errors: Vec<FieldError>) -> Self {
        let detail = match errors.as_slice() {
            [only] => only.message.clone(),
            several => format!("{} {nouns} are invalid; errors names each one.", several.len()),
        };
        Self { errors, ..Self::new(code, detail) }
    }

    /// `allowed` are the methods of the path.
    #[must_use]
    pub fn method_not_allowed(allowed: &[String]) -> Self {
        let allow = allowed.join(", ");
        let detail = format!("This path supports the methods {allow}.");
        Self { allow: Some(allow), ..Self::new(Code::MethodNotAllowed, detail) }
    }

    /// A refusal on its way through poem, or one of poem's own; `allowed` finds the methods of the path, which a `405` names.
    #[must_use]
    pub fn from_poem(error: poem::Error, allowed: impl FnOnce() -> Vec<String>) -> Self {
        let error = match error.downcast::<Self>() {
            Ok(ours) => return ours,
            Err(theirs) => theirs,
        };
        if error.is::<NotFoundError>() {
            return Self::new(
                Code::NotFound,
                "There is nothing at this path. The documentation at /docs lists all paths.",
            );
        }
        if error.is::<MethodNotAllowedError>() {
            return Self::method_not_allowed(&allowed());
        }
        if error.status().is_client_error() {
            return Self::new(Code::MalformedRequest, "The request is malformed.");
        }
        Self::internal(error.to_string())
    }

    /// A defect; the cause is logged.
    #[must_use]
    pub fn internal(cause: String) -> Self {
        core::Error::Internal(cause).into()
    }

    /// The answer; its extensions have the code, for the log.
    pub fn into_answer(self, request_id: &str) -> Response {
        let problem = self.problem(request_id);
        let (status, code) = (self.code.status(), self.code.as_str());
        let mut answer =
            Response::builder().status(status).content_type("application/problem+json").extension(self.code);
        if status == StatusCode::UNAUTHORIZED {
            // RFC 6750, section 3: the error code is for access tokens only.
            let scheme = if code == "invalid_token" { "Bearer error=\"invalid_token\"" } else { "Bearer" };
            answer = answer.header(header::WWW_AUTHENTICATE, scheme);
        }
        let retry_after = self.retry_after.map(|seconds| (header::RETRY_AFTER, seconds.to_string()));
        let allow = self.allow.map(|methods| (header::ALLOW, methods));
        for (name, value) in [retry_after, allow].into_iter().flatten() {
            let name: HeaderName = name;
            answer = answer.header(name, value);
        }
        answer.body(problem.to_string())
    }

    /// The body of the answer.
    pub fn problem(&self, request_id: &str) -> Value {
        let (status, code, title) = self.code.describe();
        let mut problem = json!({
            "type": "about:blank",
            "title": title,
            "status": status.as_u16(),
            "detail": self.detail,
            "code": code,
            "request_id": request_id,
        });
        if !self.errors.is_empty() {
            problem["errors"] = self.errors.iter().map(field_problem).collect();
        }
        problem
    }
}

fn field_problem(error: &FieldError) -> Value {
    json!({ "field": error.field, "code": error.code, "message": error.message })
}

impl From<core::Error> for ApiError {
    fn from(error: core::Error) -> Self {
        use core::Error as E;
        let detail = error.to_string();
        let (code, retry_after, cause) = match error {
            E::Invalid(invalid) => return Self::invalid(invalid.0),
            E::InvalidCredentials | E::WrongPassword => (Code::InvalidCredentials, None, None),
            E::InvalidToken => (Code::InvalidToken, None, None),
            E::InvalidRefreshToken => (Code::InvalidRefreshToken, None, None),
            E::VerificationFailed => (Code::VerificationFailed, None, None),
            E::Forbidden => (Code::Forbidden, None, None),
            E::AccountDisabled => (Code::AccountDisabled, None, None),
            E::EmailNotVerified => (Code::EmailNotVerified, None, None),
            E::NotFound => (Code::NotFound, None, None),
            E::EmailTaken => (Code::EmailTaken, None, None),
            E::LastAdmin => (Code::LastAdmin, None, None),
            E::TooManyRequests { retry_after } => (Code::TooManyRequests, Some(retry_after), None),
            E::Busy => (Code::Unavailable, Some(RETRY_AFTER), None),
            E::Unavailable(cause) => (Code::Unavailable, Some(RETRY_AFTER), Some(cause)),
            E::OutcomeUnknown(cause) => (Code::OutcomeUnknown, Some(RETRY_AFTER), Some(cause)),
            E::StorageFull(cause) => (Code::StorageFull, Some(RETRY_AFTER), Some(cause)),
            E::Internal(cause) => (Code::Internal, None, Some(cause)),
        };
        Self { retry_after, cause, ..Self::new(code, detail) }
    }
}

impl From<crate::domain::Invalid> for ApiError {
    fn from(invalid: crate::domain::Invalid) -> Self {
        Self::invalid(invalid.0)
    }
}

impl std::fmt::Display for ApiError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for ApiError {}

/// Lets a refusal pass through poem; the middleware turns it into the answer.
impl ResponseError for ApiError {
    fn status(&self) -> StatusCode {
        self.code.status()
    }
}
