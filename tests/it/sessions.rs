//! Sessions: how they start, are refreshed, and end.

use std::time::Duration;

use serde_json::{Value, json};

use crate::app::{Answer, App, Caller, MOMENT, PASSWORD};

const ANN: &str = "ann@example.com";
const DAY: Duration = Duration::from_hours(24);
const GRACE: Duration = Duration::from_secs(10);
const HASH: &str = "SELECT password_hash FROM users";

async fn log_in(app: &App, email: &str, password: &str) -> Answer {
    app.anyone().post("/auth/login", json!({ "email": email, "password": password })).await
}

async fn refresh(app: &App, tokens: &Value) -> Answer {
    app.anyone().post("/auth/refresh", json!({ "refresh_token": tokens["refresh_token"] })).await
}

async fn logout(app: &App, refresh_token: &Value) -> Answer {
    app.anyone().post("/auth/logout", json!({ "refresh_token": refresh_token })).await
}

fn bearer<'a>(app: &'a App, tokens: &Value) -> Caller<'a> {
    app.with_token(tokens["access_token"].as_str().unwrap())
}

/// Fails unless the session of these tokens is over.
async fn is_over(app: &App, tokens: &Value) {
    bearer(app, tokens).get("/me").await.refused(401, "invalid_token");
    refresh(app, tokens).await.refused(401, "invalid_refresh_token");
}

async fn signed_up(app: &App) -> Value {
    app.sign_up(ANN).await;
    app.tokens(ANN).await
}

async fn change(boss: &Caller<'_>, user: &Value, change: Value) {
    boss.patch(&format!("/users/{}", user["id"].as_str().unwrap()), change).await.is(200);
}

#[tokio::test]
async fn a_login_gives_two_tokens() {
    let app = App::start().await;
    let tokens = signed_up(&app).await;
    assert_eq!(tokens["token_type"], "Bearer");
    assert_eq!(tokens["expires_in"], 900);
    assert_eq!(tokens["refresh_expires_in"], 2_592_000);
    assert_ne!(tokens["access_token"], tokens["refresh_token"]);
    assert_eq!(tokens.as_object().unwrap().len(), 5);
    assert_eq!(bearer(&app, &tokens).me().await["email"], ANN);
}

#[tokio::test]
async fn a_login_is_remembered() {
    let app = App::start().await;
    app.sign_up(ANN).await;
    app.wait(Duration::from_secs(3));
    log_in(&app, ANN, "wrong").await.is(401);
    assert_eq!(app.log_in(ANN).await.me().await["last_login_at"], "2026-11-22T09:30:03.000Z");
}

#[tokio::test]
async fn an_address_may_be_spelled_otherwise_at_login() {
    let app = App::start().await;
    app.sign_up("Ann@Example.com").await;
    for email in ["ann@example.com", " ANN@EXAMPLE.COM ", "ann@ｅxample.com"] {
        log_in(&app, email, PASSWORD).await.is(200);
    }
}

#[tokio::test]
async fn an_unknown_address_and_a_wrong_password_look_the_same() {
    let app = App::start().await;
    app.sign_up(ANN).await;
    let wrong = log_in(&app, ANN, "espresso rains upward").await.refused(401, "invalid_credentials");
    assert!(wrong.header("www-authenticate").starts_with("Bearer"));
    for (email, password) in [
        ("unknown@example.com", PASSWORD),
        (ANN, ""),
        (ANN, "MOCHA STIRS SLOWLY"),
        (ANN, "mocha stirs slowly "),
    ] {
        assert_eq!(log_in(&app, email, password).await.look(), wrong.look(), "{email} {password}");
    }
}

#[tokio::test]
async fn a_login_that_has_not_its_form_names_the_fields() {
    let app = App::start().await;
    let fields = log_in(&app, "ann", &"a".repeat(257)).await.invalid_fields();
    let expected = [("email", "invalid_email"), ("password", "too_long")];
    assert_eq!(fields, expected.map(|(field, code)| (field.to_owned(), code.to_owned())));
}

#[tokio::test]
async fn a_disabled_account_is_revealed_only_after_the_right_password() {
    let app = App::start().await;
    let boss = app.admin().await;
    let ann = app.sign_up(ANN).await;
    change(&boss, &ann, json!({ "disabled": true })).await;
    log_in(&app, ANN, PASSWORD).await.refused(403, "account_disabled");
    let wrong = log_in(&app, ANN, "espresso rains upward").await.refused(401, "invalid_credentials");
    assert_eq!(wrong.look(), log_in(&app, "unknown@example.com", "espresso rains upward").await.look());
    assert_eq!(app.stored::<i64>("SELECT count(*) FROM sessions"), 1, "the admin's");
}

#[tokio::test]
async fn a_shop_can_keep_unverified_users_out() {
    let app = App::with(|config| config.auth.allow_unverified_login = false).await;
    app.sign_up(ANN).await;
    log_in(&app, ANN, PASSWORD).await.refused(403, "email_not_verified");
    log_in(&app, ANN, "espresso rains upward").await.refused(401, "invalid_credentials");
    app.verify(ANN).await;
    log_in(&app, ANN, PASSWORD).await.is(200);
}

#[tokio::test]
async fn a_refresh_gives_two_new_tokens() {
    let app = App::start().await;
    let first = signed_up(&app).await;
    app.wait(DAY);
    let second = refresh(&app, &first).await.is(200).body;
    assert_ne!(first["refresh_token"], second["refresh_token"]);
    assert_ne!(first["access_token"], second["access_token"]);
    assert_eq!((&second["expires_in"], &second["refresh_expires_in"]), (&json!(900), &json!(2_592_000)));
    assert_eq!(bearer(&app, &second).me().await["email"], ANN);
    refresh(&app, &second).await.is(200);
    assert_eq!(app.stored::<i64>("SELECT count(*) FROM sessions"), 1);
}

#[tokio::test]
async fn a_lost_reply_to_a_refresh_is_given_again() {
    let app = App::start().await;
    let first = signed_up(&app).await;
    let second = refresh(&app, &first).await.is(200).body;
    app.wait_nearly(GRACE);
    for _ in 0..3 {
        let again = refresh(&app, &first).await.is(200).body;
        assert_eq!(again["refresh_token"], second["refresh_token"]);
        bearer(&app, &again).get("/me").await.is(200);
    }
    refresh(&app, &second).await.is(200);
}

#[tokio::test]
async fn a_refresh_token_that_is_used_again_too_late_ends_the_session() {
    let app = App::start().await;
    let first = signed_up(&app).await;
    let second = refresh(&app, &first).await.is(200).body;
    app.wait(GRACE + MOMENT);
    refresh(&app, &first).await.refused(401, "invalid_refresh_token");
    is_over(&app, &second).await;
}

#[tokio::test]
async fn refresh_token_reuse_after_its_successor_ends_the_session() {
    let app = App::start().await;
    let first = signed_up(&app).await;
    let second = refresh(&app, &first).await.is(200).body;
    let third = refresh(&app, &second).await.is(200).body;
    refresh(&app, &first).await.refused(401, "invalid_refresh_token");
    is_over(&app, &third).await;
}

#[tokio::test]
async fn a_session_that_ended_by_a_second_use_is_the_only_one() {
    let app = App::start().await;
    let first = signed_up(&app).await;
    let other = app.tokens(ANN).await;
    refresh(&app, &first).await.is(200);
    app.wait(GRACE + MOMENT);
    refresh(&app, &first).await.is(401);
    bearer(&app, &other).get("/me").await.is(200);
    refresh(&app, &other).await.is(200);
}

#[tokio::test]
async fn a_refresh_token_lives_for_30_days_from_its_last_use() {
    let app = App::start().await;
    app.sign_up(ANN).await;
    app.verify(ANN).await;
    let mut tokens = app.tokens(ANN).await;
    for _ in 0..2 {
        app.wait(Duration::from_secs(30 * 86_400 - 1));
        tokens = refresh(&app, &tokens).await.is(200).body;
    }
    app.wait(30 * DAY);
    is_over(&app, &tokens).await;
}

#[tokio::test]
async fn a_session_lives_for_90_days_in_all() {
    let app = App::start().await;
    app.sign_up(ANN).await;
    app.verify(ANN).await;
    let mut tokens = app.tokens(ANN).await;
    for _ in 0..3 {
        app.wait(29 * DAY);
        tokens = refresh(&app, &tokens).await.is(200).body;
    }
    assert_eq!(tokens["refresh_expires_in"], 3 * 86_400);
    app.wait(Duration::from_mins(3 * 24 * 60 - 5));
    tokens = refresh(&app, &tokens).await.is(200).body;
    assert_eq!((&tokens["expires_in"], &tokens["refresh_expires_in"]), (&json!(300), &json!(300)));
    app.wait(Duration::from_mins(5));
    is_over(&app, &tokens).await;
}

#[tokio::test]
async fn a_session_ends_to_the_millisecond_unlike_its_tokens() {
    let app = App::with(|config| config.auth.session_ttl = Duration::from_mins(10).into()).await;
    app.sign_up(ANN).await;
    app.wait(Duration::from_millis(500));
    let tokens = app.tokens(ANN).await;
    app.wait_nearly(Duration::from_mins(10));
    bearer(&app, &tokens).get("/me").await.is(200);
    app.wait(MOMENT);
    is_over(&app, &tokens).await;
}

#[tokio::test]
async fn a_logout_ends_the_session_at_once() {
    let app = App::start().await;
    let (tokens, other) = (signed_up(&app).await, app.tokens(ANN).await);
    logout(&app, &tokens["refresh_token"]).await.is(204);
    is_over(&app, &tokens).await;
    bearer(&app, &other).get("/me").await.is(200);
}

#[tokio::test]
async fn a_logout_with_a_dead_token_is_fine() {
    let app = App::start().await;
    let tokens = signed_up(&app).await;
    logout(&app, &tokens["refresh_token"]).await.is(204);
    for dead in [&tokens["refresh_token"], &tokens["access_token"], &json!(""), &json!("a.b.c"), &json!("☕")]
    {
        logout(&app, dead).await.is(204);
    }
}

#[tokio::test]
async fn an_access_token_ends_no_session_at_logout() {
    let app = App::start().await;
    let tokens = signed_up(&app).await;
    logout(&app, &tokens["access_token"]).await.is(204);
    bearer(&app, &tokens).get("/me").await.is(200);
}

#[tokio::test]
async fn a_logout_everywhere_ends_every_session_of_one_user() {
    let app = App::start().await;
    let (one, two) = (signed_up(&app).await, app.tokens(ANN).await);
    let bob = app.signed_in("bob@example.com").await;
    bearer(&app, &one).post("/auth/logout-all", None).await.is(204);
    is_over(&app, &one).await;
    is_over(&app, &two).await;
    bob.get("/me").await.is(200);
    app.log_in(ANN).await.get("/me").await.is(200);
}

#[tokio::test]
async fn a_deleted_user_is_out_at_once() {
    let app = App::start().await;
    let boss = app.admin().await;
    let tokens = signed_up(&app).await;
    let id = bearer(&app, &tokens).id().await;
    boss.delete(&format!("/users/{id}")).await.is(204);
    is_over(&app, &tokens).await;
    log_in(&app, ANN, PASSWORD).await.refused(401, "invalid_credentials");
}

#[tokio::test]
async fn a_disabled_user_is_out_at_once_and_for_good() {
    let app = App::start().await;
    let boss = app.admin().await;
    let tokens = signed_up(&app).await;
    let ann = bearer(&app, &tokens).me().await;
    change(&boss, &ann, json!({ "disabled": true })).await;
    is_over(&app, &tokens).await;
    change(&boss, &ann, json!({ "disabled": false })).await;
    is_over(&app, &tokens).await;
    app.log_in(ANN).await.get("/me").await.is(200);
}

#[tokio::test]
async fn a_demoted_admin_is_one_no_longer_with_the_same_token() {
    let app = App::start().await;
    let (boss, other) = (app.admin().await, app.another_admin("other@example.com").await);
    other.get("/users").await.is(200);
    change(&boss, &other.me().await, json!({ "role": "user" })).await;
    other.get("/users").await.refused(403, "forbidden");
    assert_eq!(other.me().await["role"], "user");
}

#[tokio::test]
async fn a_promoted_user_is_an_admin_with_the_same_token() {
    let app = App::start().await;
    let (boss, ann) = (app.admin().await, app.signed_in(ANN).await);
    change(&boss, &ann.me().await, json!({ "role": "admin" })).await;
    ann.get("/users").await.is(200);
}

#[tokio::test]
async fn too_many_wrong_passwords_ask_for_patience() {
    let app = App::start().await;
    app.sign_up(ANN).await;
    for email in [ANN, "unknown@example.com"] {
        for _ in 0..app.config.rate_limit.login_burst {
            log_in(&app, email, "espresso rains upward").await.refused(401, "invalid_credentials");
        }
        let refused = log_in(&app, email, PASSWORD).await.refused(429, "too_many_requests");
        assert_eq!(refused.header("retry-after"), "60");
    }
    app.wait(Duration::from_secs(59));
    assert_eq!(
        log_in(&app, ANN, PASSWORD).await.refused(429, "too_many_requests").header("retry-after"),
        "1"
    );
    app.wait(Duration::from_secs(1));
    log_in(&app, ANN, PASSWORD).await.is(200);
    log_in(&app, ANN, "espresso rains upward").await.refused(401, "invalid_credentials");
}

#[tokio::test]
async fn a_hash_with_older_parameters_is_renewed_at_a_login() {
    let old = App::start().await;
    old.sign_up(ANN).await;
    let hash = old.stored::<String>(HASH);
    assert!(hash.starts_with("$argon2id$v=19$m=64,t=1,p=1$"), "{hash}");
    let new = old.beside(|config| config.password.memory_kib = 128).await;
    log_in(&new, ANN, "espresso rains upward").await.is(401);
    assert_eq!(new.stored::<String>(HASH), hash);
    log_in(&new, ANN, PASSWORD).await.is(200);
    let renewed = new.stored::<String>(HASH);
    assert!(renewed.starts_with("$argon2id$v=19$m=128,t=1,p=1$"), "{renewed}");
    log_in(&new, ANN, PASSWORD).await.is(200);
    assert_eq!(new.stored::<String>(HASH), renewed);
}
