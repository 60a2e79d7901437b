//! PostgreSQL, the engine for several machines: threads that read and write, each with a connection of its own.

mod batch;
mod calls;
mod connection;
mod engine;
mod errors;
mod exclusive;
mod faults;
mod migrations;
mod requirements;
mod server;
mod statements;
#[cfg(test)]
mod tests;
mod tls;
mod values;
mod workers;

pub(super) use self::{
    connection::Connection,
    engine::{Engine, pending_migrations},
    errors::unexpected_value,
    exclusive::Exclusive,
    statements::shifted,
};
