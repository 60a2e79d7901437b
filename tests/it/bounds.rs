//! The highest cost of every operation, what it lets grow, and that every statement finds its rows by an index.

use std::{
    collections::BTreeSet,
    fmt,
    sync::{Mutex, Once},
    time::Duration,
};

use coffeeshop::{
    auth::Rotation,
    core::Admin,
    domain::Origin,
    operations::{ClockCheck, PurgeScope},
};
use serde_json::{Value, json};
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};
use uuid::Uuid;

use crate::{
    app::{App, PASSWORD},
    audit::{walk_the_api, walk_the_console, walk_the_pages, walk_the_timer},
    matrix::{ACCESS, Access, operations},
    sql::{SERVER, Sql},
};

/// Every statement that this process has run.
pub static STATEMENTS: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// Takes the statements out of the log.
struct Listener;

impl Subscriber for Listener {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // Tests of files run beside those on PostgreSQL.
        let engine =
            if SERVER.is_some() { "coffeeshop::store::postgres" } else { "coffeeshop::store::sqlite" };
        metadata.target().starts_with(engine)
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

pub fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| tracing::subscriber::set_global_default(Listener).unwrap());
}

/// Everything that is asked of the store, in every way that it can be asked.
pub async fn walk_everywhere() -> App {
    walk_the_pages(&App::start().await).await;
    walk_the_console(&App::start().await).await;
    walk_the_timer(&App::start().await).await;
    let app = App::start().await;
    walk_the_api(&app).await;
    let boss = app.log_in("boss@example.com").await;
    let id = boss.id().await;
    for path in
        ["/readyz", "/me/export", "/me/sessions", &format!("/users/{id}"), &format!("/users/{id}/sessions")]
    {
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
    let console = Admin::from_cli();
    app.outbox.list(&console, None).await.unwrap();
    app.outbox.retry(&console, None).await.unwrap();
    let plan = app.purge.plan(PurgeScope::OlderThan(Duration::ZERO), Origin::job());
    app.sign_up("guest@example.com").await;
    app.purge.due_users(&plan, None).await.unwrap();
    app.purge.count_due(&plan).await.unwrap();
    app.purge.held(&plan, ClockCheck::Steady(Duration::ZERO)).await.unwrap();
    app.signing_keys.rotate(&console, Rotation::Emergency).await.unwrap();
    app.printed().await;
    app
}

/// What an operation costs at most.
#[derive(Clone, Copy, Debug)]
enum Cost {
    /// It asks the store nothing.
    NoRead,
    /// A few rows, each found by an index.
    Rows,
    /// As many rows as a page has, 200 at most, each found by an index.
    Page,
    /// The sessions of a user, 120 at most.
    Sessions,
    /// One to three password hashes, on threads of their own behind a queue with an end.
    Hash,
    /// 2,000 events, 200 messages and 120 sessions, written on the same threads, as often as the budget of the account says.
    Export,
}

/// What bounds how much an operation can leave in the store if it is repeated without end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Growth {
    /// It leaves nothing.
    Nothing,
    /// A budget of messages of the client.
    Messages,
    /// What it uses up was sent in a message, which had a budget.
    Sent,
    /// A budget of changes of the account, and one of the client.
    Changes,
    /// The same for an admin, who has ten times as much.
    AdminChanges,
    /// What it ends was begun by a login, which had a budget.
    Ended,
    /// Messages to an address and from an account are counted.
    Counted,
    /// There is one account to delete.
    Once,
}

/// Every operation. One without a line here fails the test.
const BOUNDS: [(&str, Cost, Growth); 30] = [
    ("signup", Cost::Hash, Growth::Messages),
    ("verify", Cost::Rows, Growth::Sent),
    ("resend_verification", Cost::Rows, Growth::Messages),
    ("login", Cost::Hash, Growth::Changes),
    ("refresh", Cost::Rows, Growth::Ended),
    ("logout", Cost::Rows, Growth::Ended),
    ("forgot_password", Cost::Rows, Growth::Messages),
    ("reset_password", Cost::Hash, Growth::Sent),
    ("healthz", Cost::NoRead, Growth::Nothing),
    ("readyz", Cost::Rows, Growth::Nothing),
    ("jwks", Cost::NoRead, Growth::Nothing),
    ("logout_all", Cost::Sessions, Growth::Ended),
    ("get_me", Cost::Rows, Growth::Nothing),
    ("edit_me", Cost::Rows, Growth::Changes),
    ("delete_me", Cost::Hash, Growth::Once),
    ("change_password", Cost::Hash, Growth::Changes),
    ("change_email", Cost::Hash, Growth::Counted),
    ("export_me", Cost::Export, Growth::Nothing),
    ("list_my_sessions", Cost::Sessions, Growth::Nothing),
    ("end_my_session", Cost::Rows, Growth::Ended),
    ("edit_user", Cost::Rows, Growth::AdminChanges),
    ("list_users", Cost::Page, Growth::Nothing),
    ("invite_user", Cost::Rows, Growth::AdminChanges),
    ("get_user", Cost::Rows, Growth::Nothing),
    ("delete_user", Cost::Rows, Growth::AdminChanges),
    ("list_sessions", Cost::Sessions, Growth::Nothing),
    ("end_sessions", Cost::Sessions, Growth::Ended),
    ("list_audit", Cost::Page, Growth::Nothing),
    ("verify_page", Cost::Rows, Growth::Sent),
    ("reset_page", Cost::Hash, Growth::Messages),
];

impl Growth {
    /// How many rows of a table it may leave when each budget lets one through at once, and an admin's ten.
    const fn most(self) -> i64 {
        match self {
            Self::Nothing => 0,
            Self::Messages | Self::Sent | Self::Changes | Self::Ended | Self::Once => 1,
            Self::AdminChanges => 10,
            Self::Counted => 20 * 2, // to the new address and to the old one
        }
    }
}

/// How many rows each table that grows has, but for the budgets themselves.
fn rows(app: &App) -> Vec<(&'static str, i64)> {
    let tables = GROWING.into_iter().filter(|table| !["rate_limits", "sent_codes"].contains(table));
    tables.map(|table| (table, app.sql.count(table))).collect()
}

/// The body of the n-th request of many: everything in it that can differ does.
fn body(example: &Value, round: usize, refresh_token: &str) -> Value {
    let mut body = example.clone();
    for (field, value) in body.as_object_mut().unwrap() {
        match field.as_str() {
            "first_name" | "last_name" => *value = json!(format!("Nr {round}")),
            "email" | "new_email" => *value = json!(format!("guest{round}@example.com")),
            "password" | "current_password" | "new_password" => *value = json!(PASSWORD),
            "refresh_token" => *value = json!(refresh_token),
            "role" => *value = json!("user"),
            _ => {}
        }
    }
    body
}

#[test]
fn every_operation_has_bounds() {
    let known: BTreeSet<_> = BOUNDS.iter().map(|(id, ..)| *id).collect();
    let there: BTreeSet<_> = ACCESS.iter().map(|(id, _)| *id).collect();
    assert_eq!(known, there);
}

#[tokio::test]
async fn nothing_grows_past_its_budget_however_often_it_is_asked() {
    const ANN: &str = "ann@example.com";
    for operation in operations() {
        let (_, _, growth) = BOUNDS.into_iter().find(|(id, ..)| *id == operation.id).unwrap();
        let app = App::start().await;
        let (boss, ann) = (app.admin().await, app.signed_in(ANN).await);
        let tokens = app.tokens(ANN).await;
        let session = &ann.get("/me/sessions").await.body["items"][1]["id"];
        let id = if operation.id == "end_my_session" { session.clone() } else { json!(ann.id().await) };
        let path = operation.path.replace("{id}", id.as_str().unwrap());
        // The same shop, from now on with budgets of one.
        let app = app
            .beside(|config| {
                let limits = &mut config.rate_limit;
                limits.enabled = true;
                (limits.mail_burst, limits.client_burst) = (1, 1);
                (limits.change_burst, limits.client_change_burst) = (1, 100);
                for refill in [&mut limits.mail_refill, &mut limits.client_refill, &mut limits.change_refill]
                {
                    *refill = "1d".parse().unwrap();
                }
            })
            .await;
        let (_, access) = ACCESS.into_iter().find(|(id, _)| *id == operation.id).unwrap();
        let token = match access {
            Access::Open => None,
            Access::SignedIn => ann.token,
            Access::OwnOrAdmin | Access::Admin => boss.token,
        };
        let caller = token.map_or_else(|| app.anyone(), |token| app.with_token(token)).from("192.0.2.1");
        let before = rows(&app);
        for round in 0..30 {
            let body = operation.example.as_ref().map(|example| {
                let mut body = body(example, round, tokens["refresh_token"].as_str().unwrap());
                if operation.id == "login" || operation.id == "forgot_password" {
                    body["email"] = json!(ANN);
                }
                body
            });
            caller.send(operation.method.clone(), &path, body).await;
            app.wait(Duration::from_secs(1));
        }
        for ((table, before), (_, after)) in before.into_iter().zip(rows(&app)) {
            let grown = after - before;
            assert!(grown <= growth.most(), "{}: {grown} more rows of {table}", operation.id);
        }
    }
}

/// The tables that grow with use. A statement that looks at all of their rows, or sorts them, costs more the longer a shop is
/// open.
const GROWING: [&str; 7] =
    ["users", "sessions", "codes", "outbox", "audit_events", "sent_codes", "rate_limits"];
/// The tables that do not: a few rows each.
const SMALL: [&str; 5] = ["issuers", "signing_keys", "clean_up", "store_info", "refinery_schema_history"];

/// The statements that do so all the same, each with the reason why it may; with a … only their beginning is told.
const EXCEPTIONS: [(&str, &str); 9] = [
    ("SELECT 1 FROM outbox o WHERE attempts …", "walks messages that wait, for the worker and no request"),
    ("SELECT count(*) FROM (SELECT 1 FROM users LIMIT 1) one", "looks at one row"),
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
        "WITH due AS MATERIALIZED (SELECT seq FROM outbox o WHERE attempts …",
        "walks messages that wait, for the worker and no request",
    ),
];

/// Whether a step of a statement's plan looks at every row of a table that grows, or sorts rows.
fn is_long(step: &str, sql: &str) -> bool {
    let of_growing = || GROWING.iter().any(|table| step.contains(&format!(" on {table}")));
    if step.starts_with("Sort") {
        return !is_sorted_at_the_end(sql);
    }
    // Among a few rows PostgreSQL reads all for the page that was found; among 300,000 it was seen to look each up.
    if step.contains("_pkey on ") && is_sorted_at_the_end(sql) {
        return false;
    }
    if step.starts_with("Seq Scan") || step.starts_with("Index") && !step.contains("Index Cond") {
        return of_growing();
    }
    if step.contains("TEMP B-TREE") {
        return true;
    }
    let Some(name) = step.strip_prefix("SCAN ").and_then(|rest| rest.split(' ').next()) else { return false };
    let is_alias =
        |table: &&str| sql.contains(&format!("{table} {name} ")) || sql.ends_with(&format!("{table} {name}"));
    GROWING.contains(&name) || GROWING.iter().any(is_alias)
}

/// Whether what a statement sorts are the few rows that limited lists have found.
fn is_sorted_at_the_end(sql: &str) -> bool {
    sql.contains(" WHERE seq IN (")
}

#[tokio::test]
async fn every_statement_finds_its_rows_by_an_index() {
    listen();
    let app = walk_everywhere().await;
    let mut long = Vec::new();
    let statements = STATEMENTS.lock().unwrap().clone();
    for sql in &statements {
        let steps = app.sql.plan(sql, if is_sorted_at_the_end(sql) { "on" } else { "off" });
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
    let mut tables: BTreeSet<String> = app.sql.tables().into_iter().collect();
    tables.retain(|table| !table.starts_with("users_search")); // SQLite's own tables of an index
    let of_engine: &[&str] = match app.sql {
        Sql::Sqlite(_) => &["user_counts", "user_arrivals"],
        Sql::Postgres(_) => &[],
    };
    let known = GROWING.iter().chain(&SMALL).chain(of_engine);
    assert_eq!(tables, known.map(|&name| name.to_owned()).collect());
}
