//! SQLite, the embedded engine: one thread that writes, a few that read, one file.

mod arrival_order;
mod change_counter;
mod connection;
mod dedicated_connection;
mod disk_reserve;
mod engine;
mod errors;
mod exclusive;
mod file;
mod integrity_check;
mod migrations;
mod readers;
pub(super) mod statements;
#[cfg(test)]
pub(super) mod testing;
mod writer;

pub use self::change_counter::Version;
pub(super) use self::{
    engine::{Engine, version},
    exclusive::Exclusive,
    file::{exists, pending_migrations},
};
