//! Sessions: listed and ended by their user, and by admins.

use std::time::Duration;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::app::{App, CLIENT, Caller, PASSWORD};

const ANN: &str = "ann@example.com";
const BOB: &str = "bob@example.com";
const DAY: Duration = Duration::from_hours(24);

/// A login by a program with this name.
async fn tokens(app: &App, email: &str, program: &str) -> Value {
    let body = json!({ "email": email, "password": PASSWORD });
    app.anyone().header("user-agent", program).post("/auth/login", body).await.is(200).body
}

fn bearer<'a>(app: &'a App, tokens: &Value) -> Caller<'a> {
    app.with_token(tokens["access_token"].as_str().unwrap())
}

async fn refresh(app: &App, tokens: &Value) -> crate::app::Answer {
    app.anyone().post("/auth/refresh", json!({ "refresh_token": tokens["refresh_token"] })).await
}

async fn sessions(caller: &Caller<'_>, path: &str) -> Vec<Value> {
    caller.get(path).await.is(200).body["items"].as_array().unwrap().clone()
}

async fn own(caller: &Caller<'_>) -> Vec<Value> {
    sessions(caller, "/me/sessions").await
}

fn of_program<'s>(sessions: &'s [Value], program: &str) -> &'s Value {
    sessions.iter().find(|session| session["user_agent"] == program).unwrap()
}

fn path(session: &Value) -> String {
    format!("/me/sessions/{}", session["id"].as_str().unwrap())
}

#[tokio::test]
async fn past_120_sessions_those_end_that_were_not_used_for_longest() {
    let app = App::start().await;
    app.sign_up(ANN).await;
    app.sign_up(BOB).await;
    let others = tokens(&app, BOB, "phone/1.0").await;
    let (till, phone) = (tokens(&app, ANN, "till/2.1").await, tokens(&app, ANN, "phone/1.0").await);
    for _ in 0..118 {
        app.wait(Duration::from_secs(1));
        tokens(&app, ANN, "script").await;
    }
    let till = refresh(&app, &till).await.is(200).body;
    assert_eq!(own(&bearer(&app, &till)).await.len(), 120);
    let last = tokens(&app, ANN, "script").await;
    let left = own(&bearer(&app, &last)).await;
    assert_eq!(left.len(), 100);
    assert!(left.iter().all(|session| session["user_agent"] != "phone/1.0"), "{left:?}");
    refresh(&app, &phone).await.refused(401, "invalid_refresh_token");
    refresh(&app, &till).await.is(200);
    refresh(&app, &others).await.is(200);
}

#[tokio::test]
async fn each_login_is_a_session_with_its_program_and_its_times() {
    let app = App::start().await;
    app.sign_up(ANN).await;
    let phone = tokens(&app, ANN, "phone/1.0").await;
    app.wait(Duration::from_mins(1));
    let till = tokens(&app, ANN, "till/2.1").await;
    let seen = own(&bearer(&app, &phone)).await;
    let programs: Vec<_> = seen.iter().map(|session| session["user_agent"].as_str().unwrap()).collect();
    assert_eq!(programs, ["till/2.1", "phone/1.0"], "latest used first");
    let first = of_program(&seen, "phone/1.0");
    let expected = json!({
        "id": first["id"],
        "created_at": "2026-11-22T09:30:00.000Z",
        "last_used_at": "2026-11-22T09:30:00.000Z",
        "expires_at": "2026-12-22T09:30:00.000Z",
        "user_agent": "phone/1.0",
        "ip": CLIENT,
        "current": true,
    });
    assert_eq!(first, &expected);
    assert_eq!(of_program(&seen, "till/2.1")["current"], false);
    assert_eq!(of_program(&own(&bearer(&app, &till)).await, "till/2.1")["current"], true);
    assert_eq!(first["id"].as_str().unwrap().parse::<Uuid>().unwrap().get_version_num(), 7);
}

#[tokio::test]
async fn a_refresh_is_a_use_of_the_same_session() {
    let app = App::start().await;
    app.signed_in(ANN).await;
    let phone = tokens(&app, ANN, "phone/1.0").await;
    let before = own(&bearer(&app, &phone)).await;
    app.wait(DAY);
    let renewed = refresh(&app, &phone).await.is(200).body;
    let after = own(&bearer(&app, &renewed)).await;
    assert_eq!(after[0]["user_agent"], "phone/1.0", "latest used first");
    let (old, new) = (of_program(&before, "phone/1.0"), of_program(&after, "phone/1.0"));
    for same in ["id", "created_at", "user_agent", "current"] {
        assert_eq!(old[same], new[same], "{same}");
    }
    assert_eq!(
        (&new["last_used_at"], &new["expires_at"]),
        (&json!("2026-11-23T09:30:00.000Z"), &json!("2026-12-23T09:30:00.000Z"))
    );
}

#[tokio::test]
async fn the_name_of_a_program_is_kept_short_and_plain() {
    let app = App::start().await;
    app.sign_up(ANN).await;
    let long = "x".repeat(5_000);
    let seen = own(&bearer(&app, &tokens(&app, ANN, &long).await)).await;
    assert_eq!(seen[0]["user_agent"].as_str().unwrap().len(), 256);
}

#[tokio::test]
async fn a_session_that_is_over_is_not_listed() {
    let app = App::start().await;
    app.signed_in(ANN).await;
    app.wait(30 * DAY);
    let ann = app.log_in(ANN).await;
    assert_eq!(own(&ann).await.len(), 1);
    app.tokens(ANN).await;
    ann.post("/auth/logout-all", None).await.is(204);
    assert_eq!(own(&app.log_in(ANN).await).await.len(), 1);
}

#[tokio::test]
async fn ending_a_session_ends_both_of_its_tokens_at_once_and_no_others() {
    let app = App::start().await;
    app.signed_in(ANN).await;
    let (phone, till) = (tokens(&app, ANN, "phone/1.0").await, tokens(&app, ANN, "till/2.1").await);
    let ann = bearer(&app, &till);
    let lost = path(of_program(&own(&ann).await, "phone/1.0"));
    assert!(ann.delete(&lost).await.is(204).bytes.is_empty());
    bearer(&app, &phone).get("/me").await.refused(401, "invalid_token");
    refresh(&app, &phone).await.refused(401, "invalid_refresh_token");
    ann.get("/me").await.is(200);
    refresh(&app, &till).await.is(200);
    ann.delete(&lost).await.refused(404, "not_found");
}

#[tokio::test]
async fn one_may_end_the_session_that_one_asks_with() {
    let app = App::start().await;
    let ann = app.signed_in(ANN).await;
    let current = path(&own(&ann).await[0]);
    ann.delete(&current).await.is(204);
    ann.get("/me/sessions").await.refused(401, "invalid_token");
    ann.delete(&current).await.refused(401, "invalid_token");
}

#[tokio::test]
async fn the_sessions_of_others_are_not_there() {
    let app = App::start().await;
    let (boss, ann, bob) = (app.admin().await, app.signed_in(ANN).await, app.signed_in(BOB).await);
    let foreign = path(&own(&bob).await[0]);
    let unknown = format!("/me/sessions/{}", Uuid::now_v7());
    for caller in [&ann, &boss] {
        let one = caller.delete(&foreign).await.refused(404, "not_found");
        assert_eq!(one.look(), caller.delete(&unknown).await.look());
    }
    for bad in ["/me/sessions/1", "/me/sessions/nope", "/me/sessions/%00"] {
        ann.delete(bad).await.refused(404, "not_found");
    }
    bob.get("/me").await.is(200);
    assert_eq!(own(&ann).await.len(), 1);
}

#[tokio::test]
async fn a_session_that_is_over_is_not_there_to_be_ended() {
    let app = App::start().await;
    let ann = app.signed_in(ANN).await;
    let over = path(&own(&ann).await[0]);
    app.wait(30 * DAY);
    let ann = app.log_in(ANN).await;
    let before = app.events().await.len();
    ann.delete(&over).await.refused(404, "not_found");
    assert_eq!(app.events().await.len(), before);
}

#[tokio::test]
async fn who_is_not_signed_in_sees_and_ends_nothing() {
    let app = App::start().await;
    let ann = app.signed_in(ANN).await;
    let (id, session) = (ann.id().await, path(&own(&ann).await[0]));
    let users = format!("/users/{id}/sessions");
    for path in ["/me/sessions", &users] {
        app.anyone().get(path).await.refused(401, "invalid_token");
    }
    for path in [&session, &users] {
        app.anyone().delete(path).await.refused(401, "invalid_token");
    }
    ann.get("/me").await.is(200);
}

#[tokio::test]
async fn an_admin_sees_and_ends_the_sessions_of_anyone() {
    let app = App::start().await;
    let (boss, ann) = (app.admin().await, app.signed_in(ANN).await);
    let phone = tokens(&app, ANN, "phone/1.0").await;
    let id = ann.id().await;
    let users = format!("/users/{id}/sessions");
    let seen = sessions(&boss, &users).await;
    assert_eq!(seen.len(), 2);
    assert!(seen.iter().all(|session| session["current"] == false), "none of them is the admin's: {seen:?}");
    let bosses = sessions(&boss, &format!("/users/{}/sessions", boss.id().await)).await;
    assert_eq!(bosses[0]["current"], true);

    boss.delete(&users).await.is(204);
    ann.get("/me").await.refused(401, "invalid_token");
    refresh(&app, &phone).await.refused(401, "invalid_refresh_token");
    assert_eq!(sessions(&boss, &users).await, [Value::Null; 0]);
    boss.delete(&users).await.is(204);
    app.log_in(ANN).await.get("/me").await.is(200);
    boss.get("/me").await.is(200);
}

#[tokio::test]
async fn only_admins_see_the_sessions_of_users() {
    let app = App::start().await;
    let (ann, bob) = (app.signed_in(ANN).await, app.signed_in(BOB).await);
    let of = |id: &str| format!("/users/{id}/sessions");
    let unknown = of(&Uuid::now_v7().to_string());
    for path in [of(&ann.id().await), of(&bob.id().await)] {
        let seen = ann.get(&path).await.refused(403, "forbidden");
        assert_eq!(seen.look(), ann.get(&unknown).await.look());
        let ended = ann.delete(&path).await.refused(403, "forbidden");
        assert_eq!(ended.look(), ann.delete(&unknown).await.look());
    }
    bob.get("/me").await.is(200);
}

#[tokio::test]
async fn an_unknown_user_has_no_sessions() {
    let app = App::start().await;
    let boss = app.admin().await;
    let gone = app.sign_up(ANN).await["id"].as_str().unwrap().to_owned();
    app.wait(2 * DAY);
    let boss = boss.clone();
    boss.get("/users").await.refused(401, "invalid_token");
    let boss = app.log_in("boss@example.com").await;
    for id in [gone, Uuid::now_v7().to_string(), "nope".to_owned()] {
        let path = format!("/users/{id}/sessions");
        boss.get(&path).await.refused(404, "not_found");
        boss.delete(&path).await.refused(404, "not_found");
    }
}

#[tokio::test]
async fn an_unverified_user_sees_and_ends_their_own_sessions() {
    let app = App::start().await;
    let ann = app.unverified(ANN).await;
    let other = app.log_in(ANN).await;
    let seen = own(&ann).await;
    let others = seen.iter().find(|session| session["current"] == false).unwrap();
    ann.delete(&path(others)).await.is(204);
    other.get("/me").await.refused(401, "invalid_token");
}

#[tokio::test]
async fn a_list_of_sessions_holds_no_token_and_no_hash() {
    let app = App::start().await;
    let ann = app.signed_in(ANN).await;
    for session in own(&ann).await {
        let fields: Vec<_> = session.as_object().unwrap().keys().cloned().collect();
        assert_eq!(fields, ["id", "created_at", "last_used_at", "expires_at", "user_agent", "ip", "current"]);
    }
}
