//! Tables over the whole API: who may do what, which fields change what, and what is left of tokens and codes after each
//! event. They are made from the API document, so that a new operation enters them by itself, or fails them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use coffeeshop::auth::Rotation;
use coffeeshop::core::Admin;
use poem::http::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::{
    app::{Answer, App, Caller, PASSWORD},
    document::openapi,
    interrupted::interrupted,
    links,
};

const ANN: &str = "ann@example.com";
const EVE: &str = "eve@example.com";
const NEW: &str = "lungo hums at dawn";

/// Who may come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// All callers, with or without a token.
    Open,
    /// Logged-in users, about themselves.
    SignedIn,
    /// The user whose id is in the path, and admins.
    OwnOrAdmin,
    /// Admins.
    Admin,
}

/// Every operation. One without a row here fails the test.
pub const ACCESS: [(&str, Access); 30] = [
    ("signup", Access::Open),
    ("verify", Access::Open),
    ("resend_verification", Access::Open),
    ("login", Access::Open),
    ("refresh", Access::Open),
    ("logout", Access::Open),
    ("forgot_password", Access::Open),
    ("reset_password", Access::Open),
    ("healthz", Access::Open),
    ("readyz", Access::Open),
    ("jwks", Access::Open),
    ("logout_all", Access::SignedIn),
    ("get_me", Access::SignedIn),
    ("edit_me", Access::SignedIn),
    ("delete_me", Access::SignedIn),
    ("change_password", Access::SignedIn),
    ("change_email", Access::SignedIn),
    ("export_me", Access::SignedIn),
    ("list_my_sessions", Access::SignedIn),
    ("end_my_session", Access::SignedIn),
    ("edit_user", Access::OwnOrAdmin),
    ("list_users", Access::Admin),
    ("invite_user", Access::Admin),
    ("get_user", Access::Admin),
    ("delete_user", Access::Admin),
    ("list_sessions", Access::Admin),
    ("end_sessions", Access::Admin),
    ("list_audit", Access::Admin),
    ("verify_page", Access::Open),
    ("reset_page", Access::Open),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Identity {
    Anonymous,
    Unverified,
    User,
    Admin,
    UnverifiedAdmin,
    Disabled,
    Deleted,
    ExpiredToken,
}

const IDENTITIES: [Identity; 8] = [
    Identity::Anonymous,
    Identity::Unverified,
    Identity::User,
    Identity::Admin,
    Identity::UnverifiedAdmin,
    Identity::Disabled,
    Identity::Deleted,
    Identity::ExpiredToken,
];

pub struct Operation {
    pub id: String,
    pub method: Method,
    pub path: String,
    pub example: Option<Value>,
    fields: BTreeSet<String>,
}

pub fn operations() -> Vec<Operation> {
    let document = openapi();
    let mut operations = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let body = &operation["requestBody"]["content"]["application/json"]["schema"]["$ref"];
            let schema = body
                .as_str()
                .map(|name| &document["components"]["schemas"][name.rsplit('/').next().unwrap()]);
            operations.push(Operation {
                id: operation["operationId"].as_str().unwrap().to_owned(),
                method: method.to_uppercase().parse().unwrap(),
                path: path.clone(),
                example: schema.map(|schema| schema["example"].clone()),
                fields: schema.map(fields).unwrap_or_default(),
            });
        }
    }
    operations
}

fn fields(schema: &Value) -> BTreeSet<String> {
    schema["properties"].as_object().map(|fields| fields.keys().cloned().collect()).unwrap_or_default()
}

/// A caller of this kind, with their id.
async fn caller<'a>(app: &'a App, boss: &Caller<'a>, identity: Identity) -> (Caller<'a>, String) {
    let path = |id: &str| format!("/users/{id}");
    if identity == Identity::Anonymous {
        return (app.anyone(), app.sign_up(ANN).await["id"].as_str().unwrap().to_owned());
    }
    let ann = match identity {
        Identity::Unverified => app.unverified(ANN).await,
        Identity::Admin => app.another_admin(ANN).await,
        _ => app.signed_in(ANN).await,
    };
    let id = ann.id().await;
    match identity {
        Identity::UnverifiedAdmin => {
            let change = json!({ "role": "admin", "status": "unverified" });
            boss.patch(&path(&id), change).await.is(200);
        }
        Identity::Disabled => {
            boss.patch(&path(&id), json!({ "disabled": true })).await.is(200);
        }
        Identity::Deleted => {
            boss.delete(&path(&id)).await.is(204);
        }
        Identity::ExpiredToken => app.wait(Duration::from_mins(16)),
        _ => {}
    }
    (ann, id)
}

/// Everything in the store that an operation could change, but for budgets.
fn contents(app: &App) -> Vec<String> {
    let mut rows = Vec::new();
    for table in ["users", "sessions", "codes", "outbox", "signing_keys", "audit_events"] {
        let found = app.sql.rows(&format!("SELECT * FROM {table}"));
        rows.extend(found.into_iter().map(|cells| format!("{table} {cells:?}")));
    }
    rows.sort();
    rows
}

async fn send(who: &Caller<'_>, operation: &Operation, id: &str) -> Answer {
    let path = operation.path.replace("{id}", id);
    who.send(operation.method.clone(), &path, operation.example.clone()).await
}

/// What a cell must be: nothing is said about the answer to a caller with access.
fn expected(access: Access, identity: Identity, own: bool) -> Option<(u16, &'static str)> {
    const NOT_SIGNED_IN: Option<(u16, &str)> = Some((401, "invalid_token"));
    const FORBIDDEN: Option<(u16, &str)> = Some((403, "forbidden"));
    match (access, identity) {
        (Access::Open, _) => None,
        (_, Identity::Anonymous | Identity::Disabled | Identity::Deleted | Identity::ExpiredToken) => {
            NOT_SIGNED_IN
        }
        (Access::SignedIn, _) | (_, Identity::Admin) => None,
        (Access::OwnOrAdmin, _) if own => None,
        (Access::OwnOrAdmin | Access::Admin, _) => FORBIDDEN,
    }
}

#[test]
fn every_operation_has_its_row() {
    let known: BTreeSet<_> = ACCESS.iter().map(|(id, _)| (*id).to_owned()).collect();
    let pages = ["verify_page", "reset_page"].map(str::to_owned); // they are in no document: tests of their own
    let there: BTreeSet<_> = operations().into_iter().map(|operation| operation.id).chain(pages).collect();
    assert_eq!(known, there);
}

#[tokio::test]
async fn each_role_may_do_what_is_documented_and_nothing_else() {
    let mut cells = 0;
    for operation in operations() {
        let (_, access) = ACCESS.iter().find(|(id, _)| *id == operation.id).unwrap();
        for identity in IDENTITIES {
            let app = App::start().await;
            let boss = app.admin().await;
            let eve = app.signed_in(EVE).await;
            let others = if operation.id == "end_my_session" {
                eve.get("/me/sessions").await.body["items"][0]["id"].as_str().unwrap().to_owned()
            } else {
                eve.id().await
            };
            let (who, own) = caller(&app, &boss, identity).await;
            let before = contents(&app);
            for (id, is_own) in [(&others, false), (&own, true)] {
                let name = format!("{} as {identity:?}, own: {is_own}", operation.id);
                let answer = match (*access, is_own) {
                    // Of themselves users may edit the names alone.
                    (Access::OwnOrAdmin, true) => {
                        who.patch(&format!("/users/{id}"), json!({ "first_name": "Zoe" })).await
                    }
                    _ => send(&who, &operation, id).await,
                };
                match expected(*access, identity, is_own) {
                    Some((status, code)) => {
                        assert_eq!(
                            (answer.status, answer.body["code"].as_str()),
                            (status, Some(code)),
                            "{name}"
                        );
                        assert!(!String::from_utf8_lossy(&answer.bytes).contains("example.com"), "{name}");
                        assert_eq!(contents(&app), before, "{name} changed something");
                    }
                    None => {
                        let code = answer.body["code"].as_str().unwrap_or_default();
                        assert!(!["invalid_token", "forbidden"].contains(&code), "{name}: {code}");
                    }
                }
                cells += 1;
                if expected(*access, identity, is_own).is_none() {
                    break; // it may have changed who is who
                }
            }
        }
    }
    assert!(cells > 300, "{cells}");
}

#[tokio::test]
async fn a_session_of_another_user_cannot_be_ended() {
    let app = App::start().await;
    let (ann, eve) = (app.signed_in(ANN).await, app.signed_in(EVE).await);
    let hers = eve.get("/me/sessions").await.body["items"][0]["id"].as_str().unwrap().to_owned();
    let refused = ann.delete(&format!("/me/sessions/{hers}")).await.refused(404, "not_found");
    let unknown = ann.delete("/me/sessions/01a20484-5510-7459-83e3-5aa42d102753").await;
    assert_eq!(refused.look(), unknown.look());
    eve.get("/me").await.is(200);
}

#[tokio::test]
async fn no_operation_takes_a_field_that_is_not_its_own() {
    let document = openapi();
    let schemas = document["components"]["schemas"].as_object().unwrap();
    let mut every: BTreeSet<String> = schemas.values().flat_map(fields).collect();
    every.extend(
        ["password_hash", "seq", "email_key", "user_id", "token_version", "verified"].map(str::to_owned),
    );
    let app = App::start().await;
    let (boss, ann) = (app.admin().await, app.signed_in(ANN).await);
    let id = ann.id().await;
    let before = contents(&app);
    let mut tried = 0;
    for operation in operations().into_iter().filter(|operation| operation.example.is_some()) {
        let path = operation.path.replace("{id}", &id);
        for field in every.difference(&operation.fields) {
            for (who, caller) in
                [("anonymous", app.anyone()), ("a user", ann.clone()), ("an admin", boss.clone())]
            {
                let mut body = operation.example.clone().unwrap();
                body[field] = json!("admin");
                let answer = caller.send(operation.method.clone(), &path, Some(body)).await;
                let name = format!("{field} in {} by {who}", operation.id);
                if [401, 403].contains(&answer.status) {
                    continue;
                }
                let refused = answer.invalid_fields();
                assert!(
                    refused.contains(&(field.clone(), "unknown_field".to_owned())),
                    "{name}: {refused:?}"
                );
                tried += 1;
            }
        }
    }
    assert_eq!(contents(&app), before);
    assert!(tried > 500, "{tried}");
}

#[tokio::test]
async fn a_field_changes_its_own_column_and_nothing_else() {
    let changes = [
        ("first_name", json!("Zoe")),
        ("last_name", json!("Zimt")),
        ("email", json!("zoe@example.com")),
        ("role", json!("admin")),
        ("status", json!("unverified")),
        ("disabled", json!(true)),
    ];
    let edit = operations().into_iter().find(|operation| operation.id == "edit_user").unwrap();
    let known: BTreeSet<_> = changes.iter().map(|(field, _)| (*field).to_owned()).collect();
    assert_eq!(edit.fields, known, "every field of the edit is tried here");
    for (field, value) in changes {
        let app = App::start().await;
        let (boss, ann) = (app.admin().await, app.signed_in(ANN).await);
        let path = format!("/users/{}", ann.id().await);
        let before = boss.get(&path).await.body;
        app.wait(Duration::from_secs(1));
        let as_user = ann.patch(&path, json!({ field: value })).await;
        let is_own = field.ends_with("_name");
        assert_eq!(as_user.status, if is_own { 200 } else { 403 }, "{field}");
        if !is_own {
            assert_eq!(boss.get(&path).await.body, before, "{field}");
        }
        boss.patch(&path, json!({ field: value })).await.is(200);
        let after = boss.get(&path).await.body;
        let differs = before.as_object().unwrap().iter().filter(|(name, was)| after[name.as_str()] != **was);
        let differs: BTreeSet<_> = differs.map(|(name, _)| name.as_str()).collect();
        let mut allowed = BTreeSet::from([field, "updated_at"]);
        if field == "status" {
            allowed.extend(["verified_at", "expires_at"]);
        }
        assert_eq!(differs, allowed, "{field}");
    }
}

/// What ends the tokens of an account, and which of its links are as good as before. The account of an event is verified,
/// unless `kind_of` says otherwise.
const EVENTS: [(&str, &[&str]); 19] = [
    ("logout", &ALL),
    ("logout_all", &ALL),
    ("end_session", &ALL),
    ("end_sessions", &ALL),
    ("refresh_reuse", &ALL),
    ("session_limit", &ALL),
    ("emergency_rotation", &ALL),
    // Where only verified users may log in.
    ("status_back_to_unverified", &["admin_reset", "forgot"]),
    ("first_verification", &["admin_reset", "forgot"]),
    ("password_change", &[]),
    ("reset", &[]),
    ("accepting_an_invitation", &[]),
    ("email_change", &[]),
    ("email_change_by_admin", &[]),
    ("disable", &[]),
    ("rejecting", &[]),
    ("delete", &[]),
    ("purge", &[]),
    ("idle_expiry", &[]),
];

/// Every link of a verified account.
const ALL: [&str; 4] = ["change", "cancel_change", "admin_reset", "forgot"];

/// The account that an event is tried on.
fn kind_of(event: &str) -> &'static str {
    match event {
        "first_verification" | "rejecting" | "purge" => "unverified",
        "accepting_an_invitation" => "invited",
        _ => "verified",
    }
}

/// Clients who ask with a token without pause.
struct Askers {
    ended: Arc<AtomicBool>,
    tasks: JoinSet<()>,
}

impl Askers {
    /// Four of them.
    fn start(app: &Arc<App>, token: &str) -> Self {
        let (ended, mut tasks) = (Arc::new(AtomicBool::new(false)), JoinSet::new());
        for _ in 0..4 {
            let (app, token, ended) = (Arc::clone(app), token.to_owned(), Arc::clone(&ended));
            tasks.spawn(async move {
                let mut late = 0;
                while late < 25 {
                    let is_late = ended.load(Ordering::SeqCst);
                    let status = app.with_token(&token).get("/me").await.status;
                    assert!(status == 401 || status == 200 && !is_late, "{status}, late: {is_late}");
                    late += usize::from(is_late);
                    tokio::task::yield_now().await;
                }
            });
        }
        Self { ended, tasks }
    }

    /// What ended the token was answered: whatever they ask from now on, a hundred times, is refused.
    async fn find_it_ended(self) {
        self.ended.store(true, Ordering::SeqCst);
        self.tasks.join_all().await;
    }
}

/// Two sessions of Ann, the first of which is the one that ends, and everything that she has to prove something by.
struct Before {
    app: Arc<App>,
    tokens: Value,
    other: Value,
    links: BTreeMap<&'static str, String>,
    /// The codes that were sent, each with the address and the path that take it.
    codes: Vec<(&'static str, Value)>,
}

impl Before {
    async fn of(event: &str) -> Self {
        let app = App::with(|config| {
            config.auth.allow_unverified_login = event != "status_back_to_unverified";
        });
        let app = Arc::new(app.await);
        let boss = app.admin().await;
        let kind = kind_of(event);
        let ann = links::account(&app, &boss, kind).await;
        let (mut tokens, mut other) = (Value::Null, Value::Null);
        if ann.is_some() {
            (tokens, other) = (app.tokens(ANN).await, app.tokens(ANN).await);
        }
        let sent = app.mail(ANN).await;
        let links = links::links(&app, kind, ann.as_ref()).await;
        let reset = json!({ "email": ANN, "code": app.mail(ANN).await.code, "new_password": NEW });
        let mut codes = vec![("/auth/password/reset", reset)];
        if ann.is_some() {
            let moving = app.mail(links::NEW).await;
            codes.push(("/auth/verify", json!({ "email": moving.to, "code": moving.code })));
        }
        match kind {
            "unverified" => codes.push(("/auth/verify", json!({ "email": ANN, "code": sent.code }))),
            "invited" => {
                let accept = json!({ "email": ANN, "code": sent.code, "new_password": NEW });
                codes.push(("/auth/password/reset", accept));
            }
            _ => {}
        }
        Self { app, tokens, other, links, codes }
    }

    async fn happens(&self, event: &str) {
        let app = &self.app;
        let boss = app.log_in("boss@example.com").await;
        let id: uuid::Uuid = app.stored(&format!("SELECT id FROM users WHERE email = '{ANN}'"));
        let path = format!("/users/{id}");
        let token = |tokens: &Value, name: &str| tokens[name].as_str().unwrap_or_default().to_owned();
        let ann = app.with_token(token(&self.tokens, "access_token"));
        let refresh = json!({ "refresh_token": self.tokens["refresh_token"] });
        let link = |name: &str| json!({ "token": self.links[name] });
        match event {
            "logout" => drop(app.anyone().post("/auth/logout", refresh).await.is(204)),
            "logout_all" => drop(ann.post("/auth/logout-all", None).await.is(204)),
            "end_session" => {
                let own = ann.get("/me/sessions").await.body["items"].as_array().unwrap().clone();
                let own = own.iter().find(|session| session["current"] == true).unwrap();
                ann.delete(&format!("/me/sessions/{}", own["id"].as_str().unwrap())).await.is(204);
            }
            "end_sessions" => drop(boss.delete(&format!("{path}/sessions")).await.is(204)),
            "refresh_reuse" => {
                app.anyone().post("/auth/refresh", refresh.clone()).await.is(200);
                app.wait(Duration::from_secs(11));
                app.anyone().post("/auth/refresh", refresh).await.refused(401, "invalid_refresh_token");
            }
            "session_limit" => {
                app.wait(Duration::from_secs(1));
                for _ in 0..120 {
                    app.tokens(ANN).await;
                }
            }
            "emergency_rotation" => {
                app.signing_keys.rotate(&Admin::from_cli(), Rotation::Emergency).await.unwrap();
            }
            "status_back_to_unverified" => {
                boss.patch(&path, json!({ "status": "unverified" })).await.is(200);
            }
            "first_verification" => {
                app.anyone().post("/auth/verify", link("verification")).await.is(200);
            }
            "password_change" => {
                // Asked for with the other session, so that this one is not the one that stays.
                let other = app.with_token(token(&self.other, "access_token"));
                let body = json!({ "current_password": PASSWORD, "new_password": NEW });
                other.post("/me/password", body).await.is(204);
            }
            "reset" | "accepting_an_invitation" => {
                let mut body = link(if event == "reset" { "forgot" } else { "invitation" });
                body["new_password"] = json!(NEW);
                app.anyone().post("/auth/password/reset", body).await.is(204);
            }
            "email_change" => drop(app.anyone().post("/auth/verify", link("change")).await.is(200)),
            "email_change_by_admin" => {
                boss.patch(&path, json!({ "email": "other@example.com" })).await.is(200);
            }
            "disable" => drop(boss.patch(&path, json!({ "disabled": true })).await.is(200)),
            "rejecting" => {
                let form = [("do", "reject"), ("token", self.links["verification"].as_str())];
                app.anyone().form("/verify", &form).await.is(200);
            }
            "delete" => drop(boss.delete(&path).await.is(204)),
            "purge" => app.wait(Duration::from_hours(48)),
            "idle_expiry" => app.wait(app.config.auth.refresh_ttl.get()),
            unknown => panic!("no event is called {unknown}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn after_an_event_nothing_of_before_is_accepted() {
    for (event, left) in EVENTS {
        let before = Before::of(event).await;
        let app = &before.app;
        let access = before.tokens["access_token"].as_str();
        let askers = access.map(|token| Askers::start(app, token));
        before.happens(event).await;
        if let (Some(access), Some(askers)) = (access, askers) {
            askers.find_it_ended().await;
            app.with_token(access).get("/me").await.refused(401, "invalid_token");
            let refresh = json!({ "refresh_token": before.tokens["refresh_token"] });
            app.anyone().post("/auth/refresh", refresh).await.refused(401, "invalid_refresh_token");
        }
        let left: BTreeSet<_> = left.iter().copied().collect();
        assert_eq!(links::alive(app, &before.links).await, left, "{event}");
        for (name, link) in before.links.iter().filter(|(name, _)| !left.contains(*name)) {
            for path in ["/auth/verify", "/auth/password/reset"] {
                let mut body = json!({ "token": link });
                if path.ends_with("reset") {
                    body["new_password"] = json!(NEW);
                }
                let answer = app.anyone().post(path, body).await;
                assert_eq!(answer.status, 400, "{name} after {event}: {}", answer.body);
            }
        }
        let code_left = |path: &str| left.contains(if path.ends_with("reset") { "forgot" } else { "change" });
        for (path, body) in before.codes.iter().filter(|(path, _)| !code_left(path)) {
            let answer = app.anyone().post(path, body.clone()).await;
            assert_eq!(answer.status, 400, "{body} after {event}");
        }
        if event == "disable" {
            app.log_in_with(ANN, PASSWORD).await.refused(403, "account_disabled");
        }
    }
}

/// A request that was let in and is not done has no more rights then than one that comes later, wherever it is held up.
#[tokio::test]
async fn a_request_that_ends_after_its_session_changes_nothing() {
    let mut tried = 0;
    for operation in operations().into_iter().filter(|operation| operation.method != Method::GET) {
        let (_, access) = ACCESS.into_iter().find(|(id, _)| *id == operation.id).unwrap();
        if access == Access::Open {
            continue;
        }
        tried += 1;
        // Whether it was once held up between being let in and its write. Where it waits depends on how quick the store is.
        let mut was_late = false;
        for at in (1..4).cycle().take(60) {
            if was_late && at == 1 {
                break;
            }
            let app = App::start().await;
            let (boss, _) = (app.admin().await, app.another_admin(ANN).await);
            let eve = app.signed_in(EVE).await.id().await;
            let tokens = app.tokens("boss@example.com").await;
            let who = app.with_token(tokens["access_token"].as_str().unwrap());
            // Another session of the same user, for the operations that end one.
            let sessions = boss.get("/me/sessions").await.body["items"].as_array().unwrap().clone();
            let other = sessions.iter().find(|session| session["current"] == true).unwrap();
            let id = if operation.id == "end_my_session" { other["id"].as_str().unwrap() } else { &eve };
            let mut before = Vec::new();
            let end = async {
                let body = json!({ "refresh_token": tokens["refresh_token"] });
                app.anyone().post("/auth/logout", body).await.is(204);
                before = contents(&app);
            };
            let came = interrupted(send(&who, &operation, id), at, end).await;
            if !came.in_time {
                assert!(came.answer.status < 300, "{}: {}", operation.id, came.answer.body);
                continue;
            }
            let name = format!("{}, held up at its step {at}", operation.id);
            assert!(contents(&app) == before, "{name}, changed something");
            was_late |= came.answer.body["code"] == "invalid_token";
        }
        assert!(was_late, "{}", operation.id);
    }
    assert!(tried >= 10, "{tried}");
}

#[tokio::test]
async fn a_request_with_two_access_tokens_is_refused() {
    let app = App::start().await;
    let boss = app.admin().await;
    let good = boss.token.clone().unwrap();
    let eve = app.signed_in(EVE).await;
    let id = eve.id().await;
    let before = contents(&app);
    let mut tried = 0;
    for operation in operations() {
        let (_, access) = ACCESS.into_iter().find(|(id, _)| *id == operation.id).unwrap();
        if access == Access::Open {
            continue;
        }
        for (first, second) in [(&*good, &*good), (&good, "bad"), ("bad", &good)] {
            let twice = app.with_token(first).header("authorization", format!("Bearer {second}"));
            send(&twice, &operation, &id).await.refused(401, "invalid_token");
            tried += 1;
        }
    }
    assert_eq!(contents(&app), before);
    assert!(tried > 50, "{tried}");
}

#[tokio::test]
async fn a_change_of_role_counts_from_the_next_request_with_the_same_token() {
    let app = App::start().await;
    let boss = app.admin().await;
    let ann = app.another_admin(ANN).await;
    ann.get("/users").await.is(200);
    boss.patch(&format!("/users/{}", ann.id().await), json!({ "role": "user" })).await.is(200);
    for operation in operations() {
        let (_, access) = ACCESS.iter().find(|(id, _)| *id == operation.id).unwrap();
        if *access == Access::Admin {
            send(&ann, &operation, &boss.id().await).await.refused(403, "forbidden");
        }
    }
}
