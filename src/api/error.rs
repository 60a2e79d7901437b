//! Errors of the API library as refusals.

use poem_openapi::{
    ApiResponse,
    error::{AuthorizationError, ContentTypeError, ParseParamError, ParsePathError},
    registry::{MetaResponses, Registry},
};

use crate::{
    core::Error,
    http::{ApiError, Code},
};

/// An error of the framework; `allowed` finds the methods of the path.
pub fn from_poem(error: poem::Error, allowed: impl FnOnce() -> Vec<String>) -> ApiError {
    if error.is::<ParsePathError>() {
        return Error::NotFound.into();
    }
    if error.is::<AuthorizationError>() {
        return Error::InvalidToken.into();
    }
    if let Some(parameter) = error.downcast_ref::<ParseParamError>() {
        let detail = format!("Invalid value for query parameter {}.", parameter.name);
        return ApiError::new(Code::MalformedRequest, detail);
    }
    if error.is::<ContentTypeError>() {
        return not_json();
    }
    ApiError::from_poem(error, allowed)
}

/// A body of another media type than JSON, or of none.
pub fn not_json() -> ApiError {
    let detail = "The body must be JSON. Send the header Content-Type: application/json.";
    ApiError::new(Code::UnsupportedMediaType, detail)
}

/// Adds no responses to the document: `refusals` does.
impl ApiResponse for ApiError {
    fn meta() -> MetaResponses {
        MetaResponses { responses: Vec::new() }
    }

    fn register(_registry: &mut Registry) {}
}
