//! Connections to the file: each with the same pragmas, one that can write and others that can only read.

use std::{
    path::Path,
    thread,
    time::{Duration, Instant},
};

use deadpool_sqlite::{Hook, HookError, Object, Pool, Runtime};
use rusqlite::{Connection, ErrorCode, config::DbConfig};

/// Set on every connection, in this order, and read back. A lock is waited for from the first statement on.
const PRAGMAS: [(&str, &str); 11] = [
    ("busy_timeout", "5000"),
    ("journal_mode", "wal"),
    ("synchronous", "2"), // FULL: a commit is on the disk when it returns
    ("foreign_keys", "1"),
    ("trusted_schema", "0"),
    ("secure_delete", "1"), // who was deleted is not left in free pages
    ("cell_size_check", "1"),
    ("mmap_size", "0"),
    ("temp_store", "2"), // in memory: the container has no writable folder but the volume
    ("wal_autocheckpoint", "1000"),
    ("journal_size_limit", "4194304"), // as long as the log is when it is written back
];

/// How long to wait for a lock; the pragma above says it to SQLite.
pub(in crate::store) const BUSY: Duration = Duration::from_secs(5);

/// Connections to the file at `path`, each with the pragmas set, `size` at most.
pub(in crate::store) fn pool(path: &Path, size: usize) -> Result<Pool, String> {
    let configure = Hook::async_fn(|connection, _| {
        Box::pin(async move {
            let configured = connection.interact(|connection| configure(connection)).await;
            configured.map_err(|e| HookError::message(e.to_string()))?.map_err(HookError::message)
        })
    });
    let builder = deadpool_sqlite::Config::new(path).builder(Runtime::Tokio1).map_err(|e| e.to_string())?;
    builder.max_size(size).post_create(configure).build().map_err(|e| e.to_string())
}

/// One of them.
pub(in crate::store) async fn connection(pool: &Pool) -> Result<Object, String> {
    pool.get().await.map_err(|error| match error {
        deadpool_sqlite::PoolError::Backend(error) => error.to_string(),
        error => error.to_string(),
    })
}

/// Sets the pragmas, and reads them back.
pub(in crate::store) fn configure(connection: &Connection) -> Result<(), String> {
    connection.set_prepared_statement_cache_capacity(128);
    // Without this SQLite looks at the value of a limit when it plans, and so plans every statement anew that has one,
    // each time it is run.
    let stable_plans = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true);
    stable_plans.map_err(|e| format!("stable query plans: {e}"))?;
    for (name, wanted) in PRAGMAS {
        set(connection, name, wanted).map_err(|e| format!("PRAGMA {name}: {e}"))?;
        let found = connection.pragma_query_value(None, name, |row| row.get::<_, rusqlite::types::Value>(0));
        let found = match found {
            Ok(rusqlite::types::Value::Integer(number)) => number.to_string(),
            Ok(rusqlite::types::Value::Text(text)) => text,
            Ok(_) => String::new(),
            // mmap_size says nothing where it is compiled out or off already.
            Err(rusqlite::Error::QueryReturnedNoRows) => wanted.to_owned(),
            Err(error) => return Err(format!("PRAGMA {name}: {error}")),
        };
        if found != wanted {
            return Err(format!("PRAGMA {name} is {found} and cannot be set to {wanted}"));
        }
    }
    Ok(())
}

/// Sets a pragma. For the log that another server makes at the same moment SQLite does not wait by itself.
fn set(connection: &Connection, name: &str, wanted: &str) -> rusqlite::Result<()> {
    let start = Instant::now();
    loop {
        match connection.pragma_update(None, name, wanted) {
            Err(error)
                if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) && start.elapsed() < BUSY =>
            {
                thread::sleep(Duration::from_millis(10));
            }
            done => return done,
        }
    }
}

/// Makes sure that a connection which is meant to write can: what cannot be opened for writing, the file, its log or
/// their shared memory, SQLite opens for reading and says nothing.
pub(in crate::store) async fn can_write(connection: &Object) -> Result<(), String> {
    let probe = |connection: &mut Connection| {
        let tried = connection.execute_batch("BEGIN IMMEDIATE; ROLLBACK");
        // That another connection writes just now is another matter.
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

/// Makes sure that a connection which is meant to read can do nothing else.
pub(in crate::store) async fn only_reads(connection: &Object) -> Result<(), String> {
    let set = connection.interact(|connection| connection.pragma_update(None, "query_only", true)).await;
    set.map_err(|e| e.to_string())?.map_err(|e| e.to_string())
}
