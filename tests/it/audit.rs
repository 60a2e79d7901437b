//! The audit: every change of an account leaves one event, on every channel, and no other data.

use std::{collections::BTreeSet, time::Duration};

use coffeeshop::{
    accounts::InvitationDraft,
    config::Database,
    core::{Admin, Proof, cli},
    domain::{
        Action, Change, Channel, Client, Email, Origin, Password, PlainToken, Role, UserChange, UserId,
        VariantArray,
    },
    operations::PurgeScope,
    store::{OpenMode, Store},
};
use poem::http::Method;
use rusqlite::Connection;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::sqlite_only::sqlite_only;
use crate::{
    app::{App, CLIENT, Caller, PASSWORD},
    spellings::older_store,
};

const ANN: &str = "ann@example.com";
const BOB: &str = "bob@example.com";
const NEW: &str = "ann.smith@example.org";
const NEXT_PASSWORD: &str = "lungo hums at dawn";
const TILL: &str = "till/2.1";
const DAY: Duration = Duration::from_hours(24);

/// A client that checks the audit after each step.
struct Auditor<'a> {
    app: &'a App,
    channel: Channel,
    seen: usize,
    actions: BTreeSet<&'static str>,
    steps: usize,
}

impl<'a> Auditor<'a> {
    async fn at(app: &'a App, channel: Channel) -> Self {
        Self { app, channel, seen: app.events().await.len(), actions: BTreeSet::new(), steps: 0 }
    }

    /// A caller whose next step can be told in the audit.
    fn step<'c>(&mut self, caller: &Caller<'c>) -> Caller<'c> {
        self.steps += 1;
        caller.clone().header("user-agent", TILL).header("x-request-id", format!("step-{}", self.steps))
    }

    /// Fails unless the step left this one event; answers it.
    async fn saw(&mut self, action: Action, actor_id: Option<&str>, user_id: &str) -> Value {
        let mut events = self.app.events().await.split_off(self.seen);
        assert_eq!(events.len(), 1, "{}: {events:#?}", action.into_str());
        let event = events.remove(0);
        self.seen += 1;
        self.actions.insert(action.into_str());
        assert_eq!(event["action"], action.into_str());
        assert_eq!(event["actor_id"].as_str(), actor_id, "{event:#}");
        assert_eq!(event["user_id"], user_id, "{event:#}");
        assert_eq!(event["channel"], self.channel.into_str(), "{event:#}");
        assert!(event["id"].as_str().unwrap().parse::<Uuid>().is_ok() && event["at"].is_string());
        let request_id = format!("step-{}", self.steps);
        let expected = match self.channel {
            Channel::Api | Channel::Page | Channel::Console => {
                json!({ "ip": CLIENT, "user_agent": TILL, "uid": null, "request_id": request_id })
            }
            Channel::Cli => {
                let uid = rustix::process::getuid().as_raw();
                json!({ "ip": null, "user_agent": null, "uid": uid, "request_id": null })
            }
            Channel::Job => json!({ "ip": null, "user_agent": null, "uid": null, "request_id": null }),
        };
        for (field, value) in expected.as_object().unwrap() {
            assert_eq!(&event[field], value, "{field}: {event:#}");
        }
        if action != Action::UserEdited {
            assert_eq!(event["changes"], json!([]), "{event:#}");
        }
        event
    }
}

fn id_of(user: &Value) -> String {
    user["id"].as_str().unwrap().to_owned()
}

fn user_id(id: &str) -> UserId {
    UserId::from_uuid(id.parse().unwrap())
}

async fn log_in<'a>(app: &'a App, caller: &Caller<'_>, email: &str, password: &str) -> (Caller<'a>, Value) {
    let body = json!({ "email": email, "password": password });
    let tokens = caller.post("/auth/login", body).await.is(200).body;
    (app.with_token(tokens["access_token"].as_str().unwrap()), tokens)
}

/// Everything that can be done to accounts over the API.
pub async fn walk_the_api(app: &App) -> BTreeSet<&'static str> {
    let boss = app.admin().await;
    let boss_id = boss.id().await;
    let mut audit = Auditor::at(app, Channel::Api).await;
    let anyone = app.anyone();

    let body = json!({ "email": ANN, "password": PASSWORD, "first_name": "Wilhelmina" });
    let ann_id = id_of(&audit.step(&anyone).post("/auth/signup", body).await.is(201).body);
    audit.saw(Action::UserSignedUp, None, &ann_id).await;

    let mail = app.mail(ANN).await;
    let body = json!({ "email": ANN, "code": mail.code });
    audit.step(&anyone).post("/auth/verify", body).await.is(200);
    audit.saw(Action::UserVerified, None, &ann_id).await;

    let (ann, tokens) = log_in(app, &audit.step(&anyone), ANN, PASSWORD).await;
    audit.saw(Action::SessionStarted, Some(&ann_id), &ann_id).await;

    let renew = json!({ "refresh_token": tokens["refresh_token"] });
    audit.step(&anyone).post("/auth/refresh", renew.clone()).await.is(200);
    app.wait(Duration::from_secs(11));
    audit.step(&anyone).post("/auth/refresh", renew).await.is(401);
    audit.saw(Action::SessionRefreshReuseDetected, None, &ann_id).await;
    ann.get("/me").await.is(401);

    let (ann, tokens) = log_in(app, &audit.step(&anyone), ANN, PASSWORD).await;
    audit.saw(Action::SessionStarted, Some(&ann_id), &ann_id).await;
    let edited =
        audit.step(&ann).patch("/me", json!({ "first_name": null, "last_name": "Oakenshield" })).await;
    edited.is(200);
    let event = audit.saw(Action::UserEdited, Some(&ann_id), &ann_id).await;
    let changes = json!([
        { "field": "first_name", "from": null, "to": null },
        { "field": "last_name", "from": null, "to": null },
    ]);
    assert_eq!(event["changes"], changes);

    audit
        .step(&anyone)
        .post("/auth/logout", json!({ "refresh_token": tokens["refresh_token"] }))
        .await
        .is(204);
    audit.saw(Action::SessionEnded, Some(&ann_id), &ann_id).await;

    let (ann, _) = log_in(app, &audit.step(&anyone), ANN, PASSWORD).await;
    audit.saw(Action::SessionStarted, Some(&ann_id), &ann_id).await;
    let session = id_of(&ann.get("/me/sessions").await.body["items"][0]);
    audit.step(&ann).delete(&format!("/me/sessions/{session}")).await.is(204);
    audit.saw(Action::SessionEnded, Some(&ann_id), &ann_id).await;

    let (ann, _) = log_in(app, &audit.step(&anyone), ANN, PASSWORD).await;
    audit.saw(Action::SessionStarted, Some(&ann_id), &ann_id).await;
    audit.step(&ann).post("/auth/logout-all", None).await.is(204);
    audit.saw(Action::SessionsEnded, Some(&ann_id), &ann_id).await;

    audit.step(&anyone).post("/auth/password/forgot", json!({ "email": ANN })).await.is(202);
    audit.saw(Action::PasswordResetRequested, None, &ann_id).await;
    let body = json!({ "token": app.mail(ANN).await.token(), "new_password": NEXT_PASSWORD });
    audit.step(&anyone).post("/auth/password/reset", body).await.is(204);
    audit.saw(Action::PasswordReset, None, &ann_id).await;

    let (ann, _) = log_in(app, &audit.step(&anyone), ANN, NEXT_PASSWORD).await;
    audit.saw(Action::SessionStarted, Some(&ann_id), &ann_id).await;
    let body = json!({ "current_password": NEXT_PASSWORD, "new_password": PASSWORD });
    audit.step(&ann).post("/me/password", body).await.is(204);
    audit.saw(Action::PasswordChanged, Some(&ann_id), &ann_id).await;

    let body = json!({ "new_email": NEW, "current_password": PASSWORD });
    audit.step(&ann).post("/me/email", body).await.is(202);
    audit.saw(Action::EmailChangeRequested, Some(&ann_id), &ann_id).await;
    let body = json!({ "token": app.mail(NEW).await.token() });
    audit.step(&anyone).post("/auth/verify", body).await.is(200);
    audit.saw(Action::EmailChanged, None, &ann_id).await;

    let path = format!("/users/{ann_id}");
    let edit = json!({ "role": "admin", "disabled": true, "email": ANN });
    audit.step(&boss).patch(&path, edit).await.is(200);
    let event = audit.saw(Action::UserEdited, Some(&boss_id), &ann_id).await;
    let changes = json!([
        { "field": "email", "from": null, "to": null },
        { "field": "role", "from": "user", "to": "admin" },
        { "field": "disabled", "from": "false", "to": "true" },
    ]);
    assert_eq!(event["changes"], changes);
    audit.step(&boss).patch(&path, json!({ "disabled": false, "status": "unverified" })).await.is(200);
    let event = audit.saw(Action::UserEdited, Some(&boss_id), &ann_id).await;
    assert_eq!(event["changes"][0], json!({ "field": "status", "from": "verified", "to": "unverified" }));

    log_in(app, &audit.step(&anyone), ANN, PASSWORD).await;
    audit.saw(Action::SessionStarted, Some(&ann_id), &ann_id).await;
    audit.step(&boss).delete(&format!("{path}/sessions")).await.is(204);
    audit.saw(Action::SessionsEnded, Some(&boss_id), &ann_id).await;
    audit.step(&boss).delete(&path).await.is(204);
    audit.saw(Action::UserDeleted, Some(&boss_id), &ann_id).await;

    let body = json!({ "email": BOB, "first_name": "Wilhelmina" });
    let bob_id = id_of(&audit.step(&boss).post("/users", body).await.is(201).body);
    audit.saw(Action::UserInvited, Some(&boss_id), &bob_id).await;
    let body = json!({ "token": app.mail(BOB).await.token(), "new_password": PASSWORD });
    audit.step(&anyone).post("/auth/password/reset", body).await.is(204);
    audit.saw(Action::InvitationAccepted, None, &bob_id).await;
    let (bob, _) = log_in(app, &audit.step(&anyone), BOB, PASSWORD).await;
    audit.saw(Action::SessionStarted, Some(&bob_id), &bob_id).await;
    let body = json!({ "current_password": PASSWORD });
    audit.step(&bob).send(Method::DELETE, "/me", Some(body)).await.is(204);
    audit.saw(Action::UserDeleted, Some(&bob_id), &bob_id).await;
    audit.actions
}

/// Everything that can be done to accounts on our pages.
pub async fn walk_the_pages(app: &App) -> BTreeSet<&'static str> {
    let boss = app.admin().await;
    let mut audit = Auditor::at(app, Channel::Page).await;
    let anyone = app.anyone();

    let ann_id = id_of(&app.sign_up(ANN).await);
    audit.seen += 1;
    let token = app.mail(ANN).await.token().to_owned();
    audit.step(&anyone).form("/verify", &[("do", "confirm"), ("token", &token)]).await.is(200);
    audit.saw(Action::UserVerified, None, &ann_id).await;

    audit.step(&anyone).form("/reset", &[("do", "ask"), ("email", ANN)]).await.is(200);
    audit.saw(Action::PasswordResetRequested, None, &ann_id).await;
    let token = app.mail(ANN).await.token().to_owned();
    let fields = [
        ("do", "choose"),
        ("token", &*token),
        ("new_password", NEXT_PASSWORD),
        ("repeat_password", NEXT_PASSWORD),
    ];
    audit.step(&anyone).form("/reset", &fields).await.is(200);
    audit.saw(Action::PasswordReset, None, &ann_id).await;

    for (deed, action) in [("reject", Action::EmailChangeCancelled), ("confirm", Action::EmailChanged)] {
        let (ann, _) = log_in(app, &anyone, ANN, NEXT_PASSWORD).await;
        let body = json!({ "new_email": NEW, "current_password": NEXT_PASSWORD });
        ann.post("/me/email", body).await.is(202);
        audit.seen += 2;
        let token = app.mail(NEW).await.token().to_owned();
        audit.step(&anyone).form("/verify", &[("do", deed), ("token", &token)]).await.is(200);
        audit.saw(action, None, &ann_id).await;
    }

    let guest_id = id_of(&app.sign_up("guest@example.com").await);
    audit.seen += 1;
    let token = app.mail("guest@example.com").await.token().to_owned();
    audit.step(&anyone).form("/verify", &[("do", "reject"), ("token", &token)]).await.is(200);
    audit.saw(Action::UserRejected, None, &guest_id).await;

    for deed in ["reject", "choose"] {
        let bob_id = id_of(&boss.post("/users", json!({ "email": BOB })).await.is(201).body);
        audit.seen += 1;
        let token = app.mail(BOB).await.token().to_owned();
        let fields =
            [("do", deed), ("token", &token), ("new_password", PASSWORD), ("repeat_password", PASSWORD)];
        audit.step(&anyone).form("/reset", &fields).await.is(200);
        let action = if deed == "reject" { Action::UserRejected } else { Action::InvitationAccepted };
        audit.saw(action, None, &bob_id).await;
    }
    audit.actions
}

/// Everything that can be done to accounts at the console.
pub async fn walk_the_console(app: &App) -> BTreeSet<&'static str> {
    let by = Admin::from_cli();
    let mut audit = Auditor::at(app, Channel::Cli).await;
    let admin_id = app.make_admin("boss@example.com").await.id.to_string();
    audit.saw(Action::UserCreated, None, &admin_id).await;

    let draft =
        InvitationDraft { email: BOB.to_owned(), first_name: None, last_name: None, role: Role::User };
    let bob = app.invitations.invite(&by, draft.check().unwrap()).await.unwrap().id;
    let bob_id = bob.to_string();
    audit.saw(Action::UserInvited, None, &bob_id).await;
    app.passwords.create_reset_link(&by, bob).await.unwrap();
    audit.saw(Action::PasswordResetLinkCreated, None, &bob_id).await;
    let change = UserChange { role: Change::Set(Role::Admin), ..UserChange::default() };
    app.users.update(&by, bob, change).await.unwrap();
    let event = audit.saw(Action::UserEdited, None, &bob_id).await;
    assert_eq!(event["changes"], json!([{ "field": "role", "from": "user", "to": "admin" }]));

    app.tokens("boss@example.com").await;
    audit.seen += 1;
    app.sessions.revoke_all_of(&by, user_id(&admin_id)).await.unwrap();
    audit.saw(Action::SessionsEnded, None, &admin_id).await;
    app.users.delete(&by, bob).await.unwrap();
    audit.saw(Action::UserDeleted, None, &bob_id).await;

    let guest_id = id_of(&app.sign_up("guest@example.com").await);
    audit.seen += 1;
    let plan = app.purge.plan(PurgeScope::OlderThan(Duration::ZERO), cli());
    app.purge.run(&plan, |_| {}).await.unwrap();
    audit.saw(Action::UserExpired, None, &guest_id).await;
    audit.actions
}

/// Everything that the clock does to accounts.
pub async fn walk_the_timer(app: &App) -> BTreeSet<&'static str> {
    let mut audit = Auditor::at(app, Channel::Job).await;
    let guest_id = id_of(&app.sign_up("guest@example.com").await);
    audit.seen += 1;
    app.wait(DAY);
    app.reminders.send().await.unwrap();
    app.wait(DAY);
    let plan = app.purge.plan(PurgeScope::Expired, Origin::job());
    app.purge.run(&plan, |_| {}).await.unwrap();
    audit.saw(Action::UserExpired, None, &guest_id).await;
    audit.actions
}

#[tokio::test]
async fn every_change_over_the_api_leaves_one_event() {
    walk_the_api(&App::start().await).await;
}

#[tokio::test]
async fn every_change_on_our_pages_leaves_one_event() {
    walk_the_pages(&App::start().await).await;
}

#[tokio::test]
async fn every_change_by_the_cli_leaves_one_event() {
    walk_the_console(&App::start().await).await;
}

#[tokio::test]
async fn every_change_by_the_clock_leaves_one_event() {
    walk_the_timer(&App::start().await).await;
}

#[tokio::test]
async fn there_is_no_action_that_nothing_leaves() {
    let mut left = walk_the_api(&App::start().await).await;
    left.extend(walk_the_pages(&App::start().await).await);
    left.extend(walk_the_console(&App::start().await).await);
    left.extend(walk_the_timer(&App::start().await).await);
    let all: BTreeSet<_> = Action::VARIANTS.iter().map(|action| action.into_str()).collect();
    assert_eq!(left, all);
}

#[tokio::test]
async fn an_event_holds_no_address_no_name_and_no_secret() {
    let app = App::start().await;
    walk_the_api(&app).await;
    let mut secrets: Vec<String> =
        ["@", "Wilhelmina", "Oakenshield", PASSWORD, NEXT_PASSWORD, "argon2", "eyJ"]
            .map(str::to_lowercase)
            .to_vec();
    for to in [ANN, BOB, NEW, "boss@example.com"] {
        for mail in app.mails(to).await {
            secrets.extend(mail.link.split_once("token=").map(|(_, token)| token.to_lowercase()));
            secrets.push(format!("\"{}\"", mail.code));
        }
    }
    let stored =
        app.sql.rows("SELECT action, channel, ip, user_agent, request_id, changes FROM audit_events");
    let stored = stored.into_iter().flatten().flatten().collect::<Vec<_>>().join("\n").to_lowercase();
    assert!(stored.contains("user.edited"), "it looks in the right place: {stored}");
    let shown = serde_json::to_string(&app.events().await).unwrap().to_lowercase();
    secrets.retain(|secret| secret.len() > 2 || secret == "@");
    for secret in secrets {
        assert!(!stored.contains(&secret) && !shown.contains(&secret), "{secret}");
    }
}

#[tokio::test]
async fn what_is_refused_or_changes_nothing_leaves_no_event() {
    let app = App::start().await;
    let boss = app.admin().await;
    let (ann, ann_tokens) = (app.signed_in(ANN).await, app.tokens(ANN).await);
    let bob_id = id_of(&app.sign_up(BOB).await);
    let shut_id = id_of(&app.sign_up("shut@example.com").await);
    boss.patch(&format!("/users/{shut_id}"), json!({ "disabled": true })).await.is(200);
    let (ann_id, boss_id) = (ann.id().await, boss.id().await);
    ann.post("/me/email", json!({ "new_email": BOB, "current_password": PASSWORD })).await.is(202);
    let taken = app.mail(BOB).await.token().to_owned();
    let (bob, me, unknown) = (format!("/users/{bob_id}"), format!("/users/{boss_id}"), Uuid::now_v7());
    let before = app.events().await;

    let post = async |path: &str, body: Value, status: u16| {
        app.anyone().post(path, body).await.is(status);
    };
    post("/auth/signup", json!({ "email": ANN, "password": PASSWORD }), 409).await;
    post("/auth/signup", json!({ "email": "eve@example.com", "password": "short" }), 422).await;
    post("/auth/verify", json!({ "email": BOB, "code": "000000" }), 400).await;
    post("/auth/verify", json!({ "token": "x" }), 400).await;
    post("/auth/verify", json!({ "token": taken }), 409).await;
    post("/auth/verify/resend", json!({ "email": ANN }), 202).await;
    post("/auth/login", json!({ "email": ANN, "password": "espresso rains upward" }), 401).await;
    post("/auth/login", json!({ "email": "unknown@example.com", "password": PASSWORD }), 401).await;
    post("/auth/login", json!({ "email": "shut@example.com", "password": PASSWORD }), 403).await;
    post("/auth/refresh", json!({ "refresh_token": "x" }), 401).await;
    post("/auth/refresh", json!({ "refresh_token": ann_tokens["refresh_token"] }), 200).await;
    post("/auth/logout", json!({ "refresh_token": "x" }), 204).await;
    post("/auth/logout", json!({ "refresh_token": ann_tokens["access_token"] }), 204).await;
    post("/auth/password/forgot", json!({ "email": "unknown@example.com" }), 202).await;
    post("/auth/password/reset", json!({ "token": "x", "new_password": NEXT_PASSWORD }), 400).await;

    let wrong = json!({ "current_password": "espresso rains upward" });
    ann.send(Method::DELETE, "/me", Some(wrong)).await.is(401);
    let body = json!({ "current_password": "wrong", "new_password": NEXT_PASSWORD });
    ann.post("/me/password", body).await.is(401);
    ann.post("/me/email", json!({ "new_email": NEW, "current_password": "wrong" })).await.is(401);
    ann.patch("/me", json!({})).await.is(200);
    ann.patch("/me", json!({ "first_name": null })).await.is(200);
    ann.patch("/me", json!({ "first_name": "" })).await.is(422);
    ann.delete(&format!("/me/sessions/{unknown}")).await.is(404);
    ann.post("/users", json!({ "email": "eve@example.com" })).await.is(403);
    ann.delete(&bob).await.is(403);
    ann.patch(&bob, json!({ "role": "admin" })).await.is(403);
    ann.delete(&format!("{bob}/sessions")).await.is(403);

    boss.patch(&bob, json!({ "role": "user", "disabled": false })).await.is(200);
    boss.patch(&bob, json!({ "email": ANN })).await.is(409);
    boss.patch(&me, json!({ "role": "user" })).await.is(409);
    boss.delete(&me).await.is(409);
    boss.delete(&format!("/users/{unknown}")).await.is(404);
    boss.delete(&format!("{bob}/sessions")).await.is(204);
    boss.delete(&format!("/users/{unknown}/sessions")).await.is(404);
    boss.post("/users", json!({ "email": ANN })).await.is(409);
    boss.post("/users", json!({ "email": "ann" })).await.is(422);
    boss.send(Method::DELETE, "/me", Some(json!({ "current_password": PASSWORD }))).await.is(409);

    for (page, fields) in [
        ("/verify", &[("do", "confirm"), ("token", "x")][..]),
        ("/verify", &[("do", "confirm"), ("token", &taken)]),
        ("/verify", &[("do", "reject"), ("token", "x")]),
        ("/reset", &[("do", "choose"), ("token", "x"), ("new_password", PASSWORD)]),
        ("/reset", &[("do", "reject"), ("token", "x")]),
        ("/reset", &[("do", "ask"), ("email", "unknown@example.com")]),
    ] {
        app.anyone().form(page, fields).await.is(200);
    }
    for path in ["/me", "/me/sessions", "/me/export"] {
        ann.get(path).await.is(200);
    }
    for path in ["/users", &bob, &format!("/users/{ann_id}/sessions"), "/audit"] {
        boss.get(path).await.is(200);
    }
    app.reminders.send().await.unwrap();
    assert_eq!(app.events().await, before);
}

#[tokio::test]
async fn a_forgotten_password_that_sends_nothing_leaves_no_event() {
    let app = App::start().await;
    app.signed_in(ANN).await;
    for _ in 0..20 {
        app.anyone().post("/auth/password/forgot", json!({ "email": ANN })).await.is(202);
    }
    let before = app.events().await.len();
    app.anyone().post("/auth/password/forgot", json!({ "email": ANN })).await.is(202);
    assert_eq!(app.events().await.len(), before);
}

#[tokio::test]
async fn an_expired_account_that_releases_its_address_is_audited() {
    let app = App::start().await;
    let gone = id_of(&app.sign_up(ANN).await);
    app.wait(2 * DAY);
    let fresh = id_of(&app.sign_up(ANN).await);
    let events = app.events().await;
    let [_, expired, signed_up] = &events[..] else { panic!("{events:#?}") };
    assert_eq!(
        (&expired["action"], &expired["user_id"], &expired["channel"]),
        (&json!("user.expired"), &json!(gone), &json!("job"))
    );
    assert_eq!((&signed_up["action"], &signed_up["user_id"]), (&json!("user.signed_up"), &json!(fresh)));
}

#[tokio::test]
async fn an_event_outlives_the_account_and_not_its_retention() {
    let app = App::with(|config| config.audit.retention = "10d".parse().unwrap()).await;
    let boss = app.admin().await;
    let id = id_of(&app.sign_up(ANN).await);
    boss.delete(&format!("/users/{id}")).await.is(204);
    let purge = async || {
        let plan = app.purge.plan(PurgeScope::Expired, Origin::job());
        let due = app.purge.count_due(&plan).await.unwrap().events;
        assert_eq!(app.purge.run(&plan, |_| {}).await.unwrap().events, due);
    };
    app.wait(10 * DAY);
    purge().await;
    assert_eq!(app.actions(&id).await, ["user.signed_up", "user.deleted"]);
    app.wait(crate::app::MOMENT);
    purge().await;
    assert_eq!(app.actions(&id).await, [""; 0]);
}

async fn page(by: &Caller<'_>, query: &str) -> Value {
    by.get(&format!("/audit?{query}")).await.is(200).body
}

fn actions(page: &Value) -> Vec<&str> {
    page["items"].as_array().unwrap().iter().map(|event| event["action"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn an_admin_sees_the_newest_events_first() {
    let app = App::start().await;
    let boss = app.admin().await;
    app.signed_in(ANN).await;
    let seen = page(&boss, "").await;
    let newest_first =
        ["session.started", "user.verified", "user.signed_up", "session.started", "user.created"];
    assert_eq!(actions(&seen), newest_first);
    assert_eq!(seen["next_cursor"], Value::Null);
    assert_eq!(seen["items"][0]["at"], "2026-11-22T09:30:00.000Z");
    let mut all = app.events().await;
    all.reverse();
    assert_eq!(seen["items"], json!(all));
}

#[tokio::test]
async fn events_are_filtered_by_whom_by_who_and_by_what() {
    let app = App::start().await;
    let boss = app.admin().await;
    let ann = app.signed_in(ANN).await;
    let (ann_id, boss_id) = (ann.id().await, boss.id().await);
    ann.patch("/me", json!({ "first_name": "Ann" })).await.is(200);
    boss.patch(&format!("/users/{ann_id}"), json!({ "role": "admin" })).await.is(200);
    boss.patch(&format!("/users/{ann_id}"), json!({ "role": "user" })).await.is(200);
    for (query, expected) in [
        (
            format!("user_id={ann_id}"),
            &[
                "user.edited",
                "user.edited",
                "user.edited",
                "session.started",
                "user.verified",
                "user.signed_up",
            ][..],
        ),
        (format!("actor_id={ann_id}"), &["user.edited", "session.started"]),
        (format!("actor_id={boss_id}"), &["user.edited", "user.edited", "session.started"]),
        (format!("user_id={ann_id}&actor_id={boss_id}"), &["user.edited", "user.edited"]),
        ("action=user.verified".to_owned(), &["user.verified"]),
        (format!("action=session.started&user_id={boss_id}"), &["session.started"]),
        ("action=user.rejected".to_owned(), &[]),
        (format!("user_id={}", Uuid::now_v7()), &[]),
    ] {
        assert_eq!(actions(&page(&boss, &query).await), expected, "{query}");
    }
    for action in Action::VARIANTS {
        page(&boss, &format!("action={}", action.into_str())).await;
    }
}

#[tokio::test]
async fn a_filtered_page_matches_a_scan_of_all_events() {
    let app = App::start().await;
    let (boss, other) = (app.admin().await, app.another_admin("other@example.com").await);
    let mut ids = vec![boss.id().await, other.id().await, Uuid::now_v7().to_string()];
    for email in [ANN, BOB] {
        let guest = app.signed_in(email).await;
        ids.push(guest.id().await);
        let path = format!("/users/{}", guest.id().await);
        for round in 0..3 {
            let edit = json!({ "first_name": format!("Nr {round}") });
            guest.patch("/me", edit).await.is(200);
            for admin in [&boss, &other] {
                admin.patch(&path, json!({ "last_name": format!("By {}, {round}", admin.id().await) })).await;
            }
        }
        other.delete(&format!("{path}/sessions")).await.is(204);
        app.anyone().post("/auth/password/forgot", json!({ "email": email })).await.is(202);
    }
    let mut all = app.events().await;
    all.reverse();
    let choices = |values: &[String]| [vec![None], values.iter().cloned().map(Some).collect()].concat();
    let actions = ["user.edited", "session.started", "sessions.ended", "user.expired"].map(str::to_owned);
    for user in choices(&ids) {
        for actor in choices(&ids) {
            for action in choices(&actions) {
                let filters = [("user_id", &user), ("actor_id", &actor), ("action", &action)];
                let filters = filters.map(|(field, wanted)| (field, wanted.as_deref()));
                let is_meant = |event: &&Value| {
                    filters.iter().all(|(field, wanted)| wanted.is_none_or(|wanted| event[*field] == wanted))
                };
                let expected: Vec<_> = all.iter().filter(is_meant).cloned().collect();
                let query: String = filters
                    .iter()
                    .filter_map(|(field, wanted)| wanted.map(|wanted| format!("&{field}={wanted}")))
                    .collect();
                let (mut seen, mut cursor) = (Vec::new(), String::new());
                loop {
                    let page = page(&boss, &format!("limit=4{query}{cursor}")).await;
                    seen.extend(page["items"].as_array().unwrap().iter().cloned());
                    let Some(next) = page["next_cursor"].as_str() else { break };
                    cursor = format!("&cursor={next}");
                }
                assert_eq!(seen, expected, "{query}");
            }
        }
    }
}

#[tokio::test]
async fn pages_neither_skip_nor_repeat_while_events_arrive() {
    let app = App::start().await;
    let boss = app.admin().await;
    for number in 0..10 {
        app.sign_up(&format!("guest{number}@example.com")).await;
    }
    for filter in ["", "&action=user.signed_up"] {
        let ids = |events: &[Value]| -> Vec<String> { events.iter().map(id_of).collect() };
        let mut expected = app.events().await;
        expected.retain(|event| filter.is_empty() || event["action"] == "user.signed_up");
        expected.reverse();
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        for round in 0.. {
            let page = page(&boss, &format!("limit=3{filter}{cursor}")).await;
            let items = page["items"].as_array().unwrap();
            assert!(items.len() <= 3);
            seen.extend(items.iter().cloned());
            let Some(next) = page["next_cursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
            app.sign_up(&format!("late{round}{}@example.com", filter.len())).await;
        }
        assert_eq!(ids(&seen), ids(&expected), "{filter}");
    }
}

#[tokio::test]
async fn pages_go_on_while_old_events_are_cleaned_up() {
    let app = App::with(|config| config.audit.retention = "10d".parse().unwrap()).await;
    for number in 0..5 {
        app.sign_up(&format!("old{number}@example.com")).await;
    }
    app.wait(6 * DAY);
    let boss = app.admin().await;
    let first = page(&boss, "limit=1").await;
    app.wait(5 * DAY);
    let plan = app.purge.plan(PurgeScope::Expired, Origin::job());
    app.purge.run(&plan, |_| {}).await.unwrap();
    let boss = app.log_in("boss@example.com").await;
    let cursor = first["next_cursor"].as_str().unwrap();
    let rest = page(&boss, &format!("cursor={cursor}")).await;
    assert_eq!(actions(&rest), ["user.created"]);
}

#[tokio::test]
async fn a_query_that_is_not_as_documented_is_malformed() {
    let app = App::start().await;
    let boss = app.admin().await;
    for query in [
        "limit=0",
        "limit=201",
        "limit=-1",
        "limit=many",
        "user_id=1",
        "user_id=",
        "actor_id=unknown",
        "action=user",
        "action=user.baptised",
        "action=USER.VERIFIED",
        "cursor=",
        "cursor=x",
        "cursor=e",
        "cursor=12",
        "cursor=e-1",
        "cursor=e%2B1",
        "cursor=e1g",
        "cursor=effffffffffffffffff",
        "cursor=e1'%20OR%201=1--",
        &format!("cursor=e{}", "1".repeat(2_000)),
    ] {
        boss.get(&format!("/audit?{query}")).await.refused(400, "malformed_request");
    }
}

#[tokio::test]
async fn only_admins_see_the_audit() {
    let app = App::start().await;
    app.admin().await;
    let ann = app.signed_in(ANN).await;
    for query in ["", "?limit=0", "?cursor=x"] {
        let path = format!("/audit{query}");
        app.anyone().get(&path).await.refused(401, "invalid_token");
        ann.get(&path).await.refused(403, "forbidden");
    }
    ann.get(&format!("/audit?user_id={}", ann.id().await)).await.refused(403, "forbidden");
}

#[tokio::test]
async fn the_audit_cannot_be_changed() {
    let app = App::start().await;
    let boss = app.admin().await;
    for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
        let refused = boss.send(method, "/audit", Some(json!({}))).await.refused(405, "method_not_allowed");
        assert_eq!(refused.header("allow"), "GET, HEAD");
    }
}

#[tokio::test]
async fn a_request_id_that_is_not_sane_is_not_kept() {
    let app = App::start().await;
    let body = json!({ "email": ANN, "password": PASSWORD });
    let caller =
        app.anyone().header("x-request-id", "'; DROP TABLE users --").header("user-agent", "☕".repeat(300));
    caller.post("/auth/signup", body).await.is(201);
    let event = &app.events().await[0];
    assert!(event["request_id"].as_str().unwrap().parse::<Uuid>().is_ok(), "{event}");
}

#[tokio::test]
async fn the_address_of_a_client_is_kept_with_what_it_does() {
    let app = App::start().await;
    app.sign_up(ANN).await;
    let client = Client { ip: "192.0.2.7".parse().ok(), user_agent: Some(TILL.to_owned()) };
    let origin = Origin { client, request_id: Some("step-1".into()), ..Origin::default() };
    let link = PlainToken::new(app.mail(ANN).await.token().to_owned());
    app.verification.verify(Proof::Link(link), None, origin.clone()).await.unwrap();
    let email = Email::parse("email", ANN).unwrap();
    let password = Password::parse("password", PASSWORD).unwrap();
    app.sessions.login(email, password, None, origin).await.unwrap();
    for event in &app.events().await[1..] {
        assert_eq!(
            (&event["ip"], &event["user_agent"], &event["request_id"]),
            (&json!("192.0.2.7"), &json!(TILL), &json!("step-1"))
        );
    }
    let ann = app.log_in(ANN).await;
    let sessions = ann.get("/me/sessions").await.is(200).body;
    let ips: Vec<_> = sessions["items"].as_array().unwrap().iter().map(|session| &session["ip"]).collect();
    assert!(ips.contains(&&json!("192.0.2.7")), "{ips:?}");
}

#[tokio::test]
async fn a_hidden_sign_up_with_a_taken_address_leaves_no_event() {
    let app = App::with(|config| config.auth.hide_taken_emails = true).await;
    let body = json!({ "email": ANN, "password": PASSWORD });
    let free = app.anyone().post("/auth/signup", body.clone()).await;
    assert_eq!(app.events().await.len(), 1);
    let taken = app.anyone().post("/auth/signup", body).await;
    assert_eq!(free.look(), taken.look());
    assert_eq!(app.events().await.len(), 1);
}

#[tokio::test]
async fn an_expired_account_is_not_visible_before_the_clean_up() {
    let app = App::start().await;
    app.sign_up(ANN).await;
    let tokens = app.tokens(ANN).await;
    app.wait(2 * DAY);
    let before = app.events().await;
    let body = json!({ "refresh_token": tokens["refresh_token"] });
    app.anyone().post("/auth/logout", body).await.is(204);
    assert_eq!(app.events().await, before);
}

#[tokio::test]
async fn events_of_an_older_version_have_current_names() {
    if sqlite_only() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("old.db");
    let old = older_store(&path, 15);
    for (number, (action, channel)) in [
        ("user.disowned", "page"),
        ("email.change_asked", "api"),
        ("password.forgotten", "api"),
        ("password.link_made", "console"),
        ("session.replayed", "api"),
        ("user.expired", "timer"),
        ("user.edited", "api"),
    ]
    .into_iter()
    .enumerate()
    {
        let event = "INSERT INTO audit_events (id, at, action, user_id, door, changes) VALUES (randomblob(16), ?, ?, randomblob(16), ?, '[]')";
        old.execute(event, (i64::try_from(number).unwrap(), action, channel)).unwrap();
    }
    drop(old);
    drop(Store::open(&Database::at(&path), OpenMode::CreateOrMigrate).await.unwrap());
    let migrated = Connection::open(&path).unwrap();
    let mut events = migrated.prepare("SELECT action, channel FROM audit_events ORDER BY at").unwrap();
    let events = events.query_map((), |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    let events: Vec<(String, String)> = events.map(Result::unwrap).collect();
    let events: Vec<_> = events.iter().map(|(action, channel)| (action.as_str(), channel.as_str())).collect();
    assert_eq!(
        events,
        [
            ("user.rejected", "page"),
            ("email.change_requested", "api"),
            ("password.reset_requested", "api"),
            ("password.reset_link_created", "cli"),
            ("session.refresh_reuse_detected", "api"),
            ("user.expired", "job"),
            ("user.edited", "api"),
        ]
    );
}
