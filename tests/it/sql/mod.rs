//! The database of a test, on the engine that `COFFEESHOP_TEST_DATABASE` names: open to SQL past every rule.

mod postgres;

use std::{
    fmt::Debug,
    fs,
    path::{Path, PathBuf},
    str::FromStr,
    sync::{Arc, LazyLock},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use coffeeshop::{
    config::Config,
    store::{OpenMode, Store},
};
use rusqlite::{Connection, types::ValueRef};
use tokio::sync::OnceCell;

use self::postgres::Postgres;

/// How long a statement may wait for a lock of the program: longer than any test holds one.
const BUSY: Duration = Duration::from_secs(90);

/// The URL of a PostgreSQL server, any database of it, whose user may create databases; none: tests run on SQLite.
pub static SERVER: LazyLock<Option<String>> = LazyLock::new(|| {
    #[expect(clippy::disallowed_methods, reason = "the one setting of the tests")]
    let server = std::env::var("COFFEESHOP_TEST_DATABASE");
    server.ok().filter(|server| !server.is_empty())
});

/// The database of one test; a clone is the same database.
#[derive(Clone)]
pub enum Sql {
    /// This file.
    Sqlite(PathBuf),
    /// A database of its own on the server.
    Postgres(Arc<Postgres>),
}

impl Sql {
    /// A database without tables: on SQLite this file, which need not exist yet.
    pub fn empty(file: PathBuf) -> Self {
        match &*SERVER {
            Some(server) => Self::Postgres(Arc::new(Postgres::empty(server))),
            None => Self::Sqlite(file),
        }
    }

    /// A database with the tables of the program: on SQLite this file, which the program makes.
    pub async fn migrated(file: PathBuf) -> Self {
        static TEMPLATE: OnceCell<Postgres> = OnceCell::const_new();
        let Some(server) = &*SERVER else { return Self::Sqlite(file) };
        let template = TEMPLATE.get_or_init(async || {
            let template = Postgres::empty(server);
            let mut config = Config::default();
            template.configure(&mut config);
            let (store, _) = Store::open(&config.database, OpenMode::CreateOrMigrate).await.unwrap();
            store.close().await;
            template.seal();
            template
        });
        Self::Postgres(Arc::new(template.await.copied()))
    }

    /// Sets what the program needs to find it.
    pub fn configure(&self, config: &mut Config) {
        match self {
            Self::Sqlite(file) => config.database.path.clone_from(file),
            Self::Postgres(postgres) => postgres.configure(config),
        }
    }

    /// The same as environment variables.
    pub fn settings(&self) -> Vec<(String, String)> {
        match self {
            Self::Sqlite(_) => Vec::new(),
            Self::Postgres(postgres) => postgres.settings(),
        }
    }

    /// How the program names it.
    pub fn place(&self) -> String {
        match self {
            Self::Sqlite(file) => {
                let folder = fs::canonicalize(file.parent().unwrap()).unwrap();
                folder.join(file.file_name().unwrap()).display().to_string()
            }
            Self::Postgres(postgres) => postgres.place(),
        }
    }

    /// The installation secret.
    pub fn secret(&self) -> Vec<u8> {
        let text = self.secret_as_text();
        match self {
            Self::Sqlite(_) => URL_SAFE_NO_PAD.decode(text).unwrap(),
            Self::Postgres(_) => bytes(&text),
        }
    }

    /// The installation secret as it is written in its file or in the settings.
    pub fn secret_as_text(&self) -> String {
        match self {
            Self::Sqlite(file) => {
                let secret = fs::read_to_string(file.with_file_name("coffeeshop.secret")).unwrap();
                secret.trim().to_owned()
            }
            Self::Postgres(_) => postgres::SECRET.to_owned(),
        }
    }

    /// The names of all tables.
    pub fn tables(&self) -> Vec<String> {
        self.texts(self.either(
            "SELECT name FROM sqlite_schema WHERE type = 'table'",
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public'",
        ))
    }

    /// The steps of a statement's plan, whatever its parameters are. PostgreSQL's planner avoids sorts if they are `"off"`.
    pub fn plan(&self, sql: &str, sorts: &str) -> Vec<String> {
        match self {
            Self::Sqlite(_) => {
                let steps = self.rows(&format!("EXPLAIN QUERY PLAN {sql}"));
                steps.into_iter().filter_map(|mut row| row.pop().flatten()).collect()
            }
            Self::Postgres(postgres) => postgres.plan(sql, sorts),
        }
    }

    /// Whichever of two texts the engine understands.
    pub fn either<'a>(&self, sqlite: &'a str, postgres: &'a str) -> &'a str {
        match self {
            Self::Sqlite(_) => sqlite,
            Self::Postgres(_) => postgres,
        }
    }

    /// An expression for a new id, another one for each row.
    pub fn random_id(&self) -> &'static str {
        self.either("randomblob(16)", "gen_random_uuid()")
    }

    /// Runs statements.
    pub fn execute(&self, sql: &str) {
        match self {
            Self::Sqlite(file) => open(file).execute_batch(sql).unwrap(),
            Self::Postgres(postgres) => drop(postgres.query(sql)),
        }
    }

    /// The rows of a query, each cell as text: bytes and ids in hex.
    pub fn rows(&self, sql: &str) -> Vec<Vec<Option<String>>> {
        match self {
            Self::Sqlite(file) => rows_of(&open(file), sql),
            Self::Postgres(postgres) => postgres.query(sql),
        }
    }

    /// The first column of each row.
    pub fn texts(&self, sql: &str) -> Vec<String> {
        self.rows(sql).into_iter().map(|row| row.into_iter().next().flatten().unwrap()).collect()
    }

    /// The one cell of a query.
    pub fn stored<T: FromStr<Err: Debug>>(&self, sql: &str) -> T {
        let texts = self.texts(sql);
        let [text] = &texts[..] else { panic!("not one row but {}: {sql}", texts.len()) };
        text.parse().unwrap()
    }

    /// How many rows a table has.
    pub fn count(&self, table: &str) -> i64 {
        self.stored(&format!("SELECT count(*) FROM {table}"))
    }

    /// Everything that is stored, the bytes as they are.
    pub fn dump(&self) -> Vec<u8> {
        match self {
            Self::Sqlite(file) => {
                [fs::read(file).unwrap(), fs::read(file.with_extension("db-wal")).unwrap()].concat()
            }
            Self::Postgres(postgres) => postgres.dump(),
        }
    }

    /// Has a trigger refuse every `DELETE` or `INSERT` of a table.
    pub fn refuse(&self, verb: &str, table: &str, why: &str) {
        let trigger = format!("CREATE TRIGGER refused BEFORE {verb} ON {table}");
        self.execute(&match self {
            Self::Sqlite(_) => format!("{trigger} BEGIN SELECT RAISE(ABORT, '{why}'); END"),
            Self::Postgres(_) => format!(
                "CREATE FUNCTION refused() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION '{why}'; END $$;
                 {trigger} FOR EACH ROW EXECUTE FUNCTION refused()"
            ),
        });
    }

    /// Keeps every writer of the program waiting until the lock is released.
    pub fn lock(&self) -> Lock {
        match self {
            Self::Sqlite(file) => {
                let connection = open(file);
                connection.execute_batch("BEGIN IMMEDIATE").unwrap();
                Lock::Sqlite(connection)
            }
            Self::Postgres(postgres) => Lock::Postgres(postgres.lock()),
        }
    }
}

/// A lock on all that is stored.
pub enum Lock {
    Sqlite(Connection),
    Postgres(postgres::Session),
}

impl Lock {
    pub fn release(self) {
        match self {
            Self::Sqlite(connection) => connection.execute_batch("ROLLBACK").unwrap(),
            Self::Postgres(session) => drop(session.query("ROLLBACK")),
        }
    }
}

/// The bytes that a cell of `rows` shows in hex.
pub fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

pub fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .filter_map(|digit| char::from_digit(digit.into(), 16))
        .collect()
}

fn open(file: &Path) -> Connection {
    let connection = Connection::open(file).unwrap();
    connection.busy_timeout(BUSY).unwrap();
    connection
}

fn rows_of(connection: &Connection, sql: &str) -> Vec<Vec<Option<String>>> {
    let mut statement = connection.prepare(sql).unwrap();
    let columns = statement.column_count();
    let mut found = Vec::new();
    // Parameters are null, as the plan of a statement of the program needs it.
    let mut rows = statement.raw_query();
    while let Some(row) = rows.next().unwrap() {
        found.push((0..columns).map(|column| text(row.get_ref(column).unwrap())).collect());
    }
    found
}

fn text(cell: ValueRef<'_>) -> Option<String> {
    match cell {
        ValueRef::Null => None,
        ValueRef::Integer(number) => Some(number.to_string()),
        ValueRef::Real(number) => Some(number.to_string()),
        ValueRef::Text(text) => Some(String::from_utf8_lossy(text).into_owned()),
        ValueRef::Blob(bytes) => Some(hex(bytes)),
    }
}
