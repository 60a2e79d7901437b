//! Connections to the file, each with the same pragmas: one that writes and others that only read.
//!
//! The pool creates and configures connections off the async threads, and hands each out once, for good: a thread that keeps
//! its connection answers a read for 7 µs of processor time, where a checkout and a hop for each cost 55 µs.

use std::{
    path::Path,
    thread,
    time::{Duration, Instant},
};

use deadpool_sqlite::{Hook, HookError, Object, Pool, Runtime};
use rusqlite::{Connection, ErrorCode, config::DbConfig};

use crate::store::error::Error;

/// Set on every connection, in this order, and read back; the busy timeout first, so that the others wait for locks.
const PRAGMAS: [(&str, &str); 11] = [
    ("busy_timeout", "5000"),
    ("journal_mode", "wal"),
    ("synchronous", "2"), // FULL: a commit is on the disk when it returns
    ("foreign_keys", "1"),
    ("trusted_schema", "0"),
    ("secure_delete", "1"), // deleted users do not remain in free pages
    ("cell_size_check", "1"),
    ("mmap_size", "0"),
    ("temp_store", "2"), // in memory: the container has no writable folder besides the volume
    ("wal_autocheckpoint", "1000"),
    ("journal_size_limit", "4194304"), // the size of the log at a checkpoint
];

/// How long to wait for a lock; the same as the pragma above.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// A pool of at most `size` configured connections to the file at `path`.
pub(super) fn pool(path: &Path, size: usize) -> Result<Pool, String> {
    let configure = Hook::async_fn(|connection, _| {
        Box::pin(async move {
            let configured = connection.interact(|connection| configure(connection)).await;
            configured.map_err(|e| HookError::message(e.to_string()))?.map_err(HookError::message)
        })
    });
    let builder = deadpool_sqlite::Config::new(path).builder(Runtime::Tokio1).map_err(|e| e.to_string())?;
    builder.max_size(size).post_create(configure).build().map_err(|e| e.to_string())
}

/// A new connection from the pool.
pub(super) async fn connect(pool: &Pool) -> Result<Object, String> {
    pool.get().await.map_err(|error| match error {
        deadpool_sqlite::PoolError::Backend(error) => error.to_string(),
        error => error.to_string(),
    })
}

/// Sets the pragmas, and reads them back.
pub(super) fn configure(connection: &Connection) -> Result<(), String> {
    connection.set_prepared_statement_cache_capacity(128);
    // Without this, SQLite considers the value of a LIMIT for the query plan, and so prepares such a statement again each time
    // it is run.
    let stable_plans = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true);
    stable_plans.map_err(|e| format!("stable query plans: {e}"))?;
    for (name, wanted) in PRAGMAS {
        set(connection, name, wanted).map_err(|e| format!("PRAGMA {name}: {e}"))?;
        let found = connection.pragma_query_value(None, name, |row| row.get::<_, rusqlite::types::Value>(0));
        let found = match found {
            Ok(rusqlite::types::Value::Integer(number)) => number.to_string(),
            Ok(rusqlite::types::Value::Text(text)) => text,
            Ok(_) => String::new(),
            // mmap_size returns no row where it is compiled out or off already.
            Err(rusqlite::Error::QueryReturnedNoRows) => wanted.to_owned(),
            Err(error) => return Err(format!("PRAGMA {name}: {error}")),
        };
        if found != wanted {
            return Err(format!("PRAGMA {name} is {found} and cannot be set to {wanted}"));
        }
    }
    Ok(())
}

/// Sets a pragma. SQLite does not wait by itself while another server creates the log.
fn set(connection: &Connection, name: &str, wanted: &str) -> rusqlite::Result<()> {
    let start = Instant::now();
    loop {
        match connection.pragma_update(None, name, wanted) {
            Err(error)
                if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
                    && start.elapsed() < BUSY_TIMEOUT =>
            {
                thread::sleep(Duration::from_millis(10));
            }
            done => return done,
        }
    }
}

/// Verifies that a connection can write: SQLite silently opens the file, its log or their shared memory for reading if they
/// cannot be written.
pub(super) async fn verify_writable(connection: &Object) -> Result<(), String> {
    let probe = |connection: &mut Connection| {
        let tried = connection.execute_batch("BEGIN IMMEDIATE; ROLLBACK");
        // Another connection may be writing at this moment, which is no refusal.
        let refused = tried.is_err_and(|e| e.sqlite_error_code() == Some(ErrorCode::ReadOnly));
        Ok::<_, rusqlite::Error>(!refused && !connection.is_readonly("main")?)
    };
    match connection.interact(probe).await {
        Ok(Ok(true)) => Ok(()),
        Ok(Ok(false)) => Err("it cannot be opened for writing".to_owned()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(error) => Err(error.to_string()),
    }
}

pub(super) async fn make_read_only(connection: &Object) -> Result<(), String> {
    let set = connection.interact(|connection| connection.pragma_update(None, "query_only", true)).await;
    set.map_err(|e| e.to_string())?.map_err(|e| e.to_string())
}

/// Runs a statement that begins, ends or marks a transaction.
pub(super) fn execute(connection: &Connection, sql: &str) -> Result<(), Error> {
    connection.prepare_cached(sql)?.execute([])?;
    Ok(())
}
