//! Answers that several nouns give.

use std::marker::PhantomData;

use poem::{IntoResponse, Response, http::header};
use poem_openapi::{
    ApiResponse,
    payload::Payload,
    registry::{MetaMediaType, MetaResponse, MetaResponses, MetaSchemaRef, Registry},
    types::Type,
};
use serde::Serialize;

/// JSON is UTF-8; the media type has no charset (RFC 8259, section 11).
const MEDIA_TYPE: &str = "application/json";

/// A value as JSON. The library's own payload first builds a tree of values, which takes longer for a page of users than
/// reading them from the store.
pub struct Json<T>(pub T);

/// A value that is serialized already, where it takes long enough to do that on another thread.
pub struct SerializedJson<T> {
    body: Vec<u8>,
    of: PhantomData<T>,
}

#[derive(ApiResponse)]
pub enum NoContent {
    /// Done. There is no body.
    #[oai(status = 204)]
    Done,
}

/// An answer that does not tell whether anything was done.
#[derive(ApiResponse)]
pub enum Accepted {
    /// Accepted. The answer is the same for every address, so that it does not reveal which addresses have an account.
    #[oai(status = 202)]
    Hidden,
}

impl<T: Serialize> SerializedJson<T> {
    pub fn new(value: &T) -> Self {
        let mut body = Vec::with_capacity(512);
        // Views consist of strings, numbers and booleans, for which this cannot fail.
        let _ = serde_json::to_writer(&mut body, value);
        Self { body, of: PhantomData }
    }
}

impl<T: Serialize + Send> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        SerializedJson::new(&self.0).into_response()
    }
}

impl<T: Send> IntoResponse for SerializedJson<T> {
    fn into_response(self) -> Response {
        Response::builder().header(header::CONTENT_TYPE, MEDIA_TYPE).body(self.body)
    }
}

impl<T: Type + Serialize> Payload for Json<T> {
    const CONTENT_TYPE: &'static str = MEDIA_TYPE;

    fn schema_ref() -> MetaSchemaRef {
        T::schema_ref()
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }
}

impl<T: Type + Serialize> ApiResponse for Json<T> {
    fn meta() -> MetaResponses {
        success::<T>()
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }
}

impl<T: Type + Serialize> ApiResponse for SerializedJson<T> {
    fn meta() -> MetaResponses {
        success::<T>()
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }
}

fn success<T: Type>() -> MetaResponses {
    let content = vec![MetaMediaType { content_type: MEDIA_TYPE, schema: T::schema_ref() }];
    let response = MetaResponse {
        description: "Success.",
        status: Some(200),
        status_range: None,
        content,
        headers: Vec::new(),
    };
    MetaResponses { responses: vec![response] }
}
