//! A file that no other process uses meanwhile, by the lock of SQLite itself.

use std::{fs, path::Path, time::Duration};

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::{
    connection::{configure, execute},
    errors::failed,
    file::must_exist,
    migrations::{Schema, inspect_schema},
};
use crate::store::{error::Error, open::OpenError, tx::Tx};

/// How long to wait for another process that is about to end.
const BUSY_TIMEOUT: Duration = Duration::from_secs(1);

/// The only connection to a file, of any process. Each open connection holds a lock on the file that SQLite has to take for
/// itself in this mode (<https://www.sqlite.org/wal.html>, section 8), so a server is noticed, and none can start.
pub(in crate::store) struct Exclusive(Connection);

impl Exclusive {
    /// Opens a file whose schema is up to date.
    pub(in crate::store) fn open(path: &Path) -> Result<Self, OpenError> {
        Self::open_file(path).map_err(|error| error.or_denied(path))
    }

    fn open_file(path: &Path) -> Result<Self, OpenError> {
        must_exist(path)?;
        let of = |error: rusqlite::Error| match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy) => OpenError::InUse(path.display().to_string()),
            _ => OpenError::of(path, &error),
        };
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).map_err(of)?;
        connection.busy_timeout(BUSY_TIMEOUT).map_err(of)?;
        // Before anything is read, otherwise it has no effect on the files beside the database.
        connection.pragma_update(None, "locking_mode", "exclusive").map_err(of)?;
        connection.execute_batch("BEGIN IMMEDIATE; ROLLBACK").map_err(of)?;
        configure(&connection).map_err(|why| failed(path, &why))?;
        match inspect_schema(&connection, path)? {
            Schema::Current => Ok(Self(connection)),
            Schema::Behind(_) => Err(OpenError::Older(path.display().to_string())),
        }
    }

    pub(in crate::store) fn begin(&self) -> Result<Tx<'_>, Error> {
        execute(&self.0, "BEGIN IMMEDIATE")?;
        Ok(Tx::new(&self.0))
    }

    pub(in crate::store) fn commit(&self) -> Result<(), Error> {
        execute(&self.0, "COMMIT")
    }

    pub(in crate::store) fn roll_back(&self) {
        if !self.0.is_autocommit() {
            let _ = execute(&self.0, "ROLLBACK");
        }
    }

    /// Deletes the file; SQLite deletes those beside it when the connection is closed.
    pub(in crate::store) fn delete(self) {
        let path = self.0.path().map(ToOwned::to_owned);
        drop(self);
        if let Some(path) = path
            && let Err(error) = fs::remove_file(&path)
        {
            tracing::warn!(path, %error, "cannot delete the file");
        }
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::params_from_iter;

    use super::*;
    use crate::store::{
        copy::TableContent,
        open::OpenMode,
        sqlite::Engine,
        tables::{Kind, TABLES},
    };

    /// What belongs to the file, or is computed from the tables that are moved.
    const NOT_MOVED: [&str; 5] =
        ["refinery_schema_history", "store_info", "user_arrivals", "user_counts", "users_search"];

    /// A new file with a row in every table, and a second one in `users`.
    async fn filled(path: &Path) -> Exclusive {
        let exclusive = empty(path).await;
        let tx = exclusive.begin().expect("a transaction");
        let user = "INSERT INTO users (id, email, email_key, search_text, role, status, disabled, created_at, \
                    updated_at, verified_at) VALUES (?1, ?2, ?2, ?2, 'user', 'verified', 0, 1, 2, 3)";
        tx.execute(user, ([1; 16], "a\0b".to_owned())).expect("a user");
        tx.execute(user, ([2; 16], "ä@b".to_owned())).expect("a user");
        for table in TABLES.iter().filter(|table| !["users", "clean_up"].contains(&table.name)) {
            let mut values: Vec<_> = table.columns.iter().map(|(_, kind)| value(*kind)).collect();
            if let Some(state) = table.columns.iter().position(|(name, _)| *name == "state") {
                values[state] = "'dead'";
            }
            let sql = format!("INSERT INTO {} VALUES ({})", reordered(table), values.join(", "));
            tx.execute(&sql, ()).expect(&sql);
        }
        exclusive.commit().expect("a commit");
        exclusive
    }

    fn reordered(table: &crate::store::tables::Table) -> String {
        format!("{} ({})", table.name, table.column_list())
    }

    fn value(kind: Kind) -> &'static str {
        match kind {
            Kind::Int => "77",
            Kind::Bool => "TRUE",
            Kind::Text => "'text'",
            Kind::Id => "x'01010101010101010101010101010101'",
            Kind::Bytes => "zeroblob(32)",
        }
    }

    async fn empty(path: &Path) -> Exclusive {
        let (engine, _) = Engine::open(path, OpenMode::CreateOrMigrate).await.expect("a store");
        engine.close().await;
        Exclusive::open(path).expect("no other process")
    }

    #[tokio::test]
    async fn the_list_of_tables_is_that_of_the_schema() {
        let folder = tempfile::tempdir().expect("a folder");
        let exclusive = empty(&folder.path().join("store.db")).await;
        let strings = |sql: &str| -> Vec<String> {
            let mut statement = exclusive.0.prepare(sql).expect("a query");
            let found = statement.query_map(params_from_iter(None::<i64>), |row| row.get(0)).expect("rows");
            found.collect::<Result<_, _>>().expect("texts")
        };
        let tables = strings("SELECT name FROM pragma_table_list WHERE schema = 'main' AND type <> 'shadow'");
        let known = |name: &str| TABLES.iter().any(|table| table.name == name);
        let is_other =
            |name: &str| NOT_MOVED.contains(&name) || name.starts_with("sqlite_") || name.ends_with("_terms");
        for name in &tables {
            assert!(known(name) || is_other(name), "{name} is neither moved nor known as not moved");
        }
        for table in TABLES {
            let columns = strings(&format!(
                "SELECT name || ' ' || type FROM pragma_table_info('{}') ORDER BY name",
                table.name
            ));
            let sql_type = |kind: &Kind| match kind {
                Kind::Int | Kind::Bool => "INTEGER",
                Kind::Text => "TEXT",
                Kind::Id | Kind::Bytes => "BLOB",
            };
            let mut listed: Vec<_> =
                table.columns.iter().map(|(name, kind)| format!("{name} {}", sql_type(kind))).collect();
            listed.sort();
            assert_eq!(listed, columns, "{}", table.name);
            let key =
                format!("SELECT name FROM pragma_table_info('{}') WHERE pk > 0 ORDER BY pk", table.name);
            assert_eq!(strings(&key).join(", "), table.key_list());
        }
    }

    #[tokio::test]
    async fn a_copy_holds_what_its_source_does() {
        let folder = tempfile::tempdir().expect("a folder");
        let source = filled(&folder.path().join("source.db")).await;
        let target = empty(&folder.path().join("target.db")).await;
        let (from, to) = (source.begin().expect("begun"), target.begin().expect("begun"));
        assert!(!from.is_empty().expect("read") && to.is_empty().expect("read"));
        to.delete_all_rows().expect("deleted");
        let mut read = 0;
        let copied = to.copy_from(&from, &mut |rows| read += rows).expect("copied");
        assert_eq!(copied, to.content(&mut |_| {}).expect("read"));
        assert_eq!(copied, from.content(&mut |_| {}).expect("read"));
        assert_eq!(read as u64, from.count_rows().expect("read"));
        assert!(copied.iter().all(|content| content.rows == if content.table == "users" { 2 } else { 1 }));
        assert_eq!(to.count_all_users().expect("counted by triggers"), 2);
        to.execute("UPDATE users SET updated_at = 9 WHERE seq = 1", ()).expect("changed");
        let changed = to.content(&mut |_| {}).expect("read");
        let names = |all: &[TableContent], other: &[TableContent]| -> Vec<_> {
            all.iter().filter(|content| !other.contains(content)).map(|content| content.table).collect()
        };
        assert_eq!(names(&changed, &copied), ["users"]);
        to.delete_all_rows().expect("deleted");
        assert_eq!(to.count_rows().expect("read"), 0);
    }

    #[tokio::test]
    async fn rows_that_another_engine_cannot_hold_are_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let source = filled(&folder.path().join("source.db")).await;
        let tx = source.begin().expect("begun");
        let sqlite = crate::config::Database::at("other.db");
        assert_eq!(tx.unfit_rows(&sqlite, &mut |_| {}).expect("read").count, 0);
        let url = "postgres://shop@localhost/shop".parse().expect("a URL");
        let postgres = crate::config::Database { url: Some(url), ..crate::config::Database::default() };
        let unfit = tx.unfit_rows(&postgres, &mut |_| {}).expect("read");
        assert_eq!(unfit.named, ["users 01010101-0101-0101-0101-010101010101: email has a NUL character"]);
        assert_eq!(unfit.count, 1);
    }

    #[tokio::test]
    async fn no_other_connection_is_possible_meanwhile() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("store.db");
        let exclusive = empty(&path).await;
        let other = Connection::open(&path).expect("a file");
        other.busy_timeout(Duration::ZERO).expect("set");
        let read = other.query_row("SELECT count(*) FROM users", [], |row| row.get::<_, i64>(0));
        assert_eq!(read.expect_err("locked").sqlite_error_code(), Some(ErrorCode::DatabaseBusy));
        drop(exclusive);
        let read = other.query_row("SELECT count(*) FROM users", [], |row| row.get::<_, i64>(0));
        assert_eq!(read.expect("free again"), 0);
        assert!(matches!(Exclusive::open(&path), Err(OpenError::InUse(_))), "a connection that is idle");
    }
}
