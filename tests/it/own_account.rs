//! A user's own account: password change, deletion and export.

use std::time::Duration;

use coffeeshop::domain::Origin;
use poem::http::Method;
use serde_json::{Value, json};

use crate::app::{Answer, App, Caller, PASSWORD};

const ANN: &str = "ann@example.com";
const BOSS: &str = "boss@example.com";
const NEW: &str = "lungo hums at dawn";
const WRONG: &str = "espresso rains upward";

async fn change(caller: &Caller<'_>, current: &str, new: &str) -> Answer {
    caller.post("/me/password", json!({ "current_password": current, "new_password": new })).await
}

async fn leave(caller: &Caller<'_>, current: &str) -> Answer {
    caller.send(Method::DELETE, "/me", Some(json!({ "current_password": current }))).await
}

async fn export(caller: &Caller<'_>) -> Value {
    caller.get("/me/export").await.is(200).body
}

fn field(name: &str, code: &str) -> (String, String) {
    (name.to_owned(), code.to_owned())
}

#[tokio::test]
async fn a_new_password_counts_from_now_on_and_the_old_one_no_more() {
    let app = App::start().await;
    let ann = app.signed_in(ANN).await;
    assert!(change(&ann, PASSWORD, NEW).await.is(204).bytes.is_empty());
    app.log_in_with(ANN, PASSWORD).await.refused(401, "invalid_credentials");
    app.log_in_with(ANN, NEW).await.is(200);
}

#[tokio::test]
async fn a_new_password_ends_the_other_sessions_and_not_this_one() {
    let app = App::start().await;
    let (ann, other) = (app.signed_in(ANN).await, app.tokens(ANN).await);
    let bob = app.signed_in("bob@example.com").await;
    change(&ann, PASSWORD, NEW).await.is(204);
    app.with_token(other["access_token"].as_str().unwrap()).get("/me").await.refused(401, "invalid_token");
    let renew = json!({ "refresh_token": other["refresh_token"] });
    app.anyone().post("/auth/refresh", renew).await.refused(401, "invalid_refresh_token");
    ann.get("/me").await.is(200);
    bob.get("/me").await.is(200);
}

#[tokio::test]
async fn the_current_session_can_be_renewed_after_a_new_password() {
    let app = App::start().await;
    app.signed_in(ANN).await;
    let tokens = app.tokens(ANN).await;
    change(&app.with_token(tokens["access_token"].as_str().unwrap()), PASSWORD, NEW).await.is(204);
    app.anyone().post("/auth/refresh", json!({ "refresh_token": tokens["refresh_token"] })).await.is(200);
}

#[tokio::test]
async fn a_password_change_is_announced_without_a_secret() {
    let app = App::start().await;
    let ann = app.signed_in(ANN).await;
    let before = app.mails(ANN).await.len();
    change(&ann, PASSWORD, NEW).await.is(204);
    let mails = app.mails(ANN).await.split_off(before);
    let [mail] = &mails[..] else { panic!("one message: {mails:?}") };
    assert_eq!(mail.subject, "Your password was changed");
    assert_eq!((mail.code.as_str(), mail.link.as_str()), ("", "http://localhost:8080/reset"));
}

#[tokio::test]
async fn changing_the_password_again_and_again_fills_no_mailbox() {
    let app = App::start().await;
    let ann = app.signed_in(ANN).await;
    let before = app.mails(ANN).await.len();
    for _ in 0..25 {
        change(&ann, PASSWORD, PASSWORD).await.is(204);
    }
    assert_eq!(app.mails(ANN).await.len() - before, 20);
    app.clock.advance(Duration::from_hours(1));
    change(&app.log_in(ANN).await, PASSWORD, PASSWORD).await.is(204);
    assert_eq!(app.mails(ANN).await.len() - before, 21, "one more an hour");
}

#[tokio::test]
async fn an_unconfirmed_address_gets_no_password_notice() {
    let app = App::start().await;
    let stranger = app.unverified("bob@example.com").await;
    for _ in 0..3 {
        change(&stranger, PASSWORD, NEW).await.is(204);
        change(&stranger, NEW, PASSWORD).await.is(204);
    }
    let mails = app.mails("bob@example.com").await;
    assert!(mails.iter().all(|mail| mail.subject == "Confirm your e-mail"), "{mails:?}");
}

#[tokio::test]
async fn a_new_password_kills_every_code_and_link_that_was_sent() {
    let app = App::start().await;
    let ann = app.signed_in(ANN).await;
    app.anyone().post("/auth/password/forgot", json!({ "email": ANN })).await.is(202);
    let reset = app.mail(ANN).await;
    change(&ann, PASSWORD, NEW).await.is(204);
    for proof in [json!({ "token": reset.token() }), json!({ "email": ANN, "code": reset.code })] {
        let mut body = proof;
        body["new_password"] = json!("a third one entirely");
        app.anyone().post("/auth/password/reset", body).await.refused(400, "verification_failed");
    }
    app.log_in_with(ANN, NEW).await.is(200);
}

#[tokio::test]
async fn an_unverified_user_can_still_verify_after_a_new_password() {
    let app = App::start().await;
    let ann = app.unverified(ANN).await;
    change(&ann, PASSWORD, NEW).await.is(204);
    let link = app.mails(ANN).await.into_iter().rev().find(|mail| mail.link.contains("/verify?")).unwrap();
    app.anyone().post("/auth/verify", json!({ "token": link.token() })).await.is(200);
}

#[tokio::test]
async fn a_wrong_current_password_changes_nothing() {
    let app = App::start().await;
    let ann = app.signed_in(ANN).await;
    let other = app.log_in(ANN).await;
    let (mails, events) = (app.printed().await, app.events().await.len());
    for wrong in [WRONG, "", " ", "MOCHA STIRS SLOWLY"] {
        let refused = change(&ann, wrong, NEW).await.refused(401, "invalid_credentials");
        assert!(refused.body["detail"].as_str().unwrap().contains("password"), "{}", refused.body);
        leave(&ann, wrong).await.refused(401, "invalid_credentials");
    }
    other.get("/me").await.is(200);
    app.log_in_with(ANN, PASSWORD).await.is(200);
    assert_eq!((app.printed().await, app.events().await.len()), (mails, events + 1), "but for the login");
}

#[tokio::test]
async fn a_new_password_meets_the_rules_of_every_password() {
    let app = App::start().await;
    let body =
        json!({ "email": ANN, "password": PASSWORD, "first_name": "Wilhelmina", "last_name": "Oakenshield" });
    app.anyone().post("/auth/signup", body).await.is(201);
    let ann = app.log_in(ANN).await;
    for (bad, code) in [
        ("short", "too_short"),
        (&*"a".repeat(257), "too_long"),
        ("password1", "too_common"),
        ("coffeeshop1", "too_common"),
        ("ann@example.com", "too_common"),
        ("Wilhelmina1", "too_common"),
        ("", "too_short"),
    ] {
        assert_eq!(
            change(&ann, PASSWORD, bad).await.invalid_fields(),
            [field("new_password", code)],
            "{bad}"
        );
    }
    app.log_in_with(ANN, PASSWORD).await.is(200);
}

#[tokio::test]
async fn bodies_without_their_form_name_the_fields() {
    let app = App::start().await;
    let ann = app.signed_in(ANN).await;
    let both = [field("current_password", "required"), field("new_password", "required")];
    assert_eq!(ann.post("/me/password", json!({})).await.invalid_fields(), both);
    let nothing = ann.send(Method::DELETE, "/me", Some(json!({}))).await;
    assert_eq!(nothing.invalid_fields(), [field("current_password", "required")]);
    let long = "x".repeat(257);
    assert_eq!(leave(&ann, &long).await.invalid_fields(), [field("current_password", "too_long")]);
    ann.delete("/me").await.refused(415, "unsupported_media_type");
    ann.get("/me").await.is(200);
}

#[tokio::test]
async fn who_is_not_signed_in_changes_and_deletes_nothing() {
    let app = App::start().await;
    app.sign_up(ANN).await;
    let body = json!({ "current_password": PASSWORD, "new_password": NEW });
    app.anyone().post("/me/password", body).await.refused(401, "invalid_token");
    let body = json!({ "current_password": PASSWORD });
    app.anyone().send(Method::DELETE, "/me", Some(body)).await.refused(401, "invalid_token");
    app.anyone().get("/me/export").await.refused(401, "invalid_token");
    app.log_in_with(ANN, PASSWORD).await.is(200);
}

#[tokio::test]
async fn a_right_password_makes_the_budget_whole_again() {
    let app = App::start().await;
    let ann = app.signed_in(ANN).await;
    let most = app.config.rate_limit.login_burst - 1;
    for _ in 0..2 {
        for _ in 0..most {
            change(&ann, WRONG, NEW).await.refused(401, "invalid_credentials");
        }
        change(&ann, PASSWORD, PASSWORD).await.is(204);
    }
}

#[tokio::test]
async fn a_new_password_that_breaks_a_rule_costs_nothing_of_the_budget() {
    let app = App::start().await;
    let ann = app.signed_in(ANN).await;
    for _ in 0..2 * app.config.rate_limit.login_burst {
        change(&ann, PASSWORD, "short").await.refused(422, "validation_failed");
    }
    change(&ann, WRONG, "short").await.refused(401, "invalid_credentials");
    change(&ann, PASSWORD, NEW).await.is(204);
}

#[tokio::test]
async fn who_leaves_is_gone_with_everything_at_once() {
    let app = App::start().await;
    let (ann, other) = (app.signed_in(ANN).await, app.tokens(ANN).await);
    app.anyone().post("/auth/password/forgot", json!({ "email": ANN })).await.is(202);
    assert!(leave(&ann, PASSWORD).await.is(204).bytes.is_empty());
    ann.get("/me").await.refused(401, "invalid_token");
    let renew = json!({ "refresh_token": other["refresh_token"] });
    app.anyone().post("/auth/refresh", renew).await.refused(401, "invalid_refresh_token");
    app.log_in_with(ANN, PASSWORD).await.refused(401, "invalid_credentials");
    for table in ["users", "sessions", "codes"] {
        assert_eq!(app.stored::<i64>(&format!("SELECT count(*) FROM {table}")), 0, "{table}");
    }
    assert_eq!(app.mail(ANN).await.subject, "Your account was deleted");
    assert_eq!(app.stored::<i64>("SELECT count(*) FROM outbox"), 0, "what was to be said was said");
    app.sign_up(ANN).await;
}

#[tokio::test]
async fn an_unverified_user_may_leave_too() {
    let app = App::start().await;
    let ann = app.unverified(ANN).await;
    leave(&ann, PASSWORD).await.is(204);
    assert_eq!(app.stored::<i64>("SELECT count(*) FROM users"), 0);
}

#[tokio::test]
async fn the_last_admin_who_can_act_may_not_leave() {
    let app = App::start().await;
    let boss = app.admin().await;
    leave(&boss, WRONG).await.refused(401, "invalid_credentials");
    leave(&boss, PASSWORD).await.refused(409, "last_admin");
    let other = app.another_admin("other@example.com").await;
    let path = format!("/users/{}", other.id().await);
    boss.patch(&path, json!({ "disabled": true })).await.is(200);
    leave(&boss, PASSWORD).await.refused(409, "last_admin");
    boss.patch(&path, json!({ "disabled": false })).await.is(200);
    leave(&boss, PASSWORD).await.is(204);
    app.log_in_with(BOSS, PASSWORD).await.refused(401, "invalid_credentials");
}

#[tokio::test]
async fn leaving_and_coming_back_buys_no_new_codes() {
    let app = App::start().await;
    for round in 0..10 {
        let ann = app.unverified(ANN).await;
        assert_eq!(app.mail(ANN).await.code.len(), 6, "{round}");
        leave(&ann, PASSWORD).await.is(204);
    }
    app.sign_up("ANN@example.com").await;
    let mail = app.mail("ANN@example.com").await;
    assert_eq!(mail.code, "");
    app.anyone().post("/auth/verify", json!({ "token": mail.token() })).await.is(200);
}

#[tokio::test]
async fn an_export_holds_the_account_and_everything_about_it() {
    let app = App::start().await;
    let body = json!({ "email": ANN, "password": PASSWORD, "first_name": "Wilhelmina" });
    app.anyone().post("/auth/signup", body).await.is(201);
    let ann = app.log_in(ANN).await;
    app.wait(Duration::from_mins(1));
    let export = export(&ann).await;
    assert_eq!(export["exported_at"], "2026-11-22T09:31:00.000Z");
    assert_eq!(export["user"], ann.me().await);
    assert_eq!(export["has_password"], true);
    assert_eq!(export["sessions"], ann.get("/me/sessions").await.body["items"]);
    let codes = json!([{
        "purpose": "verify_email", "sent_to": ANN, "code_until": "2026-11-22T10:00:00.000Z",
        "link_until": "2026-11-24T09:30:00.000Z",
    }]);
    assert_eq!(export["codes"], codes);
    let messages = export["messages"].as_array().unwrap();
    let [message] = &messages[..] else { panic!("{messages:?}") };
    assert_eq!((&message["to"], &message["about"]), (&json!(ANN), &json!("verify_email")));
    assert_eq!(
        (&message["state"], &message["created_at"]),
        (&json!("waiting"), &json!("2026-11-22T09:30:00.000Z"))
    );
    let actions: Vec<_> = export["events"].as_array().unwrap().iter().map(|event| &event["action"]).collect();
    assert_eq!(actions, ["session.started", "user.signed_up"], "newest first");
}

#[tokio::test]
async fn an_export_holds_no_secret_and_nothing_of_others() {
    let app = App::start().await;
    let boss = app.admin().await;
    let ann = app.unverified(ANN).await;
    let bob = app.signed_in("bob@example.com").await;
    app.anyone().post("/auth/password/forgot", json!({ "email": ANN })).await.is(202);
    let body = json!({ "new_email": "new@example.com", "current_password": PASSWORD });
    ann.post("/me/email", body).await.is(202);
    let text = export(&ann).await.to_string();
    let mut secrets: Vec<String> = [PASSWORD, "argon2", "bob@", "boss@"].map(str::to_owned).to_vec();
    secrets.extend([bob.id().await, boss.id().await]);
    for mail in [app.mails(ANN).await, app.mails("new@example.com").await].concat() {
        secrets.extend([mail.token().to_owned(), format!("\"{}\"", mail.code)]);
    }
    secrets.retain(|secret| secret != "\"\"");
    for secret in secrets {
        assert!(!text.contains(&secret), "{secret} is in {text}");
    }
}

#[tokio::test]
async fn an_export_does_not_tell_where_an_admin_sat() {
    let app = App::start().await;
    let (boss, ann) = (app.admin().await, app.signed_in(ANN).await);
    let path = format!("/users/{}", ann.id().await);
    let boss = boss.header("user-agent", "office/1.0").header("x-request-id", "from-the-office");
    boss.patch(&path, json!({ "role": "admin" })).await.is(200);
    boss.patch(&path, json!({ "role": "user" })).await.is(200);
    let export = export(&ann).await;
    let edits: Vec<_> = export["events"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|event| event["action"] == "user.edited")
        .collect();
    assert_eq!(edits.len(), 2);
    for edit in edits {
        assert_eq!(edit["actor_id"], boss.id().await, "who it was is told");
        assert_eq!(edit["channel"], "api");
        for field in ["ip", "user_agent", "request_id", "uid"] {
            assert_eq!(edit[field], Value::Null, "{field}");
        }
    }
}

#[tokio::test]
async fn an_export_omits_the_origin_of_cli_actions() {
    let app = App::start().await;
    let ann = app.signed_in(ANN).await;
    let id = ann.me().await["id"].as_str().unwrap().parse().unwrap();
    let by = coffeeshop::core::Admin::from_cli();
    app.passwords.create_reset_link(&by, coffeeshop::domain::UserId::from_uuid(id)).await.unwrap();
    let export = export(&ann).await;
    let made = &export["events"][0];
    assert_eq!((&made["action"], &made["channel"]), (&json!("password.reset_link_created"), &json!("cli")));
    assert_eq!(made["uid"], Value::Null);
}

#[tokio::test]
async fn an_export_of_an_admin_includes_their_actions() {
    let app = App::start().await;
    let boss = app.admin().await;
    let ann = app.sign_up(ANN).await;
    let boss = boss.header("user-agent", "office/1.0");
    boss.delete(&format!("/users/{}", ann["id"].as_str().unwrap())).await.is(204);
    let latest = export(&boss).await["events"][0].clone();
    assert_eq!((&latest["action"], &latest["user_id"]), (&json!("user.deleted"), &ann["id"]));
    assert_eq!(latest["user_agent"], "office/1.0", "where one sat oneself is one's own");
}

#[tokio::test]
async fn an_export_has_the_latest_events_however_many_there_are() {
    let app = App::start().await;
    let boss = app.admin().await;
    let ann = app.signed_in(ANN).await;
    ann.patch("/me", json!({ "first_name": "Ann" })).await.is(200);
    let id = app.sql.random_id();
    let copy = format!(
        "INSERT INTO audit_events (id, at, action, actor_id, user_id, channel, changes) \
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) \
         SELECT {id}, at + i, action, actor_id, user_id, channel, changes FROM n, audit_events \
         WHERE action = 'user.edited'"
    );
    app.execute(&copy);
    boss.patch(&format!("/users/{}", ann.id().await), json!({ "last_name": "Oak" })).await.is(200);
    let events = export(&ann).await["events"].as_array().unwrap().clone();
    assert_eq!(events.len(), 2_000);
    assert_eq!(events[0]["changes"][0]["field"], "last_name");
    assert_eq!(events[1]["at"], "2026-11-22T09:30:03.000Z");
    assert_eq!(events[1_999]["at"], "2026-11-22T09:30:01.002Z");
}

#[tokio::test]
async fn an_export_is_written_where_passwords_are_hashed() {
    let app = App::start().await;
    let ann = app.signed_in(ANN).await;
    let actor = app.sessions.authenticate(&ann.token.unwrap(), Origin::default()).await.unwrap();
    let thread = |_| std::thread::current().name().unwrap_or_default().to_owned();
    let thread = app.exports.create(&actor, thread).await.unwrap();
    assert!(thread.starts_with("hasher"), "{thread}");
}
