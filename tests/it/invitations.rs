//! Invitations: an admin creates an account, and only its user activates it.

use std::time::Duration;

use poem::http::Method;
use serde_json::{Value, json};

use crate::{
    app::{Answer, App, Caller, Mail, PASSWORD},
    verification::wrong,
};

const BOB: &str = "bob@example.com";
const TWO_DAYS: Duration = Duration::from_hours(48);

async fn invite(by: &Caller<'_>, body: Value) -> Answer {
    by.post("/users", body).await
}

/// An invited user, with the message about it.
async fn invited(app: &App, by: &Caller<'_>) -> (Value, Mail) {
    let user = invite(by, json!({ "email": BOB })).await.is(201).body;
    (user, app.mail(BOB).await)
}

fn by_link(mail: &Mail) -> Value {
    json!({ "token": mail.token() })
}

fn by_code(mail: &Mail) -> Value {
    json!({ "email": mail.to, "code": mail.code })
}

async fn accept(app: &App, mut proof: Value, password: &str) -> Answer {
    proof["new_password"] = json!(password);
    app.anyone().post("/auth/password/reset", proof).await
}

fn path(user: &Value) -> String {
    format!("/users/{}", user["id"].as_str().unwrap())
}

#[tokio::test]
async fn an_invitation_answers_every_field_of_the_new_user() {
    let app = App::start().await;
    let boss = app.admin().await;
    let body =
        json!({ "email": " Bob@Example.com", "first_name": "Bob", "last_name": null, "role": "admin" });
    let user = invite(&boss, body).await.is(201).body;
    let expected = json!({
        "id": user["id"],
        "email": "Bob@Example.com",
        "first_name": "Bob",
        "last_name": null,
        "role": "admin",
        "status": "unverified",
        "disabled": false,
        "created_at": "2026-11-22T09:30:00.000Z",
        "updated_at": "2026-11-22T09:30:00.000Z",
        "verified_at": null,
        "last_login_at": null,
        "expires_at": "2026-11-24T09:30:00.000Z",
    });
    assert_eq!(user, expected);
    assert_eq!(boss.get(&path(&user)).await.is(200).body, expected);
}

#[tokio::test]
async fn who_is_invited_is_sent_a_link_to_choose_a_password() {
    let app = App::start().await;
    let (user, mail) = invited(&app, &app.admin().await).await;
    assert_eq!(user["role"], "user");
    assert_eq!(mail.subject, "You are invited to Coffee Shop");
    assert!(mail.link.starts_with("http://localhost:8080/reset?token=") && mail.code.len() == 6, "{mail:?}");
    assert_eq!(app.mails(BOB).await.len(), 1);
}

#[tokio::test]
async fn an_invitation_is_accepted_by_code_or_by_link_once() {
    for proof in [by_code, by_link] {
        let app = App::start().await;
        let boss = app.admin().await;
        let (user, mail) = invited(&app, &boss).await;
        app.wait(Duration::from_mins(5));
        accept(&app, proof(&mail), PASSWORD).await.is(204);
        let bob = app.log_in(BOB).await.me().await;
        assert_eq!((&bob["id"], &bob["status"]), (&user["id"], &json!("verified")));
        assert_eq!(
            (&bob["verified_at"], &bob["expires_at"]),
            (&json!("2026-11-22T09:35:00.000Z"), &Value::Null)
        );
        for again in [by_code(&mail), by_link(&mail)] {
            accept(&app, again, "lungo hums at dawn").await.refused(400, "verification_failed");
        }
        app.wait(TWO_DAYS);
        app.log_in(BOB).await.get("/me").await.is(200);
        assert_eq!(app.mails(BOB).await.len(), 1, "a first password is not announced as changed");
    }
}

#[tokio::test]
async fn until_then_no_password_opens_the_account() {
    let app = App::start().await;
    invited(&app, &app.admin().await).await;
    let unknown = app.log_in_with("unknown@example.com", PASSWORD).await.refused(401, "invalid_credentials");
    for password in ["", PASSWORD, "null"] {
        assert_eq!(app.log_in_with(BOB, password).await.look(), unknown.look(), "{password}");
    }
}

#[tokio::test]
async fn an_invited_admin_has_rights_only_once_they_accepted() {
    let app = App::start().await;
    let boss = app.admin().await;
    let user = invite(&boss, json!({ "email": BOB, "role": "admin" })).await.is(201).body;
    let leave = json!({ "current_password": PASSWORD });
    boss.send(Method::DELETE, "/me", Some(leave.clone())).await.refused(409, "last_admin");
    accept(&app, by_link(&app.mail(BOB).await), PASSWORD).await.is(204);
    app.log_in(BOB).await.get(&path(&user)).await.is(200);
    boss.send(Method::DELETE, "/me", Some(leave)).await.is(204);
}

#[tokio::test]
async fn an_admin_without_a_password_does_not_replace_the_last_one() {
    let app = App::start().await;
    let boss = app.admin().await;
    let invited = invite(&boss, json!({ "email": BOB, "role": "admin" })).await.is(201).body;
    boss.patch(&path(&invited), json!({ "status": "verified" })).await.is(200);
    let me = boss.me().await;
    for change in [json!({ "role": "user" }), json!({ "disabled": true }), json!({ "status": "unverified" })]
    {
        boss.patch(&path(&me), change).await.refused(409, "last_admin");
    }
    boss.delete(&path(&me)).await.refused(409, "last_admin");
    let leave = json!({ "current_password": PASSWORD });
    boss.send(Method::DELETE, "/me", Some(leave.clone())).await.refused(409, "last_admin");
    assert_eq!(boss.me().await, me);
    // They can be taken away themselves, and count once they have chosen a password.
    boss.patch(&path(&invited), json!({ "role": "user" })).await.is(200);
    boss.patch(&path(&invited), json!({ "role": "admin" })).await.is(200);
    app.anyone().post("/auth/password/forgot", json!({ "email": BOB })).await.is(202);
    accept(&app, by_link(&app.mail(BOB).await), PASSWORD).await.is(204);
    boss.send(Method::DELETE, "/me", Some(leave)).await.is(204);
    app.log_in(BOB).await.get("/users").await.is(200);
}

#[tokio::test]
async fn a_shop_whose_only_admin_has_no_password_has_none() {
    let app = App::start().await;
    let boss = app.admin().await;
    let invited = invite(&boss, json!({ "email": BOB, "role": "admin" })).await.is(201).body;
    boss.patch(&path(&invited), json!({ "status": "verified" })).await.is(200);
    assert!(app.health.has_admin().await.unwrap());
    app.execute("DELETE FROM users WHERE email = 'boss@example.com'");
    assert!(!app.health.has_admin().await.unwrap());
}

#[tokio::test]
async fn an_invitation_verifies_nothing_without_a_password() {
    let app = App::start().await;
    let boss = app.admin().await;
    let (user, mail) = invited(&app, &boss).await;
    for proof in [by_code(&mail), by_link(&mail)] {
        app.anyone().post("/auth/verify", proof).await.refused(400, "verification_failed");
    }
    assert_eq!(boss.get(&path(&user)).await.body["status"], "unverified");
    accept(&app, by_code(&mail), PASSWORD).await.is(204);
}

#[tokio::test]
async fn a_first_password_meets_the_rules_of_every_password() {
    for proof in [by_code, by_link] {
        let app = App::start().await;
        let body = json!({ "email": BOB, "first_name": "Wilhelmina" });
        invite(&app.admin().await, body).await.is(201);
        let mail = app.mail(BOB).await;
        for (bad, code) in [
            ("short", "too_short"),
            (&*"a".repeat(257), "too_long"),
            ("password1", "too_common"),
            ("coffeeshop1", "too_common"),
            ("bob@example.com", "too_common"),
            ("Wilhelmina1", "too_common"),
        ] {
            let fields = accept(&app, proof(&mail), bad).await.invalid_fields();
            assert_eq!(fields, [("new_password".to_owned(), code.to_owned())], "{bad}");
        }
        accept(&app, proof(&mail), PASSWORD).await.is(204);
    }
}

#[tokio::test]
async fn five_wrong_codes_kill_the_code_and_not_the_link() {
    let app = App::start().await;
    let (_, mail) = invited(&app, &app.admin().await).await;
    for _ in 0..5 {
        let guess = json!({ "email": BOB, "code": wrong(&mail.code) });
        accept(&app, guess, PASSWORD).await.refused(400, "verification_failed");
    }
    accept(&app, by_code(&mail), PASSWORD).await.refused(400, "verification_failed");
    accept(&app, by_link(&mail), PASSWORD).await.is(204);
}

#[tokio::test]
async fn an_invitation_expires_with_its_account_like_any_sign_up() {
    let app = App::start().await;
    let boss = app.admin().await;
    let (user, mail) = invited(&app, &boss).await;
    app.wait(TWO_DAYS);
    for proof in [by_code(&mail), by_link(&mail)] {
        accept(&app, proof, PASSWORD).await.refused(400, "verification_failed");
    }
    let boss = app.log_in("boss@example.com").await;
    boss.get(&path(&user)).await.refused(404, "not_found");
    let again = invited(&app, &boss).await.0;
    assert_ne!(again["id"], user["id"]);
}

#[tokio::test]
async fn who_was_invited_can_have_another_message_sent() {
    let app = App::start().await;
    let (_, first) = invited(&app, &app.admin().await).await;
    app.anyone().post("/auth/verify/resend", json!({ "email": BOB })).await.is(202);
    let second = app.mail(BOB).await;
    assert_eq!(second.subject, "You are invited to Coffee Shop");
    accept(&app, by_link(&first), PASSWORD).await.refused(400, "verification_failed");
    accept(&app, by_link(&second), PASSWORD).await.is(204);
}

#[tokio::test]
async fn who_was_invited_may_ask_for_a_forgotten_password_all_the_same() {
    let app = App::start().await;
    invited(&app, &app.admin().await).await;
    app.anyone().post("/auth/password/forgot", json!({ "email": BOB })).await.is(202);
    accept(&app, by_link(&app.mail(BOB).await), PASSWORD).await.is(204);
    assert_eq!(app.log_in(BOB).await.me().await["status"], "verified");
}

#[tokio::test]
async fn an_address_is_either_invited_or_signed_up() {
    let app = App::start().await;
    let boss = app.admin().await;
    app.sign_up("ann@example.com").await;
    let before = app.events().await.len();
    invite(&boss, json!({ "email": "ANN@example.com" })).await.refused(409, "email_taken");
    assert_eq!(app.events().await.len(), before);
    invited(&app, &boss).await;
    invite(&boss, json!({ "email": "BOB@example.com" })).await.refused(409, "email_taken");
    let body = json!({ "email": BOB, "password": PASSWORD });
    app.anyone().post("/auth/signup", body).await.refused(409, "email_taken");
}

#[tokio::test]
async fn only_admins_invite() {
    let app = App::start().await;
    app.admin().await;
    let ann = app.signed_in("ann@example.com").await;
    for body in [json!({ "email": BOB }), json!({ "email": "boss@example.com" }), json!({})] {
        invite(&app.anyone(), body.clone()).await.refused(401, "invalid_token");
        let one = invite(&ann, body).await.refused(403, "forbidden");
        assert_eq!(one.look(), invite(&ann, json!({ "email": BOB })).await.look());
    }
    assert_eq!(app.mails(BOB).await, []);
}

#[tokio::test]
async fn an_invalid_invitation_is_reported_by_field() {
    let app = App::start().await;
    let boss = app.admin().await;
    let body =
        json!({ "email": "bob", "first_name": "", "last_name": 5, "role": "king", "password": PASSWORD });
    let fields = invite(&boss, body).await.invalid_fields();
    let names: Vec<_> = fields.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["email", "first_name", "last_name", "password", "role"]);
    let fields = invite(&boss, json!({})).await.invalid_fields();
    assert_eq!(fields, [("email".to_owned(), "required".to_owned())]);
    assert_eq!(app.stored::<i64>("SELECT count(*) FROM users"), 1);
}

#[tokio::test]
async fn deleting_and_inviting_again_buys_no_new_codes_and_ends() {
    let app = App::start().await;
    let boss = app.admin().await;
    let mut codes = Vec::new();
    for _ in 0..20 {
        let (user, mail) = invited(&app, &boss).await;
        codes.push(mail.code.len());
        boss.delete(&path(&user)).await.is(204);
    }
    assert_eq!(codes, [[6; 10], [0; 10]].concat());
    invite(&boss, json!({ "email": BOB })).await.refused(429, "too_many_requests");
    assert_eq!(
        app.stored::<i64>("SELECT count(*) FROM users"),
        1,
        "no user waits for a message that never comes"
    );
}

#[tokio::test]
async fn an_admin_demoted_meanwhile_cannot_invite() {
    let app = App::start().await;
    let (boss, other) = (app.admin().await, app.another_admin("other@example.com").await);
    boss.patch(&format!("/users/{}", other.id().await), json!({ "role": "user" })).await.is(200);
    invite(&other, json!({ "email": BOB })).await.refused(403, "forbidden");
}

#[tokio::test]
async fn a_link_handed_over_by_an_admin_opens_an_invited_account_too() {
    let app = App::start().await;
    let (user, invitation) = invited(&app, &app.admin().await).await;
    let id = coffeeshop::domain::UserId::from_uuid(user["id"].as_str().unwrap().parse().unwrap());
    let by = coffeeshop::core::Admin::from_cli();
    let reset = app.passwords.create_reset_link(&by, id).await.unwrap();
    let token = reset.link.split_once("?token=").unwrap().1;
    accept(&app, json!({ "token": token }), PASSWORD).await.is(204);
    accept(&app, by_link(&invitation), "lungo hums at dawn").await.refused(400, "verification_failed");
    app.log_in(BOB).await.get("/me").await.is(200);
}

#[tokio::test]
async fn an_invitation_follows_the_address_that_an_admin_sets() {
    let app = App::start().await;
    let boss = app.admin().await;
    let (user, first) = invited(&app, &boss).await;
    boss.patch(&path(&user), json!({ "email": "robert@example.com" })).await.is(200);
    accept(&app, by_link(&first), PASSWORD).await.refused(400, "verification_failed");
    let second = app.mail("robert@example.com").await;
    assert_eq!(second.subject, "You are invited to Coffee Shop");
    accept(&app, by_link(&second), PASSWORD).await.is(204);
    app.log_in("robert@example.com").await.get("/me").await.is(200);
}

#[tokio::test]
async fn whom_an_admin_verifies_may_still_accept_the_invitation() {
    let app = App::start().await;
    let boss = app.admin().await;
    let (user, mail) = invited(&app, &boss).await;
    boss.patch(&path(&user), json!({ "status": "verified" })).await.is(200);
    app.log_in_with(BOB, PASSWORD).await.refused(401, "invalid_credentials");
    accept(&app, by_link(&mail), PASSWORD).await.is(204);
    app.log_in(BOB).await.get("/me").await.is(200);
}

#[tokio::test]
async fn an_invited_user_can_neither_export_nor_delete_before_accepting() {
    let app = App::start().await;
    let (_, mail) = invited(&app, &app.admin().await).await;
    for token in [mail.token(), "x"] {
        let bob = app.with_token(token);
        bob.get("/me/export").await.refused(401, "invalid_token");
        let body = json!({ "current_password": "" });
        bob.send(Method::DELETE, "/me", Some(body)).await.refused(401, "invalid_token");
    }
}

#[tokio::test]
async fn a_null_role_is_reported_like_any_wrong_type() {
    let app = App::start().await;
    let boss = app.admin().await;
    let fields = invite(&boss, json!({ "email": BOB, "role": null })).await.invalid_fields();
    assert_eq!(fields, [("role".to_owned(), "wrong_type".to_owned())]);
}
