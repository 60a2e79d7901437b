//! The schema of a database, and its migrations to the newest one.
//!
//! The table `store_info` has one row, which names the product and the schema; its lock lets processes that start together
//! migrate one after the other.

use std::time::{Duration, Instant};

use refinery::Migration;
use tokio_postgres::{Client, Row, error::SqlState};

use super::{errors, server::Server};
use crate::store::{ServerFault, error::Error, open::OpenError, store_info::MoveMark, tx::Snapshot};

mod embedded {
    refinery::embed_migrations!("migrations/postgres");
}

/// The oldest newest-known schema of a program that can run on the schema that the migrations leave.
const OLDEST_PROGRAM: i32 = 1;

/// How long to wait while another process migrates.
const LOCK_TIMEOUT: Duration = Duration::from_mins(5);

const PRODUCT: &str = "coffeeshop";

const CREATE_INFO: &str = "BEGIN; CREATE TABLE IF NOT EXISTS store_info (\
     one INTEGER PRIMARY KEY CHECK (one = 1), product TEXT NOT NULL, schema INTEGER NOT NULL, \
     oldest_program INTEGER NOT NULL, moved_to TEXT, moved_from TEXT, moved_at BIGINT, move_id UUID); \
     INSERT INTO store_info (one, product, schema, oldest_program) VALUES (1, 'coffeeshop', 0, 0) ON CONFLICT DO NOTHING; \
     COMMIT";

const SELECT_INFO: &str = "SELECT product, schema, oldest_program, moved_to, moved_from FROM store_info";

/// The schema of a database compared with this program's.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Schema {
    /// There is none yet: all migrations.
    Missing(Vec<String>),
    /// Made by an older version: the pending migrations.
    Behind(Vec<String>),
    /// The newest that this program knows, or a newer one on which it can run.
    Current,
}

/// Reads the schema of a database that may be used, and changes nothing.
pub(super) async fn inspect(client: &Client, server: &Server) -> Result<Schema, OpenError> {
    let (schema, _, mark) = read(client, server).await?;
    mark.check(&server.to_string()).map(|()| schema)
}

/// Reads the schema of a database, also of one that was moved, and changes nothing. A newer one is refused in any case: it may
/// have columns that are not known here.
pub(super) async fn inspect_schema(client: &Client, server: &Server) -> Result<Schema, OpenError> {
    let (schema, found, _) = read(client, server).await?;
    if found > newest() {
        return Err(newer(server, found));
    }
    Ok(schema)
}

/// The schema and its number.
async fn read(client: &Client, server: &Server) -> Result<(Schema, i32, MoveMark), OpenError> {
    let failed = |error| failed(server, &error);
    let has_info = "SELECT count(*) FILTER (WHERE c.relname = 'store_info') > 0, count(*) > 0 FROM pg_class c \
         JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = current_schema() AND c.relkind IN ('r', 'p')";
    let tables = client.query_one(has_info, &[]).await.map_err(failed)?;
    match (tables.get(0), tables.get(1)) {
        (true, _) => {}
        (false, true) => return Err(foreign(server)),
        (false, false) => return Ok((Schema::Missing(names(0)), 0, MoveMark::default())),
    }
    let info = client.query_opt(SELECT_INFO, &[]).await;
    // A table of another program that has the same name.
    let info = match info {
        Err(error) if error.code() == Some(&SqlState::UNDEFINED_COLUMN) => None,
        info => info.map_err(failed)?,
    };
    let info = info.ok_or_else(|| foreign(server))?;
    let mark = MoveMark { moved_to: info.get(3), moved_from: info.get(4), move_id: None };
    Ok((compare(&info, server)?, info.get(1), mark))
}

fn compare(info: &Row, server: &Server) -> Result<Schema, OpenError> {
    let (product, found, oldest_program): (&str, i32, i32) = (info.get(0), info.get(1), info.get(2));
    if product != PRODUCT {
        return Err(foreign(server));
    }
    let known = newest();
    if found > known && oldest_program > known {
        return Err(newer(server, found));
    }
    Ok(match found {
        0 => Schema::Missing(names(0)),
        found if found < known => Schema::Behind(names(found)),
        _ => Schema::Current,
    })
}

impl Snapshot<'_> {
    /// Whether this program can run on the schema, which another process may have migrated or moved meanwhile.
    pub(super) fn probe_schema(&self) -> Result<(), Error> {
        let sql = "SELECT schema, oldest_program, moved_to FROM store_info";
        let info = self.first(sql, (), |row| {
            Ok((row.get::<i64>(0)?, row.get::<i64>(1)?, row.get::<Option<String>>(2)?))
        })?;
        let known = i64::from(newest());
        Err(Error::Unavailable(match info {
            Some((.., Some(to))) => format!("it was moved to {to}"),
            Some((_, oldest_program, _)) if oldest_program > known => {
                "its schema is for a newer coffeeshop".to_owned()
            }
            Some((schema, ..)) if schema >= known => return Ok(()),
            _ => "its schema is behind: apply pending migrations with coffeeshop migrate".to_owned(),
        }))
    }
}

/// Migrates a database to the newest schema in one transaction; returns the applied migrations.
pub(super) async fn migrate(server: &Server) -> Result<Vec<String>, OpenError> {
    let patient = server.without_timeouts();
    let connect = async || patient.connect().await.map_err(|fault| unusable(server, fault));
    let failed = |error| failed(server, &error);
    let lock = connect().await?.client;
    create_info(&lock).await.map_err(failed)?;
    let begin = format!("BEGIN; SET LOCAL lock_timeout = {}", LOCK_TIMEOUT.as_millis());
    lock.batch_execute(&begin).await.map_err(failed)?;
    let locked = lock.query("SELECT 1 FROM store_info FOR UPDATE", &[]).await;
    locked.map_err(|error| match error.code() {
        Some(&SqlState::LOCK_NOT_AVAILABLE) => {
            unusable(server, ServerFault::Migrating { minutes: LOCK_TIMEOUT.as_secs() / 60 })
        }
        _ => failed(error),
    })?;
    let migrated = match inspect(&lock, server).await? {
        Schema::Current => Vec::new(),
        Schema::Missing(names) | Schema::Behind(names) => {
            // On a connection of its own: refinery begins and ends the transaction.
            let mut client = connect().await?.client;
            let ran = embedded::migrations::runner().set_grouped(true).run_async(&mut client).await;
            ran.map_err(|error| broken(server, sentence(&error)))?;
            let update = "UPDATE store_info SET schema = $1, oldest_program = $2";
            lock.execute(update, &[&newest(), &OLDEST_PROGRAM]).await.map_err(failed)?;
            names
        }
    };
    lock.batch_execute("COMMIT").await.map_err(failed)?;
    Ok(migrated)
}

/// Creates `store_info`. Two processes that create a table of one name at the same time get in each other's way, whatever the
/// statement says.
async fn create_info(client: &Client) -> Result<(), tokio_postgres::Error> {
    let give_up = Instant::now() + Duration::from_secs(10);
    loop {
        match client.batch_execute(CREATE_INFO).await {
            Err(error) if error.as_db_error().is_some() && Instant::now() < give_up && is_race(&error) => {
                client.batch_execute("ROLLBACK").await?;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            created => return created,
        }
    }
}

fn is_race(error: &tokio_postgres::Error) -> bool {
    let races = [SqlState::UNIQUE_VIOLATION, SqlState::DUPLICATE_TABLE, SqlState::DUPLICATE_OBJECT];
    error.code().is_some_and(|code| races.contains(code))
}

fn newer(server: &Server, found: i32) -> OpenError {
    OpenError::Newer { at: server.to_string(), found, known: newest() }
}

fn foreign(server: &Server) -> OpenError {
    unusable(server, ServerFault::Foreign)
}

fn broken(server: &Server, why: String) -> OpenError {
    unusable(server, ServerFault::Failed(why))
}

pub(super) fn unusable(server: &Server, fault: ServerFault) -> OpenError {
    OpenError::Server { at: server.to_string(), fault }
}

fn failed(server: &Server, error: &tokio_postgres::Error) -> OpenError {
    match error.code() {
        Some(&SqlState::INSUFFICIENT_PRIVILEGE) => unusable(server, ServerFault::NotOwner),
        _ => broken(server, errors::text(error)),
    }
}

/// The error of refinery with its cause, in one line.
fn sentence(error: &refinery::Error) -> String {
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref());
    cause.map_or_else(|| error.to_string(), |cause| format!("{error}: {}", errors::text(cause)))
}

/// The newest schema that this program knows.
fn newest() -> i32 {
    known().last().map_or(0, Migration::version)
}

/// The migrations after one.
fn names(after: i32) -> Vec<String> {
    known().iter().filter(|migration| migration.version() > after).map(ToString::to_string).collect()
}

/// Every migration by number; by name the tenth would come before the second.
fn known() -> Vec<Migration> {
    let mut known = embedded::migrations::runner().get_migrations().clone();
    known.sort_by_key(Migration::version);
    known
}
