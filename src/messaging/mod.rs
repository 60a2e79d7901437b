//! Messages to users: the worker that sends what is in the outbox, and the transports that it sends with.

mod circuit_breaker;
mod configured_transport;
mod console;
mod delivery_error;
mod file;
mod mail;
mod outbox;
mod retry;
mod smtp;
mod texts;
mod transport;
mod worker;

pub use self::{
    configured_transport::ConfiguredTransport,
    console::ConsoleTransport,
    delivery_error::DeliveryError,
    outbox::{Capacity, LEASE, Outbox, OutboxMessage, Retried},
    transport::Transport,
    worker::Worker,
};
