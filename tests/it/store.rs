//! What the store promises: an answered write is on the disk, a refused one changed nothing.

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
        mpsc,
    },
    time::Duration,
};

use coffeeshop::{
    accounts::{Registered, SignupDraft},
    app,
    config::{Config, Database},
    core::{Admin, Error},
    domain::{Clock, Email, Origin},
    store::{self, OpenError, OpenMode, Snapshot, Store, Tx},
};
use futures_util::{FutureExt, future::join_all};
use rusqlite::Connection;
use serde_json::json;
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::{
    app::{App, PASSWORD, START},
    sql::Sql,
    sqlite_only::sqlite_only,
};

/// A store in a temporary folder, with the accounts on it.
struct Kept {
    store: Store,
    app: app::App,
    config: Config,
    sql: Sql,
    folder: TempDir,
}

impl Kept {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let sql = Sql::migrated(folder.path().join("coffeeshop.db")).await;
        let mut config = Config::default();
        sql.configure(&mut config);
        (config.password.memory_kib, config.password.iterations) = (64, 1);
        let (store, _) = Store::open(&config.database, OpenMode::CreateOrMigrate).await.unwrap();
        let app = app::App::open(&config, store.clone(), Clock::manual(START)).await.unwrap();
        Self { store, app, config, sql, folder }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("coffeeshop.db")
    }

    /// Looks on a connection of its own: what it sees is committed.
    fn count(&self, table: &str) -> i64 {
        self.sql.count(table)
    }
}

async fn sign_up(app: app::App, email: String) -> Result<Registered, Error> {
    let draft = SignupDraft { email, password: PASSWORD.to_owned(), ..SignupDraft::default() };
    app.registration.register(draft, Origin::default()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_answered_is_in_the_file_however_many_write_at_once() {
    let kept = Kept::new().await;
    let mut tasks = JoinSet::new();
    for number in 0..32 {
        let (app, sql) = (kept.app.clone(), kept.sql.clone());
        tasks.spawn(async move {
            let email = format!("guest{number}@example.com");
            sign_up(app, email.clone()).await.unwrap();
            sql.count(&format!("users JOIN outbox ON user_id = users.id WHERE email_key = '{email}'"))
        });
    }
    assert_eq!(tasks.join_all().await, [1; 32]);
    assert_eq!((kept.count("users"), kept.count("codes"), kept.count("outbox")), (32, 32, 32));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_sign_ups_for_one_address_one_succeeds() {
    let kept = Kept::new().await;
    let mut tasks = JoinSet::new();
    for _ in 0..16 {
        tasks.spawn(sign_up(kept.app.clone(), "ann@example.com".to_owned()));
    }
    let answers = tasks.join_all().await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
    assert!(answers.iter().all(|answer| matches!(answer, Ok(_) | Err(Error::EmailTaken))), "{answers:?}");
    assert_eq!((kept.count("users"), kept.count("codes"), kept.count("outbox")), (1, 1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_write_that_fails_or_panics_affects_no_other() {
    let kept = Kept::new().await;
    let mut good = JoinSet::new();
    let mut bad = JoinSet::new();
    for number in 0..8 {
        good.spawn(sign_up(kept.app.clone(), format!("guest{number}@example.com")));
        let store = kept.store.clone();
        bad.spawn(async move { store.write(panics).await });
        let store = kept.store.clone();
        bad.spawn(async move { store.write(refuses).await });
    }
    assert!(bad.join_all().await.iter().all(Result::is_err));
    assert!(good.join_all().await.iter().all(Result::is_ok));
    assert_eq!(kept.count("users"), 8);
}

#[tokio::test]
async fn a_write_that_panics_is_answered_as_a_defect_and_the_next_one_works() {
    let kept = Kept::new().await;
    let answer = kept.store.write(panics).await;
    assert!(matches!(answer, Err(store::Error::Defect(_))), "{answer:?}");
    sign_up(kept.app.clone(), "ann@example.com".to_owned()).await.unwrap();
    assert_eq!(kept.count("users"), 1);
}

#[tokio::test]
async fn reads_that_panic_are_answered_and_leave_readers_for_the_next() {
    let kept = Kept::new().await;
    // More than there are readers.
    for _ in 0..32 {
        let answer = kept.store.read(read_panics).await;
        assert!(matches!(answer, Err(store::Error::Defect(_))), "{answer:?}");
    }
    kept.app.health.ready().await.unwrap();
}

#[tokio::test]
async fn accounts_that_are_closed_have_let_go_of_the_file() {
    if sqlite_only() {
        return;
    }
    let Kept { store, app, folder, .. } = Kept::new().await;
    drop(store);
    let log = folder.path().join("coffeeshop.db-wal");
    assert!(log.exists());
    app.close().await;
    assert!(!log.exists(), "the last process that closes the file deletes the log");
}

#[tokio::test]
async fn a_closure_answers_whatever_it_likes() {
    let kept = Kept::new().await;
    let answer: Result<_, store::Error> = kept.store.write(|_| Ok("kept")).await;
    assert_eq!(answer.unwrap(), "kept");
    let answer: Result<_, store::Error> = kept.store.read(|_| Ok(7)).await;
    assert_eq!(answer.unwrap(), 7);
}

#[tokio::test]
async fn a_closed_store_is_whole_in_its_one_file() {
    if sqlite_only() {
        return;
    }
    let Kept { store, app, folder, .. } = Kept::new().await;
    sign_up(app.clone(), "ann@example.com".to_owned()).await.unwrap();
    drop(app);
    store.close().await;
    let copy = folder.path().join("copy.db");
    fs::copy(folder.path().join("coffeeshop.db"), &copy).unwrap();
    assert_eq!(Sql::Sqlite(copy).count("users"), 1);
}

#[tokio::test]
async fn a_store_is_found_as_it_was_left() {
    let Kept { store, app, config, .. } = &Kept::new().await;
    sign_up(app.clone(), "ann@example.com".to_owned()).await.unwrap();
    store.clone().close().await;
    let (store, migrated) = Store::open(&config.database, OpenMode::RequireCurrent).await.unwrap();
    assert!(migrated.is_empty(), "{migrated:?}");
    store.close().await;
}

#[tokio::test]
async fn pending_migrations_are_listed_without_a_change() {
    if sqlite_only() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("coffeeshop.db");
    assert!(matches!(Store::pending_migrations(&Database::at(&path)), Err(OpenError::Missing(_))));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "a look made a file");

    fs::write(&path, "").unwrap();
    let pending = Store::pending_migrations(&Database::at(&path)).unwrap();
    let number = |name: &String| name[1..].split_once("__").unwrap().0.parse::<u32>().unwrap();
    assert!(pending.is_sorted_by_key(number) && number(&pending[0]) == 1, "not in their order: {pending:?}");
    assert_eq!(Store::pending_migrations(&Database::at(&path)).unwrap(), pending, "a look changed something");

    let (store, migrated) = Store::open(&Database::at(&path), OpenMode::CreateOrMigrate).await.unwrap();
    assert_eq!(migrated, pending);
    store.close().await;
    assert_eq!(Store::pending_migrations(&Database::at(&path)).unwrap(), [""; 0]);
    // An older version's file needs those alone that came since.
    let forget = "DELETE FROM refinery_schema_history WHERE version > 9";
    Sql::Sqlite(path.clone()).execute(forget);
    assert_eq!(Store::pending_migrations(&Database::at(&path)).unwrap(), pending[9..]);
}

#[tokio::test]
async fn a_store_is_neither_created_nor_migrated_unless_asked() {
    if sqlite_only() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new/coffeeshop.db");
    let missing = Store::open(&Database::at(&path), OpenMode::RequireCurrent).await.err().unwrap();
    assert!(matches!(missing, OpenError::Missing(_)) && missing.hint().is_some(), "{missing}");
    assert!(!folder.path().join("new").exists());

    let path = folder.path().join("empty.db");
    fs::write(&path, "").unwrap();
    let older = Store::open(&Database::at(&path), OpenMode::RequireCurrent).await.err().unwrap();
    assert!(matches!(older, OpenError::Older(_)) && older.hint().is_some(), "{older}");
    assert!(!Store::pending_migrations(&Database::at(&path)).unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_fresh_store_that_many_open_at_once_is_migrated_once() {
    let folder = tempfile::tempdir().unwrap();
    let sql = Sql::empty(folder.path().join("data/coffeeshop.db"));
    let mut config = Config::default();
    sql.configure(&mut config);
    let mut tasks = JoinSet::new();
    for _ in 0..6 {
        let database = config.database.clone();
        tasks.spawn(async move { Store::open(&database, OpenMode::CreateOrMigrate).await.unwrap().1 });
    }
    let migrated = tasks.join_all().await;
    let distinct: HashSet<_> = migrated.iter().flatten().collect();
    assert!(!distinct.is_empty());
    assert_eq!(migrated.iter().flatten().count(), distinct.len(), "a migration ran twice: {migrated:?}");
}

fn panics(_: &Tx<'_>) -> Result<(), store::Error> {
    panic!("a closure of a test panics");
}

fn refuses(_: &Tx<'_>) -> Result<(), store::Error> {
    Err(store::Error::Defect("no".to_owned()))
}

fn read_panics(_: &Snapshot<'_>) -> Result<(), store::Error> {
    panic!("a closure of a test panics");
}

#[tokio::test]
async fn an_impossible_value_is_damage_and_reported_by_column_only() {
    if sqlite_only() {
        return;
    }
    let kept = Kept::new().await;
    sign_up(kept.app.clone(), "ann@example.com".to_owned()).await.unwrap();
    for (column, value, told) in [
        ("role", "'king'", "role"),
        ("first_name", "CAST(x'ff6b696e67' AS TEXT)", "first_name"),
        ("expires_at", "NULL", "status"), // an unverified account that does not end
    ] {
        let file = Connection::open(kept.path()).unwrap();
        file.pragma_update(None, "ignore_check_constraints", true).unwrap();
        let before = format!("CREATE TEMP TABLE before AS SELECT {column} FROM users");
        file.execute_batch(&format!("{before}; UPDATE users SET {column} = {value}")).unwrap();
        let email = Email::parse("email", "ann@example.com").unwrap();
        let shown = kept.app.users.get_by_email(&Admin::from_cli(), email).await;
        let Err(Error::Unavailable(why)) = shown else { panic!("{column}: {shown:?}") };
        assert!(
            why.contains(&format!("the database is damaged: an unexpected value in column {told}")),
            "{why}"
        );
        assert!(why.contains("FROM users") && !why.contains("king"), "{why}");
        file.execute_batch(&format!("UPDATE users SET {column} = (SELECT {column} FROM before)")).unwrap();
    }
}

#[tokio::test]
async fn a_schema_that_differs_from_the_migrations_is_damage() {
    if sqlite_only() {
        return;
    }
    for (from, to) in [
        ("    first_name ", "    first_nane "),
        ("    last_login_at ", "    last_lkgin_at "),
        ("    search_text ", "    rearch_text "),
        ("CREATE TABLE users ", "CREATE TABLE userq "),
    ] {
        let kept = Kept::new().await;
        sign_up(kept.app.clone(), "ann@example.com".to_owned()).await.unwrap();
        let file = Connection::open(kept.path()).unwrap();
        let next: i64 = file.query_row("PRAGMA schema_version", [], |row| row.get::<_, i64>(0)).unwrap() + 1;
        file.execute_batch(&format!(
            "PRAGMA writable_schema = ON;
             UPDATE sqlite_schema SET sql = replace(sql, '{from}', '{to}') WHERE name = 'users';
             PRAGMA schema_version = {next};"
        ))
        .unwrap();
        let email = Email::parse("email", "ann@example.com").unwrap();
        let shown = kept.app.users.get_by_email(&Admin::from_cli(), email).await;
        let Err(Error::Unavailable(why)) = shown else { panic!("{from}: {shown:?}") };
        assert!(why.contains("the database is damaged: "), "{why}");
        let written = sign_up(kept.app.clone(), "bob@example.com".to_owned()).await;
        assert!(matches!(written, Err(Error::Unavailable(_))), "{from}: {written:?}");
    }
}

/// Puts the entries of one index in the place of another's, as a write that went to the wrong place does.
fn misplace(file: &Path, from: &str, to: &str) {
    let file = Connection::open(file).unwrap();
    let next: i64 = file.query_row("PRAGMA schema_version", [], |row| row.get::<_, i64>(0)).unwrap() + 1;
    file.execute_batch(&format!(
        "PRAGMA writable_schema = ON;
         UPDATE sqlite_schema SET rootpage = (SELECT rootpage FROM sqlite_schema WHERE name = '{from}') WHERE name = '{to}';
         PRAGMA schema_version = {next};"
    ))
    .unwrap();
}

#[tokio::test]
async fn an_index_with_wrong_row_ids_finds_no_user() {
    if sqlite_only() {
        return;
    }
    let app = App::start().await;
    app.sign_up("ann@example.com").await;
    app.sign_up("bob@example.com").await;
    app.printed().await;
    // Their sessions and messages have the number of the other's account.
    let bob = app.log_in("bob@example.com").await;
    let ann = app.log_in("ann@example.com").await;
    for of in ["bob@example.com", "ann@example.com"] {
        app.anyone().post("/auth/verify/resend", json!({ "email": of })).await.is(202);
    }
    let console = Admin::from_cli();
    let email = |of: &str| Email::parse("email", of).unwrap();

    misplace(&app.config.database.path, "sessions_by_user", "sqlite_autoindex_users_1");
    for caller in [&ann, &bob] {
        caller.get("/me").await.is(401);
        caller.patch("/me", json!({ "first_name": "Eve" })).await.is(401);
    }
    assert_eq!(app.stored::<i64>("SELECT count(*) FROM users WHERE first_name IS NOT NULL"), 0);

    misplace(&app.config.database.path, "outbox_recipient", "sqlite_autoindex_users_2");
    for of in ["ann@example.com", "bob@example.com"] {
        let found = app.users.get_by_email(&console, email(of)).await;
        assert!(matches!(found, Err(Error::NotFound)), "{of}: {found:?}");
    }
}

/// A request that has come so far that its work waits in a queue of the store's.
fn begun<F: Future>(request: F) -> Pin<Box<F>> {
    let mut request = Box::pin(request);
    assert!(request.as_mut().now_or_never().is_none());
    request
}

/// Reads that keep every reader busy until they are let go.
fn busy_readers(store: &Store) -> (impl Future<Output = Vec<Result<(), store::Error>>>, mpsc::Sender<()>) {
    let (let_go, gate) = mpsc::channel::<()>();
    let gate = Arc::new(Mutex::new(gate));
    let wait = |_| {
        let gate = Arc::clone(&gate);
        store.read(move |_: &Snapshot<'_>| {
            let _ = gate.lock().unwrap().recv(); // all of them go on once the sender is gone
            Ok::<_, store::Error>(())
        })
    };
    (begun(join_all((0..64).map(wait))), let_go)
}

#[tokio::test]
async fn a_read_whose_caller_has_gone_is_not_made() {
    let kept = Kept::new().await;
    let (busy, let_go) = busy_readers(&kept.store);
    let made = Arc::new(AtomicBool::new(false));
    let note = Arc::clone(&made);
    drop(begun(kept.store.read(move |_: &Snapshot<'_>| {
        note.store(true, SeqCst);
        Ok::<_, store::Error>(())
    })));
    drop(let_go);
    assert!(busy.await.iter().all(Result::is_ok));
    drop(kept.app);
    kept.store.close().await;
    assert!(!made.load(SeqCst));
}

#[tokio::test]
async fn a_write_whose_caller_went_before_it_began_is_not_made() {
    let kept = Kept::new().await;
    let (let_go, gate) = mpsc::channel::<()>();
    let gate = Arc::new(Mutex::new(gate));
    let wait = |_| {
        let gate = Arc::clone(&gate);
        kept.store.write(move |_: &Tx<'_>| {
            let _ = gate.lock().unwrap().recv(); // all of them go on once the sender is gone
            Ok::<_, store::Error>(())
        })
    };
    let busy = begun(join_all((0..64).map(wait)));
    let made = Arc::new(AtomicBool::new(false));
    let note = Arc::clone(&made);
    drop(begun(kept.store.write(move |_: &Tx<'_>| {
        note.store(true, SeqCst);
        Ok::<_, store::Error>(())
    })));
    drop(let_go);
    assert!(busy.await.iter().all(Result::is_ok));
    kept.store.write(|_: &Tx<'_>| Ok::<_, store::Error>(())).await.unwrap();
    assert!(!made.load(SeqCst));
}

#[tokio::test]
async fn readiness_does_not_wait_behind_the_reads_of_users() {
    let kept = Kept::new().await;
    let (_busy, let_go) = busy_readers(&kept.store);
    tokio::time::timeout(Duration::from_secs(20), kept.app.health.ready()).await.unwrap().unwrap();
    drop(let_go);
}

#[tokio::test]
async fn reads_beyond_the_queue_get_retry_after() {
    let kept = Kept::new().await;
    let (_busy, let_go) = busy_readers(&kept.store);
    let mut waiting = Vec::new();
    let refused = loop {
        let mut read = Box::pin(kept.store.read(|_: &Snapshot<'_>| Ok::<_, store::Error>(())));
        match read.as_mut().now_or_never() {
            Some(refused) => break refused,
            None => waiting.push(read),
        }
        assert!(waiting.len() < 5_000);
    };
    assert!(matches!(refused, Err(store::Error::Unavailable(_))), "{refused:?}");
    drop(let_go);
}
