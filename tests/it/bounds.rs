//! What every operation costs at most and lets grow, and that every statement finds its rows by an index.

use std::{
    collections::BTreeSet,
    fmt,
    sync::{Mutex, Once},
    time::Duration,
};

use coffeeshop::{
    accounts::{Admin, Rotation, Which},
    model::Origin,
};
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};
use uuid::Uuid;

use crate::{
    app::App,
    audit::{walk_the_api, walk_the_console, walk_the_pages, walk_the_timer},
};

/// Every statement that this process has run.
static STATEMENTS: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// Takes the statements out of the log.
struct Listener;

impl Subscriber for Listener {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("coffeeshop::store")
    }

    fn event(&self, event: &Event<'_>) {
        event.record(&mut Note);
    }

    fn new_span(&self, _span: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _span: &span::Id, _values: &span::Record<'_>) {}
    fn record_follows_from(&self, _span: &span::Id, _follows: &span::Id) {}
    fn enter(&self, _span: &span::Id) {}
    fn exit(&self, _span: &span::Id) {}
}

struct Note;

impl Visit for Note {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "sql" {
            STATEMENTS.lock().unwrap().insert(value.to_owned());
        }
    }

    fn record_debug(&mut self, _field: &Field, _value: &dyn fmt::Debug) {}
}

fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| tracing::subscriber::set_global_default(Listener).unwrap());
}

/// Everything that is asked of the store, in every way that it can be asked.
async fn walk_everywhere() -> App {
    walk_the_pages(&limited().await).await;
    walk_the_console(&limited().await).await;
    walk_the_timer(&limited().await).await;
    let app = limited().await;
    walk_the_api(&app).await;
    let boss = app.log_in("boss@example.com").await;
    let id = boss.id().await;
    for path in ["/me/export", "/me/sessions", &format!("/users/{id}"), &format!("/users/{id}/sessions")] {
        boss.get(path).await.is(200);
    }
    for sort in ["created_at", "-created_at", "email", "-email"] {
        for filter in
            ["", "&role=admin", "&status=verified&disabled=false", "&q=boss", "&q=o", "&q=boss&role=admin"]
        {
            let path = format!("/users?limit=1&include_total=true&sort={sort}{filter}");
            let page = boss.get(&path).await.is(200).body;
            if let Some(cursor) = page["next_cursor"].as_str() {
                boss.get(&format!("{path}&cursor={cursor}")).await.is(200);
            }
        }
    }
    for filter in ["", "&action=user.edited"] {
        for whom in ["", &format!("&user_id={id}"), &format!("&user_id={}", Uuid::now_v7())] {
            for who in ["", &format!("&actor_id={id}")] {
                boss.get(&format!("/audit?limit=1{filter}{whom}{who}")).await.is(200);
            }
        }
    }
    let (console, accounts) = (Admin::at_console(), &app.accounts);
    accounts.messages(&console, 0).await.unwrap();
    accounts.retry_messages(&console, None).await.unwrap();
    let plan = accounts.plan_purge(Which::OlderThan(Duration::ZERO), Origin::timer());
    app.sign_up("guest@example.com").await;
    let page = accounts.due_users(&plan, None).await.unwrap();
    accounts.due_users(&plan, page.last().cloned()).await.unwrap();
    accounts.count_due(&plan).await.unwrap();
    accounts.is_drastic(&plan).await.unwrap();
    accounts.rotate_keys(&console, Rotation::Emergency).await.unwrap();
    app.printed().await;
    app
}

async fn limited() -> App {
    App::with(|config| config.rate_limit.enabled = true).await
}

/// The tables that grow with use. A statement that looks at all of their rows, or sorts them, costs more the longer a shop is
/// open.
const GROWING: [&str; 7] = ["users", "sessions", "codes", "outbox", "audit_events", "sent_codes", "limits"];
/// The tables that do not: a few rows each.
const SMALL: [&str; 4] = ["signing_keys", "user_counts", "user_arrivals", "refinery_schema_history"];

/// The statements that do so all the same, each with the reason why it may; with a … only their beginning is told.
const EXCEPTIONS: [(&str, &str); 7] = [
    ("DELETE FROM sessions", "an admin on the command line ends every session"),
    ("SELECT DISTINCT user_id FROM sessions", "the same"),
    ("SELECT kid, …", "there are few keys"),
    ("SELECT s.id, …", "a user has 120 sessions at most"),
    (
        "SELECT u.id, …",
        "sorts a page from each of eight parts of an index, or at most 4,000 candidates of a search",
    ),
    (
        "SELECT min((SELECT count(*) FROM (SELECT search_text FROM users ORDER BY seq DESC LIMIT ?2) …",
        "500 users",
    ),
    (
        "UPDATE outbox SET attempts = attempts + 1, …",
        "walks messages that wait, for the worker and no request",
    ),
];

/// Whether a step of a statement's plan looks at every row of a table that grows, or sorts rows.
fn is_long(step: &str, sql: &str) -> bool {
    if step.contains("TEMP B-TREE") {
        return true;
    }
    let Some(name) = step.strip_prefix("SCAN ").and_then(|rest| rest.split(' ').next()) else { return false };
    let is_alias =
        |table: &&str| sql.contains(&format!("{table} {name} ")) || sql.ends_with(&format!("{table} {name}"));
    GROWING.contains(&name) || GROWING.iter().any(|table| is_alias(&table))
}

#[tokio::test]
async fn every_statement_finds_its_rows_by_an_index() {
    listen();
    let app = walk_everywhere().await;
    let store = app.opened();
    let mut long = Vec::new();
    for sql in STATEMENTS.lock().unwrap().iter() {
        let mut explain = store.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let nothing = rusqlite::params_from_iter(vec![None::<i64>; explain.parameter_count()]);
        let steps: Vec<String> =
            explain.query_map(nothing, |row| row.get(3)).unwrap().map(Result::unwrap).collect();
        let is_known = EXCEPTIONS.iter().any(|(known, _)| match known.strip_suffix('…') {
            Some(start) => sql.starts_with(start),
            None => sql == known,
        });
        let step = steps.iter().find(|step| is_long(step, sql)).filter(|_| !is_known);
        long.extend(step.map(|step| format!("{step}: {sql}")));
    }
    assert!(long.is_empty(), "{long:#?}");
}

#[tokio::test]
async fn every_table_is_known_to_grow_or_to_stay_small() {
    let app = App::start().await;
    let names = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'users_search%'";
    let store = app.opened();
    let mut tables = store.prepare(names).unwrap();
    let tables = tables.query_map([], |row| row.get(0)).unwrap();
    let tables: BTreeSet<String> = tables.map(Result::unwrap).collect();
    let known: BTreeSet<String> = GROWING.iter().chain(&SMALL).map(|&name| name.to_owned()).collect();
    assert_eq!(tables, known);
}
