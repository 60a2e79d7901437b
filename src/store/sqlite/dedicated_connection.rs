//! A connection that one thread owns until it ends.

use std::{mem, ops::DerefMut, sync::Arc};

use deadpool_sqlite::Object;
use rusqlite::Connection;

use super::change_counter::ChangeCounter;

/// A connection that does not return to its pool.
pub(super) struct DedicatedConnection {
    connection: Object,
    /// Dropped after the connection is closed.
    _change_counter: Arc<ChangeCounter>,
}

impl DedicatedConnection {
    pub(super) fn new(connection: Object, change_counter: &Arc<ChangeCounter>) -> Self {
        Self { connection, _change_counter: Arc::clone(change_counter) }
    }

    /// None if a closure that used it has panicked.
    pub(super) fn lock(&self) -> Option<impl DerefMut<Target = Connection>> {
        self.connection.lock().ok()
    }
}

impl Drop for DedicatedConnection {
    fn drop(&mut self) {
        // Closes it here: the pool's wrapper would do so later, on a thread of its own.
        if let (Ok(mut connection), Ok(empty)) = (self.connection.lock(), Connection::open_in_memory()) {
            drop(mem::replace(&mut *connection, empty));
        }
    }
}
