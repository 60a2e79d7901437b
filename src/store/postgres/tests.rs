//! The engine on a real server, the one that `COFFEESHOP_TEST_DATABASE` names; without it there is nothing to test.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{sync::Notify, task::JoinSet};

use super::{
    calls::{Caller, Isolation},
    engine::Engine,
    server::Server,
};
use crate::{
    config::{Database, Postgres, Tls},
    domain::{CountKey, SessionId, Timestamp},
    store::{
        ServerFault,
        error::Error,
        open::{OpenError, OpenMode},
        tables::{Kind, TABLES},
        tx::Tx,
    },
};

const KEY: CountKey = CountKey([7; 32]);

/// The settings of an empty schema of its own, which stays.
async fn settings() -> Option<Postgres> {
    #[expect(clippy::disallowed_methods, reason = "the one setting of the tests")]
    let url = std::env::var("COFFEESHOP_TEST_DATABASE").ok().filter(|url| !url.is_empty())?;
    let schema = format!("test_{}", SessionId::new().as_uuid().simple());
    let joint = if url.contains('?') { '&' } else { '?' };
    let of = |url: &str| {
        let url = Some(url.parse().expect("a URL"));
        match (Database { url, tls: Tls::Off, ..Database::default() }).engine() {
            crate::config::Engine::Postgres(settings) => settings,
            crate::config::Engine::Sqlite(_) => unreachable!("there is a URL"),
        }
    };
    let opened = Server::new(&of(&url)).expect("a server").connect().await.expect("a connection");
    let client = opened.client;
    client.batch_execute(&format!("CREATE SCHEMA {schema}")).await.expect("a schema");
    Some(of(&format!("{url}{joint}options=-c%20search_path%3D{schema}")))
}

async fn engine(settings: &Postgres) -> Engine {
    Engine::open(settings, OpenMode::CreateOrMigrate).await.expect("a store").0
}

fn caller(settings: &Postgres) -> Caller {
    Caller::new(Arc::new(Server::new(settings).expect("a server")), Arc::new(Notify::new()))
}

/// Runs `test` on a thread that waits for its own connection.
async fn on_a_thread(settings: Postgres, test: impl FnOnce(Caller) + Send + 'static) {
    tokio::task::spawn_blocking(move || test(caller(&settings))).await.expect("no panic");
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(10)
}

/// Adds one to a number, as a closure does that knows of no other.
fn count(tx: &Tx<'_>) -> Result<(), Error> {
    let (now, until) = (Timestamp::from_millis(1), Timestamp::from_millis(i64::MAX));
    let sent = tx.sent_codes(KEY, now)?.map_or(0, |(sent, _)| sent);
    tx.put_sent_codes(KEY, sent + 1, now, until)
}

fn counted(tx: &Tx<'_>) -> Result<u8, Error> {
    Ok(tx.sent_codes(KEY, Timestamp::from_millis(1))?.map_or(0, |(sent, _)| sent))
}

fn kill(tx: &Tx<'_>) -> Result<u64, Error> {
    tx.number("SELECT CAST(pg_terminate_backend(pg_backend_pid()) AS INTEGER)", ())
}

#[tokio::test]
async fn what_is_written_is_read_by_another_process() {
    let Some(settings) = settings().await else { return };
    let refused = Engine::open(&settings, OpenMode::RequireCurrent).await;
    assert!(matches!(refused, Err(OpenError::Server { fault: ServerFault::Empty, .. })));
    let writing = engine(&settings).await;
    writing.write(count).await.expect("written");
    let (reading, migrated) = Engine::open(&settings, OpenMode::RequireCurrent).await.expect("a store");
    assert_eq!(migrated, Vec::<String>::new());
    let sent = reading.read(|tx| tx.sent_codes(KEY, Timestamp::from_millis(1))).await;
    assert_eq!(sent.expect("read"), Some((1, Timestamp::from_millis(1))));
    reading.probe().await.expect("ready");
    assert!(reading.session_with_user(SessionId::new()).await.expect("an answer").is_none());
    writing.close().await;
}

#[tokio::test]
async fn processes_that_start_together_migrate_once() {
    let Some(settings) = settings().await else { return };
    let open = || Engine::open(&settings, OpenMode::CreateOrMigrate);
    let (one, two, three) = tokio::join!(open(), open(), open());
    let migrated = [one, two, three].map(|opened| opened.expect("a store").1);
    assert_eq!(migrated.iter().filter(|names| !names.is_empty()).count(), 1, "{migrated:?}");
}

#[tokio::test]
async fn a_write_in_conflict_is_run_again() {
    let Some(settings) = settings().await else { return };
    let engines = [engine(&settings).await, engine(&settings).await];
    let mut writes = JoinSet::new();
    for n in 0..60 {
        let engine = engines[n % 2].clone();
        writes.spawn(async move { engine.write(count).await });
    }
    assert!(writes.join_all().await.iter().all(Result::is_ok));
    let sent = engines[0].read(|tx| tx.sent_codes(KEY, Timestamp::from_millis(1))).await.expect("read");
    assert_eq!(sent.map(|(sent, _)| sent), Some(60));
}

#[tokio::test]
async fn a_connection_lost_before_the_commit_is_made_anew_once() {
    let Some(settings) = settings().await else { return };
    engine(&settings).await;
    on_a_thread(settings, |mut caller| {
        let rounds = AtomicU32::new(0);
        let lost = |times: u32| {
            let rounds = &rounds;
            move |tx: &Tx<'_>| {
                count(tx)?;
                if rounds.fetch_add(1, Ordering::Relaxed) < times {
                    kill(tx)?;
                }
                Ok(())
            }
        };
        caller.run::<_, Error>(lost(1), Isolation::Serializable, soon()).expect("written");
        rounds.store(0, Ordering::Relaxed);
        let refused = caller.run::<_, Error>(lost(9), Isolation::Serializable, soon());
        assert!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
        assert_eq!(rounds.load(Ordering::Relaxed), 2);
        assert_eq!(caller.run(counted, Isolation::Snapshot, soon()).expect("read"), 1);
    })
    .await;
}

#[tokio::test]
async fn a_connection_lost_in_the_commit_leaves_the_outcome_unknown() {
    let Some(settings) = settings().await else { return };
    engine(&settings).await;
    on_a_thread(settings, |mut caller| {
        let trigger = |tx: &Tx<'_>| {
            tx.execute(
                "CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS \
                 'BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END'",
                (),
            )?;
            tx.execute(
                "CREATE CONSTRAINT TRIGGER die AFTER INSERT ON sent_codes DEFERRABLE INITIALLY DEFERRED \
                 FOR EACH ROW EXECUTE FUNCTION die()",
                (),
            )
        };
        caller.run::<_, Error>(trigger, Isolation::Serializable, soon()).expect("a trigger");
        let unknown = caller.run(count, Isolation::Serializable, soon());
        assert!(matches!(unknown, Err(Error::OutcomeUnknown(_))), "{unknown:?}");
        assert_eq!(caller.run(counted, Isolation::Snapshot, soon()).expect("a new connection"), 0);
    })
    .await;
}

#[tokio::test]
async fn a_server_that_has_become_read_only_is_left() {
    let Some(settings) = settings().await else { return };
    engine(&settings).await;
    on_a_thread(settings, |mut caller| {
        let rounds = AtomicU32::new(0);
        let demoted = |tx: &Tx<'_>| {
            if rounds.fetch_add(1, Ordering::Relaxed) == 0 {
                tx.execute("SET TRANSACTION READ ONLY", ())?;
            }
            count(tx)
        };
        caller.run(demoted, Isolation::Serializable, soon()).expect("written over a new connection");
        assert_eq!(rounds.load(Ordering::Relaxed), 2);
    })
    .await;
}

#[tokio::test]
async fn a_statement_whose_plan_is_out_of_date_is_prepared_again() {
    let Some(settings) = settings().await else { return };
    engine(&settings).await;
    on_a_thread(settings, |mut caller| {
        let every = |tx: &Tx<'_>| tx.all("SELECT * FROM issuers", (), |_| Ok(()));
        caller.run(every, Isolation::Snapshot, soon()).expect("prepared");
        let migrate = |tx: &Tx<'_>| tx.execute("ALTER TABLE issuers ADD COLUMN further BIGINT", ());
        caller.run(migrate, Isolation::Serializable, soon()).expect("another column");
        caller.run(every, Isolation::Snapshot, soon()).expect("prepared again");
    })
    .await;
}

#[tokio::test]
async fn a_write_that_is_always_in_conflict_is_given_up() {
    let Some(settings) = settings().await else { return };
    engine(&settings).await;
    on_a_thread(settings, |mut caller| {
        let rounds = AtomicU32::new(0);
        let unlucky = |tx: &Tx<'_>| -> Result<(), Error> {
            count(tx)?;
            rounds.fetch_add(1, Ordering::Relaxed);
            // Whatever the closure makes of it.
            let _ = tx.conflict("as the test wants it");
            Ok(())
        };
        let refused = caller.run(unlucky, Isolation::Serializable, soon());
        assert!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
        assert_eq!(rounds.load(Ordering::Relaxed), 30);
        assert_eq!(caller.run(counted, Isolation::Snapshot, soon()).expect("read"), 0);
        let late = caller.run(counted, Isolation::Snapshot, Instant::now());
        assert!(matches!(late, Err(Error::Unavailable(_))), "{late:?}");
    })
    .await;
}

#[tokio::test]
async fn a_failed_statement_is_never_committed_past() {
    let Some(settings) = settings().await else { return };
    engine(&settings).await;
    on_a_thread(settings, |mut caller| {
        let careless = |tx: &Tx<'_>| {
            count(tx)?;
            let _ = tx.execute("SELECT 1 / 0", ());
            Ok(())
        };
        let refused = caller.run::<_, Error>(careless, Isolation::Serializable, soon());
        assert!(matches!(refused, Err(Error::Defect(_))), "{refused:?}");
        assert_eq!(caller.run(counted, Isolation::Snapshot, soon()).expect("read"), 0);
        let writing = caller.run(count, Isolation::Snapshot, soon());
        assert!(writing.is_err(), "a read may not write");
        let panicking = |_: &Tx<'_>| -> Result<(), Error> { panic!("a closure") };
        assert!(matches!(caller.run(panicking, Isolation::Serializable, soon()), Err(Error::Defect(_))));
        caller.run(count, Isolation::Serializable, soon()).expect("written");
    })
    .await;
}

#[tokio::test]
async fn a_call_ends_at_its_deadline_and_the_next_one_has_a_new_connection() {
    let Some(settings) = settings().await else { return };
    engine(&settings).await;
    on_a_thread(settings, |mut caller| {
        let slow = |tx: &Tx<'_>| tx.number("SELECT 1 FROM pg_sleep(4)", ());
        let begun = Instant::now();
        let refused =
            caller.run::<_, Error>(slow, Isolation::Snapshot, Instant::now() + Duration::from_millis(300));
        assert!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
        assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
        caller.run(count, Isolation::Serializable, soon()).expect("written");
    })
    .await;
}

#[tokio::test]
async fn a_process_is_not_ready_on_a_schema_that_is_not_its_own() {
    let Some(settings) = settings().await else { return };
    let engine = engine(&settings).await;
    let set = async |what: &'static str| {
        let sql = format!("UPDATE store_info SET {what}");
        engine.write(move |tx| tx.execute(&sql, ())).await.expect("written");
    };
    set("schema = 99").await;
    engine.probe().await.expect("an additive migration");
    let open = || Engine::open(&settings, OpenMode::RequireCurrent);
    assert!(open().await.is_ok());
    set("oldest_program = 99").await;
    assert!(engine.probe().await.is_err());
    assert!(matches!(open().await, Err(OpenError::Newer { found: 99, .. })));
    set("schema = 1, oldest_program = 1, moved_to = 'there'").await;
    assert!(matches!(open().await, Err(OpenError::Moved { to, .. }) if to == "there"));
    assert!(engine.probe().await.is_err());
    engine
        .write(|tx| tx.execute("ALTER TABLE sent_codes RENAME TO moved_sent_codes", ()))
        .await
        .expect("moved");
    let refused = engine.write(count).await;
    assert!(matches!(&refused, Err(Error::Unavailable(why)) if why.ends_with("there")), "{refused:?}");
}

#[tokio::test]
async fn the_list_of_moved_tables_is_that_of_the_schema() {
    let Some(settings) = settings().await else { return };
    engine(&settings).await.close().await;
    let server = Server::new(&settings).expect("a server");
    let client = server.connect().await.expect("a connection").client;
    let columns = "SELECT table_name, column_name, data_type FROM information_schema.columns \
                   WHERE table_schema = current_schema() ORDER BY 1, 2, 3";
    let found: Vec<[String; 3]> = client
        .query(columns, &[])
        .await
        .expect("columns")
        .iter()
        .map(|row| [row.get(0), row.get(1), row.get(2)])
        .filter(|[table, ..]: &[String; 3]| {
            !["refinery_schema_history", "store_info"].contains(&table.as_str())
        })
        .collect();
    let sql_type = |kind: Kind| match kind {
        Kind::Int => "bigint",
        Kind::Bool => "boolean",
        Kind::Text => "text",
        Kind::Id => "uuid",
        Kind::Bytes => "bytea",
    };
    let mut listed = Vec::new();
    for table in TABLES {
        for (name, kind) in table.columns {
            listed.push([table.name, *name, sql_type(*kind)].map(str::to_owned));
        }
    }
    listed.sort();
    assert_eq!(listed, found);
}
