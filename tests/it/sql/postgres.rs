//! Databases on a PostgreSQL server, each for one test.

use std::{
    future::Future,
    mem, process,
    sync::{
        Arc, LazyLock, OnceLock,
        atomic::{AtomicU32, Ordering::Relaxed},
        mpsc,
    },
};

use coffeeshop::config::{Config, PostgresUrl, Tls};
use serde_json::json;
use tokio::runtime::{Builder, Runtime};
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

/// What the sessions of tests run on: a test asks from wherever it is, even from within its own runtime.
static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap());

/// The installation secret: 32 bytes in hex.
pub const SECRET: &str = "a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebf";

/// The connections of one program: few, since many run at a time.
const CONNECTIONS: u16 = 6;

/// A database that is dropped with this value.
pub struct Postgres {
    server: &'static str,
    name: String,
    session: OnceLock<Session>,
}

impl Postgres {
    pub fn empty(server: &'static str) -> Self {
        Self::copy_of(server, "template0")
    }

    /// Another database with what is in this one, which is sealed.
    pub fn copied(&self) -> Self {
        Self::copy_of(self.server, &self.name)
    }

    /// Ends every session, so that it can be copied, and allows none any more.
    pub fn seal(&self) {
        let name = &self.name;
        Session::open(self.server).query(&format!(
            "ALTER DATABASE {name} ALLOW_CONNECTIONS false; \
             SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
        ));
    }

    fn copy_of(server: &'static str, template: &str) -> Self {
        static CREATED: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}_{}", process::id(), CREATED.fetch_add(1, Relaxed));
        Session::open(server).query(&format!("CREATE DATABASE {name} TEMPLATE {template} ENCODING 'UTF8'"));
        Self { server, name, session: OnceLock::new() }
    }

    /// The settings of a program that uses it.
    pub fn configure(&self, config: &mut Config) {
        config.database.url = Some(self.url().parse().unwrap());
        config.database.tls = Tls::Off;
        config.database.connections = CONNECTIONS;
        config.auth.secret = serde_json::from_value(json!(SECRET)).unwrap();
    }

    /// The same as environment variables.
    pub fn settings(&self) -> Vec<(String, String)> {
        let settings = [
            ("DATABASE__URL", self.url()),
            ("DATABASE__TLS", "off".to_owned()),
            ("DATABASE__CONNECTIONS", CONNECTIONS.to_string()),
            ("AUTH__SECRET", SECRET.to_owned()),
        ];
        settings.map(|(name, value)| (format!("COFFEESHOP_{name}"), value)).into()
    }

    /// How the program names it: without user and password.
    pub fn place(&self) -> String {
        self.url().parse::<PostgresUrl>().unwrap().to_string()
    }

    fn url(&self) -> String {
        at(self.server, &self.name)
    }

    /// Runs statements; answers the rows of all of them.
    pub fn query(&self, sql: &str) -> Vec<Vec<Option<String>>> {
        self.session.get_or_init(|| Session::open(&self.url())).query(sql)
    }

    /// The steps of a statement's plan for any values, each with its conditions, as if a look at all rows were very dear:
    /// the small tables of a test are not worth an index.
    pub fn plan(&self, sql: &str, sorts: &str) -> Vec<String> {
        let parameters = (1..1_000).take_while(|number| sql.contains(&format!("?{number}"))).count();
        let nothing = if parameters == 0 {
            String::new()
        } else {
            format!("({})", vec!["NULL"; parameters].join(", "))
        };
        let lines = self.query(&format!(
            "SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off; SET enable_sort = {sorts}; \
             PREPARE statement AS {}; EXPLAIN (COSTS OFF) EXECUTE statement{nothing}; DEALLOCATE statement; RESET ALL",
            sql.replace('?', "$")
        ));
        let mut steps: Vec<String> = Vec::new();
        for line in lines.into_iter().flatten().flatten() {
            match (line.trim().strip_prefix("->  "), steps.last_mut()) {
                (Some(step), _) => steps.push(step.to_owned()),
                (None, None) => steps.push(line),
                (None, Some(step)) => step.extend(["; ", line.trim()]),
            }
        }
        steps
    }

    /// All rows of all tables, the bytes as they are.
    pub fn dump(&self) -> Vec<u8> {
        let tables = self.query("SELECT tablename FROM pg_tables WHERE schemaname = 'public'");
        let rows = tables.iter().flatten().flatten().flat_map(|table| self.query(&format!("TABLE {table}")));
        let mut dump = Vec::new();
        for cell in rows.flatten().flatten() {
            dump.extend(cell.as_bytes());
            if is_hex(&cell) {
                dump.extend(super::bytes(&cell));
            }
            dump.push(0);
        }
        dump
    }

    /// A session that locks every table against writers.
    pub fn lock(&self) -> Session {
        let session = Session::open(&self.url());
        let tables =
            session.query("SELECT string_agg(tablename, ', ') FROM pg_tables WHERE schemaname = 'public'");
        let tables = tables[0][0].as_deref().unwrap();
        session.query(&format!("BEGIN; LOCK TABLE {tables} IN EXCLUSIVE MODE"));
        session
    }
}

impl Drop for Postgres {
    /// Not waited for: what is left is deleted with the cluster.
    fn drop(&mut self) {
        let (server, name) = (self.server, mem::take(&mut self.name));
        RUNTIME.spawn(async move {
            let client = connect(server).await;
            let _ = client.batch_execute(&format!("DROP DATABASE {name} WITH (FORCE)")).await;
        });
    }
}

/// A connection.
pub struct Session(Arc<Client>);

impl Session {
    fn open(url: &str) -> Self {
        let url = url.to_owned();
        Self(Arc::new(wait(async move { connect(&url).await })))
    }

    /// Runs statements; answers the rows of all of them.
    pub fn query(&self, sql: &str) -> Vec<Vec<Option<String>>> {
        let (client, text) = (Arc::clone(&self.0), sql.to_owned());
        let messages = wait(async move { client.simple_query(&text).await });
        let messages = messages.unwrap_or_else(|error| panic!("{error:?}: {sql}"));
        let rows = messages.into_iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        });
        rows.map(|row| (0..row.len()).map(|column| row.get(column).map(shown)).collect()).collect()
    }
}

/// Bytes without the two characters in front of them.
fn shown(cell: &str) -> String {
    cell.strip_prefix("\\x").filter(|rest| is_hex(rest)).unwrap_or(cell).to_owned()
}

fn is_hex(text: &str) -> bool {
    text.len().is_multiple_of(2) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    RUNTIME.spawn(connection); // it ends with the client
    client
}

/// What comes of this, which runs elsewhere meanwhile.
fn wait<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    let (answer, answered) = mpsc::channel();
    RUNTIME.spawn(async move { answer.send(work.await) });
    answered.recv().unwrap()
}

/// The URL of another database on the same server.
fn at(server: &str, database: &str) -> String {
    let (start, rest) = server.split_once("://").unwrap();
    let (host, rest) = rest.split_once('/').unwrap_or((rest, ""));
    let options = rest.find('?').map_or("", |start| &rest[start..]);
    format!("{start}://{host}/{database}{options}")
}
