//! The SQLite file before it is served: created, inspected and migrated.

use std::{fs::OpenOptions, io, io::ErrorKind, path::Path};

use deadpool_sqlite::Object;
use rusqlite::{Connection, OpenFlags};

use super::{
    connection::BUSY_TIMEOUT,
    errors::failed,
    migrations::{self, Schema},
};
use crate::{
    files::{self, folder_of},
    store::open::{OpenError, OpenMode},
};

pub(in crate::store) fn exists(path: &Path) -> bool {
    path.exists()
}

/// The migrations that a file still needs; changes nothing, and creates no file.
pub(in crate::store) fn pending_migrations(path: &Path) -> Result<Vec<String>, OpenError> {
    let schema = must_exist(path).and_then(|()| inspect(path));
    match schema.map_err(|error| error.or_denied(path))? {
        Schema::Current => Ok(Vec::new()),
        Schema::Behind(names) => Ok(names),
    }
}

/// Makes sure that there is a file which this program may migrate or use.
pub(super) fn prepare(path: &Path, mode: OpenMode) -> Result<(), OpenError> {
    match mode {
        OpenMode::CreateOrMigrate => create(path).map_err(|e| failed(path, &e))?,
        OpenMode::RequireCurrent => must_exist(path)?,
    }
    inspect(path).map(|_| ())
}

/// Brings the schema up to date, if `mode` allows that; returns the migrations that were applied.
pub(super) async fn migrate(
    connection: &Object,
    path: &Path,
    mode: OpenMode,
) -> Result<Vec<String>, OpenError> {
    let owned = path.to_owned();
    let migrated =
        connection.interact(move |connection| match (migrations::inspect(connection, &owned)?, mode) {
            (Schema::Current, _) => Ok(Vec::new()),
            (Schema::Behind(_), OpenMode::CreateOrMigrate) => migrations::migrate(connection, &owned),
            (Schema::Behind(_), OpenMode::RequireCurrent) => {
                Err(OpenError::Older(owned.display().to_string()))
            }
        });
    migrated.await.unwrap_or_else(|e| Err(failed(path, &e)))
}

/// Creates the file with access for its owner alone from the first moment, and a missing folder likewise.
fn create(path: &Path) -> io::Result<()> {
    files::make_folder(folder_of(path))?;
    match files::create_new(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            OpenOptions::new().append(true).open(path).map(|_| ())
        }
        created => created.map(|_| ()),
    }
}

pub(super) fn must_exist(path: &Path) -> Result<(), OpenError> {
    match path.try_exists() {
        Ok(true) => Ok(()),
        Ok(false) => Err(OpenError::Missing(path.display().to_string())),
        Err(error) => Err(failed(path, &error)),
    }
}

/// Inspects a file without changing it: it may belong to another program.
fn inspect(path: &Path) -> Result<Schema, OpenError> {
    let open = |flags| {
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        Ok(connection)
    };
    let failed = |e: rusqlite::Error| OpenError::of(path, &e);
    let schema = migrations::inspect(&open(OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(failed)?, path);
    match schema {
        // A transaction that a killed program left unfinished must be rolled back before the file can be read.
        Err(OpenError::Failed { .. } | OpenError::Damaged { .. } | OpenError::NoDatabase(_)) => {
            migrations::inspect(&open(OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(failed)?, path)
        }
        schema => schema,
    }
}
