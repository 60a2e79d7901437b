//! The schema of a file, and its migrations to the newest one.

use std::{fs::File, path::Path};

use refinery::Migration;
use rusqlite::{Connection, functions::FunctionFlags};
use uuid::Uuid;

use super::errors::failed;
use crate::{
    domain::{Email, Name, Profile},
    files::folder_of,
    store::{open::OpenError, tx::Snapshot},
};

mod embedded {
    refinery::embed_migrations!("migrations/sqlite");
}

/// "Coff", as the first migration writes it.
const APPLICATION_ID: i32 = 0x436f_6666;

const OLD_ADDRESSES: &str = "these users, and perhaps more, have an address that is not accepted any more, since letters before the \
     @ stand for others: they cannot log in with it; coffeeshop users finds them by id";

/// The schema of a file compared with this program's.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Schema {
    /// Empty, or made by an older version: the pending migrations.
    Behind(Vec<String>),
    Current,
}

/// Reads the schema of a file that may be used, and changes nothing.
pub(super) fn inspect(connection: &Connection, path: &Path) -> Result<Schema, OpenError> {
    let schema = inspect_schema(connection, path)?;
    // Older schemas do not have it.
    if connection.table_exists(None, "store_info").map_err(|e| OpenError::of(path, &e))? {
        let mark = Snapshot::new(connection).move_mark();
        mark.map_err(|e| failed(path, &e))?.check(&path.display().to_string())?;
    }
    Ok(schema)
}

/// Reads the schema of a file, also of one that was moved, and changes nothing.
pub(super) fn inspect_schema(connection: &Connection, path: &Path) -> Result<Schema, OpenError> {
    let failed = |error: rusqlite::Error| OpenError::of(path, &error);
    let known = known();
    let names = |from: usize| known[from..].iter().map(ToString::to_string).collect();
    // One snapshot for all queries: another program may be creating the file at this moment.
    let connection = connection.unchecked_transaction().map_err(failed)?;
    let number = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i32>(0));
    if number("PRAGMA application_id").map_err(failed)? != APPLICATION_ID {
        // The table of migrations is created before the first migration: a killed start may have got so far.
        let tables = "SELECT count(*) FROM sqlite_schema WHERE tbl_name <> 'refinery_schema_history'";
        return match number(tables).map_err(failed)? {
            0 => Ok(Schema::Behind(names(0))),
            _ => Err(OpenError::Foreign(path.display().to_string())),
        };
    }
    let found = number("SELECT ifnull(max(version), 0) FROM refinery_schema_history").map_err(failed)?;
    let newest = known.iter().map(Migration::version).max().unwrap_or(0);
    if found > newest {
        return Err(OpenError::Newer { at: path.display().to_string(), found, known: newest });
    }
    match known.iter().position(|migration| migration.version() > found) {
        Some(first) => Ok(Schema::Behind(names(first))),
        None => Ok(Schema::Current),
    }
}

/// Migrates a file to the newest schema in one transaction; returns the applied migrations.
pub(super) fn migrate(connection: &mut Connection, path: &Path) -> Result<Vec<String>, OpenError> {
    // Programs that start together migrate one after the other, by a lock on the folder.
    let folder = File::open(folder_of(path)).map_err(|e| failed(path, &e))?;
    folder.lock().map_err(|e| failed(path, &e))?;
    match inspect(connection, path)? {
        Schema::Current => Ok(Vec::new()),
        Schema::Behind(names) => {
            add_functions(connection).map_err(|e| failed(path, &e))?;
            embedded::migrations::runner().set_grouped(true).run(connection).map_err(|e| failed(path, &e))?;
            if names.iter().any(|name| name.ends_with("__addresses_by_letter")) {
                let old = old_addresses(connection).map_err(|e| failed(path, &e))?;
                if !old.is_empty() {
                    tracing::warn!(users = ?old, "{OLD_ADDRESSES}");
                }
            }
            Ok(names)
        }
    }
}

/// The ids of some users whose address has letters that stand for others and so is not accepted any more: they are found by id
/// only.
fn old_addresses(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    const BEYOND_ASCII: &str = "SELECT id, email FROM users WHERE octet_length(email) > length(email)";
    const MOST: usize = 20;
    let mut users = connection.prepare(BEYOND_ASCII)?;
    let mut users = users.query([])?;
    let mut old = Vec::new();
    while let Some(user) = users.next()?.filter(|_| old.len() < MOST) {
        let typed: String = user.get(1)?;
        if Email::parse("email", &typed).is_err() {
            old.push(Uuid::from_bytes(user.get(0)?).to_string());
        }
    }
    Ok(old)
}

/// Adds functions that migrations call, for rules that SQL cannot express. The schema does not refer to them afterwards.
fn add_functions(connection: &Connection) -> rusqlite::Result<()> {
    let flags =
        FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_DIRECTONLY;
    connection.create_scalar_function("address_key", 2, flags, |arguments| {
        let (typed, key): (String, String) = (arguments.get(0)?, arguments.get(1)?);
        Ok(Email::parse("email", &typed).map_or(key, |email| email.key().to_owned()))
    })?;
    connection.create_scalar_function("search_text", 4, flags, |arguments| {
        let name =
            |index| Ok::<_, rusqlite::Error>(arguments.get::<Option<String>>(index)?.map(Name::stored));
        let email = Email::stored(arguments.get(0)?, arguments.get(1)?);
        Ok(Profile { email, first_name: name(2)?, last_name: name(3)? }.search_text())
    })
}

/// Every migration by number; by name the tenth would come before the second.
fn known() -> Vec<Migration> {
    let mut known = embedded::migrations::runner().get_migrations().clone();
    known.sort_by_key(Migration::version);
    known
}
