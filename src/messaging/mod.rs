//! Messages to users: the worker that sends what is in the outbox, and the transports that it sends with.

mod circuit_breaker;
mod console;
mod delivery_error;
mod file;
mod mail;
mod retry;
mod smtp;
mod texts;
mod transport;
mod transports;
mod worker;

pub use self::{
    circuit_breaker::CircuitBreaker,
    console::ConsoleTransport,
    delivery_error::DeliveryError,
    retry::{LONGEST_PAUSE, LONGEST_UNCONFIRMED_PAUSE, Scope, retry_delay},
    transport::Transport,
    transports::ConfiguredTransport,
    worker::Worker,
};
