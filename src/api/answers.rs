//! Answers that more than one noun gives.

use poem::{IntoResponse, Response, http::header};
use poem_openapi::{
    ApiResponse,
    payload::{self, Payload},
    registry::{MetaResponses, MetaSchemaRef, Registry},
    types::{ToJSON, Type},
};
use serde::Serialize;

/// A value as JSON, written as it is: the library's own payload first makes a tree of it, which for a page of users
/// takes longer than reading them.
pub struct Json<T>(pub T);

impl<T: Type + Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        // What is shown is made of strings, numbers and words: there is nothing in it that JSON has no form for.
        let mut body = Vec::with_capacity(512);
        let _ = serde_json::to_writer(&mut body, &self.0);
        Response::builder().header(header::CONTENT_TYPE, "application/json").body(body)
    }
}

impl<T: Type + ToJSON + Serialize> Payload for Json<T> {
    const CONTENT_TYPE: &'static str = payload::Json::<T>::CONTENT_TYPE;

    fn schema_ref() -> MetaSchemaRef {
        payload::Json::<T>::schema_ref()
    }

    fn register(registry: &mut Registry) {
        <payload::Json<T> as Payload>::register(registry);
    }
}

impl<T: Type + ToJSON + Serialize> ApiResponse for Json<T> {
    fn meta() -> MetaResponses {
        payload::Json::<T>::meta()
    }

    fn register(registry: &mut Registry) {
        <payload::Json<T> as ApiResponse>::register(registry);
    }
}

/// Nothing to say but that it was done.
#[derive(ApiResponse)]
pub enum NoContent {
    /// Done. There is no body.
    #[oai(status = 204)]
    Done,
}

/// Nothing to say, on purpose: the answer is the same whether or not anything happened.
#[derive(ApiResponse)]
pub enum Accepted {
    /// Accepted. The answer is the same for every address, so that it does not reveal which addresses have an account.
    #[oai(status = 202)]
    Noted,
}
