//! The schema: which one a file has, and how it gets to the newest.

use std::{fs::File, path::Path};

use refinery::Migration;
use rusqlite::{Connection, functions::FunctionFlags};
use uuid::Uuid;

use crate::store::{OpenError, users};
use crate::{domain::Email, files::folder_of};

mod embedded {
    refinery::embed_migrations!("migrations/sqlite");
}

/// "Coff", as the first migration writes it.
const APPLICATION_ID: i32 = 0x436f_6666;

const OLD_ADDRESSES: &str = "these users, and perhaps more, have an address that is not accepted any more, since letters before the \
     @ stand for others: nobody can log in with it, and coffeeshop users takes their id";

/// How a file's schema stands to this program's.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::store) enum Schema {
    /// Nothing in it yet, or made by an older version: these are to be run.
    Behind(Vec<String>),
    /// Up to date.
    Current,
}

/// Looks at a file's schema and changes nothing.
pub(in crate::store) fn inspect(connection: &Connection, path: &Path) -> Result<Schema, OpenError> {
    let failed = |error: rusqlite::Error| OpenError::of(path, &error);
    let known = known();
    let names = |from: usize| known[from..].iter().map(ToString::to_string).collect();
    // One state of the file for all questions: another program may be making it right now.
    let connection = connection.unchecked_transaction().map_err(failed)?;
    let number = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i32>(0));
    if number("PRAGMA application_id").map_err(failed)? != APPLICATION_ID {
        // The list of migrations comes before the first of them: a start that was killed may have got so far.
        let tables = "SELECT count(*) FROM sqlite_schema WHERE tbl_name <> 'refinery_schema_history'";
        return match number(tables).map_err(failed)? {
            0 => Ok(Schema::Behind(names(0))),
            _ => Err(OpenError::Foreign(path.display().to_string())),
        };
    }
    let found = number("SELECT ifnull(max(version), 0) FROM refinery_schema_history").map_err(failed)?;
    let newest = known.iter().map(Migration::version).max().unwrap_or(0);
    if found > newest {
        return Err(OpenError::Newer { path: path.display().to_string(), found, known: newest });
    }
    match known.iter().position(|migration| migration.version() > found) {
        Some(first) => Ok(Schema::Behind(names(first))),
        None => Ok(Schema::Current),
    }
}

/// Brings a file to the newest schema in one transaction; answers what was run.
pub(in crate::store) fn migrate(connection: &mut Connection, path: &Path) -> Result<Vec<String>, OpenError> {
    // Two programs that start together migrate one after the other: the folder is the lock.
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

/// Some of the users whose address has letters that stand for others, and so is not accepted any more: nothing but their id
/// leads to them.
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

/// Gives the connection what migrations ask of the program, as SQL has no idea of it. Nothing in the file needs these
/// functions afterwards.
fn add_functions(connection: &Connection) -> rusqlite::Result<()> {
    let flags =
        FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_DIRECTONLY;
    connection.create_scalar_function("address_key", 2, flags, |arguments| {
        let (typed, key): (String, String) = (arguments.get(0)?, arguments.get(1)?);
        Ok(Email::parse("email", &typed).map_or(key, |email| email.key().to_owned()))
    })?;
    connection.create_scalar_function("search_text", 4, flags, |arguments| {
        let email = Email::stored(arguments.get(0)?, arguments.get(1)?);
        let names: [Option<String>; 2] = [arguments.get(2)?, arguments.get(3)?];
        Ok(users::search_text(&email, names.each_ref().map(Option::as_deref)))
    })
}

/// Every migration in its order; that of their files has the tenth before the second.
fn known() -> Vec<Migration> {
    let mut known = embedded::migrations::runner().get_migrations().clone();
    known.sort_by_key(Migration::version);
    known
}

fn failed(path: &Path, why: &dyn std::fmt::Display) -> OpenError {
    OpenError::Failed { path: path.display().to_string(), why: why.to_string() }
}
