//! Connections: accepted, limited in number and time, and handed to the endpoint.

mod connection;
mod connection_limiter;
mod listener;

pub use self::listener::Listener;
