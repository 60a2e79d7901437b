//! SQLite, the embedded engine: connections, threads, migrations, and what proves the file sound.

pub(super) mod change_counter;
pub(super) mod connection;
pub(super) mod dedicated_connection;
pub(super) mod disk_reserve;
pub(super) mod integrity_check;
pub(super) mod migrations;
pub(super) mod readers;
pub(super) mod writer;
