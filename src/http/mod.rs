//! Connections and requests: the listener with its limits and timeouts, and what every answer has in common.

mod body;
mod connection;
mod connection_limiter;
mod cors;
pub mod headers;
mod listener;
mod middleware;
mod origin;
mod problem;

pub use self::{
    body::{MAX_BODY_BYTES, has_media_type, payload_too_large, read_body},
    cors::Cors,
    listener::serve,
    middleware::{ErrorPages, RequestMiddleware, headers_too_large, timeout, uri_too_long},
    origin::{MAX_USER_AGENT_CHARS, Proxies, RequestOrigin, origin},
    problem::{ApiError, ApiResult, Code},
};
