//! A connection that one thread owns until it ends.

use std::{mem, ops::DerefMut, sync::Arc};

use deadpool_sqlite::Object;
use rusqlite::Connection;

use super::change_counter::ChangeCounter;

/// A connection of the pool's, taken out of it for good.
pub(in crate::store) struct DedicatedConnection {
    connection: Object,
    /// Let go of after the connection is closed.
    _versions: Arc<ChangeCounter>,
}

impl DedicatedConnection {
    pub(in crate::store) fn new(connection: Object, change_counter: &Arc<ChangeCounter>) -> Self {
        Self { connection, _versions: Arc::clone(change_counter) }
    }

    /// The connection; none if something that had it has panicked.
    pub(in crate::store) fn lock(&self) -> Option<impl DerefMut<Target = Connection>> {
        self.connection.lock().ok()
    }
}

impl Drop for DedicatedConnection {
    fn drop(&mut self) {
        // Here and now: the pool's wrapper would do it some time later, on a thread of its own.
        if let (Ok(mut connection), Ok(nothing)) = (self.connection.lock(), Connection::open_in_memory()) {
            drop(mem::replace(&mut *connection, nothing));
        }
    }
}
