//! Messages to users: the worker that sends what is in the outbox, and the transports that it sends with.

mod circuit_breaker;
mod console;
mod delivery_error;
mod file;
mod mail;
mod outbox;
mod retry;
mod smtp;
mod texts;
mod transport;
mod transports;
mod worker;

pub use self::{
    console::ConsoleTransport,
    delivery_error::DeliveryError,
    outbox::{Capacity, LEASE, Outbox, OutboxMessage, Retried},
    transport::Transport,
    transports::ConfiguredTransport,
    worker::Worker,
};
