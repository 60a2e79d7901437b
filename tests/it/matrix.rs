//! Tables over the whole API: who may do what, which fields change what, and what is left of tokens and codes after each
//! event. They are made from the API document, so that a new operation enters them by itself, or fails them.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use coffeeshop::api;
use poem::http::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::app::{Answer, App, Caller, PASSWORD};

const ANN: &str = "ann@example.com";
const EVE: &str = "eve@example.com";
const NEW: &str = "lungo hums at dawn";

/// Who may come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    /// Anybody, with or without a token.
    Open,
    /// Whoever is signed in, about themselves.
    SignedIn,
    /// The user whose id is in the path, and admins.
    OwnOrAdmin,
    /// Admins.
    Admin,
}

/// Every operation. One without a row here fails the test.
const ACCESS: [(&str, Access); 30] = [
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

struct Operation {
    id: String,
    method: Method,
    path: String,
    example: Option<Value>,
    fields: BTreeSet<String>,
}

fn operations() -> Vec<Operation> {
    let document = api::openapi();
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

/// Somebody of this kind, with their id.
async fn somebody<'a>(app: &'a App, boss: &Caller<'a>, identity: Identity) -> (Caller<'a>, String) {
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
    let store = app.opened();
    let mut rows = Vec::new();
    for table in ["users", "sessions", "codes", "outbox", "signing_keys", "audit_events"] {
        let mut statement = store.prepare(&format!("SELECT * FROM {table}")).unwrap();
        let columns = statement.column_count();
        let mut found = statement.query([]).unwrap();
        while let Some(row) = found.next().unwrap() {
            let cells: Vec<_> = (0..columns).map(|c| format!("{:?}", row.get_ref(c).unwrap())).collect();
            rows.push(format!("{table} {}", cells.join("|")));
        }
    }
    rows
}

async fn send(who: &Caller<'_>, operation: &Operation, id: &str) -> Answer {
    let path = operation.path.replace("{id}", id);
    who.send(operation.method.clone(), &path, operation.example.clone()).await
}

/// What a cell must be: nothing is said about an answer to somebody who is let in.
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
async fn everybody_may_do_what_is_written_down_and_nothing_else() {
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
            let (who, own) = somebody(&app, &boss, identity).await;
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
async fn a_session_of_somebody_else_is_nobodys_to_end() {
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
    let document = api::openapi();
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
                [("anybody", app.anyone()), ("a user", ann.clone()), ("an admin", boss.clone())]
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

/// What ends tokens and codes.
const EVENTS: [&str; 11] = [
    "logout",
    "logout_all",
    "end_session",
    "end_sessions",
    "password_change",
    "reset",
    "email_change",
    "email_change_by_admin",
    "disable",
    "delete",
    "purge",
];

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

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn after_an_event_nothing_of_before_is_accepted() {
    for event in EVENTS {
        let app = Arc::new(App::start().await);
        let boss = app.admin().await;
        app.sign_up(ANN).await;
        if event != "purge" {
            app.verify(ANN).await;
        }
        let (tokens, other) = (app.tokens(ANN).await, app.tokens(ANN).await);
        let ann = app.with_token(tokens["access_token"].as_str().unwrap());
        let id = ann.id().await;
        let path = format!("/users/{id}");
        let ask = json!({ "current_password": PASSWORD, "new_email": "new@example.com" });
        ann.post("/me/email", ask).await.is(202);
        let moving = app.mail("new@example.com").await;
        app.anyone().post("/auth/password/forgot", json!({ "email": ANN })).await.is(202);
        let reset = app.mail(ANN).await;
        let askers = Askers::start(&app, tokens["access_token"].as_str().unwrap());
        match event {
            "logout" => {
                let body = json!({ "refresh_token": tokens["refresh_token"] });
                app.anyone().post("/auth/logout", body).await.is(204);
            }
            "logout_all" => {
                ann.post("/auth/logout-all", None).await.is(204);
            }
            "end_session" => {
                let own = ann.get("/me/sessions").await.body["items"].as_array().unwrap().clone();
                let own = own.iter().find(|session| session["current"] == true).unwrap();
                let path = format!("/me/sessions/{}", own["id"].as_str().unwrap());
                ann.delete(&path).await.is(204);
            }
            "end_sessions" => {
                boss.delete(&format!("{path}/sessions")).await.is(204);
            }
            "password_change" => {
                // Asked for with the other session, so that this one is not the one that stays.
                let other = app.with_token(other["access_token"].as_str().unwrap());
                let body = json!({ "current_password": PASSWORD, "new_password": NEW });
                other.post("/me/password", body).await.is(204);
            }
            "reset" => {
                let body = json!({ "token": reset.token(), "new_password": NEW });
                app.anyone().post("/auth/password/reset", body).await.is(204);
            }
            "email_change" => {
                let body = json!({ "token": moving.token() });
                app.anyone().post("/auth/verify", body).await.is(200);
            }
            "email_change_by_admin" => {
                boss.patch(&path, json!({ "email": "other@example.com" })).await.is(200);
            }
            "disable" => {
                boss.patch(&path, json!({ "disabled": true })).await.is(200);
            }
            "delete" => {
                boss.delete(&path).await.is(204);
            }
            _ => app.wait(Duration::from_hours(48)),
        }
        askers.find_it_ended().await;
        ann.get("/me").await.refused(401, "invalid_token");
        let refresh = json!({ "refresh_token": tokens["refresh_token"] });
        app.anyone().post("/auth/refresh", refresh).await.refused(401, "invalid_refresh_token");
        let keeps_codes = ["logout", "logout_all", "end_session", "end_sessions"].contains(&event);
        let proofs = [
            json!({ "token": reset.token(), "new_password": PASSWORD }),
            json!({ "email": ANN, "code": reset.code, "new_password": PASSWORD }),
        ];
        for proof in proofs {
            let answer = app.anyone().post("/auth/password/reset", proof).await;
            if !keeps_codes {
                answer.refused(400, "verification_failed");
            }
        }
        if !keeps_codes {
            for proof in [
                json!({ "token": moving.token() }),
                json!({ "email": "new@example.com", "code": moving.code }),
            ] {
                app.anyone().post("/auth/verify", proof).await.refused(400, "verification_failed");
            }
        }
        if event == "disable" {
            let body = json!({ "email": ANN, "password": PASSWORD });
            assert_ne!(app.anyone().post("/auth/login", body).await.status, 200);
        }
    }
}

/// Whoever was let in and is not done with asking has no more rights then than somebody who comes later.
#[tokio::test]
async fn a_request_that_ends_after_its_session_changes_nothing() {
    let mut tried = 0;
    for operation in operations().into_iter().filter(|operation| operation.example.is_some()) {
        let (_, access) = ACCESS.into_iter().find(|(id, _)| *id == operation.id).unwrap();
        if access == Access::Open {
            continue;
        }
        let app = Arc::new(App::start().await);
        let boss = app.admin().await;
        let token = boss.token.clone().unwrap();
        let eve = app.signed_in(EVE).await.id().await;
        let before = Arc::new(Mutex::new(Vec::new()));
        let end = {
            let (app, before) = (Arc::clone(&app), Arc::clone(&before));
            async move {
                app.with_token(&token).post("/auth/logout-all", None).await.is(204);
                *before.lock().unwrap() = contents(&app);
            }
        };
        let path = operation.path.replace("{id}", &eve);
        let body = operation.example.as_ref().unwrap();
        let answer = boss.send_late(operation.method.clone(), &path, body, end).await;
        assert_eq!(answer.status, 401, "{}: {}", operation.id, answer.body);
        assert_eq!(contents(&app), *before.lock().unwrap(), "{} changed something", operation.id);
        tried += 1;
    }
    assert!(tried >= 6, "{tried}");
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
