//! Password resets: who may request one, how often, how long it is valid, and what it ends.

use std::time::Duration;

use coffeeshop::{
    accounts::SignupDraft,
    core::{Admin, Error, Proof},
    domain::{Email, Origin},
};
use serde_json::{Value, json};

use crate::{
    app::{Answer, App, MOMENT, Mail, PASSWORD},
    verification::wrong,
};

const ANN: &str = "ann@example.com";
const NEW: &str = "lungo hums at dawn";

/// What no channel takes as a new password of a user with the address `ann@example.com`, and why.
pub const BAD: [(&str, &str); 12] = [
    ("", "too_short"),
    ("1234567", "too_short"),
    ("\u{e9}\u{301}\u{302}xyz", "too_short"),
    ("12345678", "too_common"),
    ("password", "too_common"),
    ("PassWord1", "too_common"),
    ("qwertyuiop", "too_common"),
    ("iloveyou1", "too_common"),
    ("coffeeshop", "too_common"),
    ("Coffee Shop!", "too_common"),
    ("ann@example.com", "too_common"),
    ("aaaaaaaaaaaaaaa", "too_common"),
];

async fn forgot(app: &App, email: &str) -> Answer {
    app.anyone().post("/auth/password/forgot", json!({ "email": email })).await
}

async fn reset(app: &App, mut proof: Value, password: &str) -> Answer {
    proof["new_password"] = json!(password);
    app.anyone().post("/auth/password/reset", proof).await
}

async fn log_in(app: &App, password: &str) -> Answer {
    app.anyone().post("/auth/login", json!({ "email": ANN, "password": password })).await
}

#[tokio::test]
async fn a_refused_password_does_not_reveal_a_right_code() {
    // Bad by itself, bad beside the address in another spelling than its owner's, bad beside the name of the owner alone.
    for (email, password) in
        [(ANN, "password1"), ("aNN@example.com", "aNN@example.com1"), (ANN, "Xylobrind1")]
    {
        let app = App::start().await;
        app.sign_up(ANN).await;
        app.execute("UPDATE users SET first_name = 'Xylobrind'");
        forgot(&app, ANN).await.is(202);
        let mail = app.mail(ANN).await;
        for _ in 0..5 {
            let wrong = json!({ "email": email, "code": wrong(&mail.code) });
            reset(&app, wrong, password).await.refused(400, "verification_failed");
        }
        reset(&app, code(&mail), NEW).await.refused(400, "verification_failed");
    }
}

#[tokio::test]
async fn a_client_that_disconnects_early_is_charged_its_attempt() {
    let app = App::start().await;
    let mail = forgetful(&app).await;
    for left in (0..5).rev() {
        let email = Email::parse("email", ANN).unwrap();
        let proof = Proof::Code(email, wrong(&mail.code));
        let mut asked = Box::pin(app.passwords.reset(proof, NEW.to_owned(), Origin::default()));
        // As far as it goes without waiting. What it waits for then has begun, and goes on without it.
        let _ = futures_util::poll!(&mut asked);
        let start = std::time::Instant::now();
        while app.stored::<u8>("SELECT tries_left FROM codes WHERE purpose = 'reset_password'") > left {
            assert!(start.elapsed() < Duration::from_secs(30), "the try is not counted");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        drop(asked);
    }
    reset(&app, code(&mail), NEW).await.refused(400, "verification_failed");
}

/// A user who forgot their password, with the message about it.
async fn forgetful(app: &App) -> Mail {
    app.sign_up(ANN).await;
    forgot(app, ANN).await.is(202);
    app.mail(ANN).await
}

fn code(mail: &Mail) -> Value {
    json!({ "email": mail.to, "code": mail.code })
}

fn token(mail: &Mail) -> Value {
    json!({ "token": mail.token() })
}

#[tokio::test]
async fn a_reset_does_not_reveal_whether_an_account_exists() {
    let app = App::start().await;
    let mail = forgetful(&app).await;
    assert!(mail.link.starts_with("http://localhost:8080/reset?token="));
    let known = forgot(&app, "ANN@example.com").await.is(202);
    assert!(known.bytes.is_empty());
    let before = app.printed().await;
    assert_eq!(forgot(&app, "unknown@example.com").await.look(), known.look());
    assert_eq!(app.printed().await, before);
}

#[tokio::test]
async fn asking_changes_nothing_yet() {
    let app = App::start().await;
    let ann = app.signed_in(ANN).await;
    forgot(&app, ANN).await.is(202);
    ann.get("/me").await.is(200);
    log_in(&app, PASSWORD).await.is(200);
}

#[tokio::test]
async fn a_code_or_a_link_sets_a_new_password_once() {
    for proof in [code, token] {
        let app = App::start().await;
        let mail = forgetful(&app).await;
        reset(&app, proof(&mail), NEW).await.is(204);
        log_in(&app, PASSWORD).await.refused(401, "invalid_credentials");
        log_in(&app, NEW).await.is(200);
        for again in [code(&mail), token(&mail)] {
            reset(&app, again, "mocha sinks at noon").await.refused(400, "verification_failed");
        }
        log_in(&app, NEW).await.is(200);
    }
}

#[tokio::test]
async fn a_new_password_ends_every_session() {
    let app = App::start().await;
    let ann = app.signed_in(ANN).await;
    let tokens = app.tokens(ANN).await;
    let bob = app.signed_in("bob@example.com").await;
    forgot(&app, ANN).await.is(202);
    reset(&app, token(&app.mail(ANN).await), NEW).await.is(204);
    ann.get("/me").await.refused(401, "invalid_token");
    let refresh = json!({ "refresh_token": tokens["refresh_token"] });
    app.anyone().post("/auth/refresh", refresh).await.refused(401, "invalid_refresh_token");
    bob.get("/me").await.is(200);
}

#[tokio::test]
async fn a_new_password_by_mail_verifies_the_address() {
    let app = App::start().await;
    app.sign_up(ANN).await;
    let verification = app.mail(ANN).await;
    app.wait(Duration::from_secs(1));
    forgot(&app, ANN).await.is(202);
    reset(&app, code(&app.mail(ANN).await), NEW).await.is(204);
    let body = json!({ "email": ANN, "password": NEW });
    let tokens = app.anyone().post("/auth/login", body).await.is(200).body;
    let ann = app.with_token(tokens["access_token"].as_str().unwrap()).me().await;
    assert_eq!((&ann["status"], &ann["expires_at"]), (&json!("verified"), &Value::Null));
    assert_eq!(ann["verified_at"], "2026-11-22T09:30:01.000Z");
    let stale = json!({ "token": verification.token() });
    app.anyone().post("/auth/verify", stale).await.refused(400, "verification_failed");
}

#[tokio::test]
async fn a_new_password_keeps_the_day_of_the_first_verification() {
    let app = App::start().await;
    let ann = app.signed_in(ANN).await;
    let verified_at = ann.me().await["verified_at"].clone();
    app.wait(Duration::from_mins(1));
    forgot(&app, ANN).await.is(202);
    reset(&app, token(&app.mail(ANN).await), PASSWORD).await.is(204);
    assert_eq!(app.log_in(ANN).await.me().await["verified_at"], verified_at);
}

#[tokio::test]
async fn a_new_password_that_breaks_a_rule_does_not_use_up_the_proof() {
    for proof in [code, token] {
        let app = App::start().await;
        let mail = forgetful(&app).await;
        for (bad, word) in [
            ("short", "too_short"),
            (&*"a".repeat(257), "too_long"),
            ("password1", "too_common"),
            ("coffeeshop1", "too_common"),
            ("ann@example.com", "too_common"),
        ] {
            let fields = reset(&app, proof(&mail), bad).await.invalid_fields();
            assert_eq!(fields, [("new_password".to_owned(), word.to_owned())], "{bad}");
        }
        reset(&app, proof(&mail), NEW).await.is(204);
    }
}

#[tokio::test]
async fn a_new_password_is_judged_beside_the_name_of_its_owner() {
    let app = App::start().await;
    let body =
        json!({ "email": ANN, "password": PASSWORD, "first_name": "Wilhelmina", "last_name": "Oakenshield" });
    app.anyone().post("/auth/signup", body).await.is(201);
    forgot(&app, ANN).await.is(202);
    let mail = app.mail(ANN).await;
    for bad in ["Wilhelmina1", "WilhelminaOakenshield"] {
        let fields = reset(&app, token(&mail), bad).await.invalid_fields();
        assert_eq!(fields, [("new_password".to_owned(), "too_common".to_owned())], "{bad}");
    }
    reset(&app, token(&mail), NEW).await.is(204);
}

#[tokio::test]
async fn a_link_lives_for_an_hour_and_its_code_for_30_minutes() {
    let app = App::start().await;
    let mail = forgetful(&app).await;
    app.wait(Duration::from_mins(30));
    reset(&app, code(&mail), NEW).await.refused(400, "verification_failed");
    app.wait_nearly(Duration::from_mins(30));
    reset(&app, token(&mail), NEW).await.is(204);
    forgot(&app, ANN).await.is(202);
    let mail = app.mail(ANN).await;
    app.wait(Duration::from_hours(1));
    reset(&app, token(&mail), PASSWORD).await.refused(400, "verification_failed");
}

#[tokio::test]
async fn a_link_does_not_outlive_the_account() {
    let app = App::start().await;
    app.sign_up(ANN).await;
    app.wait(Duration::from_mins(48 * 60 - 10));
    forgot(&app, ANN).await.is(202);
    let mail = app.mail(ANN).await;
    app.wait(Duration::from_mins(10));
    for proof in [code(&mail), token(&mail)] {
        reset(&app, proof, NEW).await.refused(400, "verification_failed");
    }
}

#[tokio::test]
async fn five_wrong_codes_kill_the_code_and_not_the_link() {
    let app = App::start().await;
    let mail = forgetful(&app).await;
    let guess = json!({ "email": ANN, "code": wrong(&mail.code) });
    for _ in 0..5 {
        reset(&app, guess.clone(), NEW).await.refused(400, "verification_failed");
    }
    reset(&app, code(&mail), NEW).await.refused(400, "verification_failed");
    reset(&app, token(&mail), NEW).await.is(204);
}

#[tokio::test]
async fn asking_again_kills_the_earlier_link() {
    let app = App::start().await;
    let old = forgetful(&app).await;
    forgot(&app, ANN).await.is(202);
    reset(&app, token(&old), NEW).await.refused(400, "verification_failed");
    reset(&app, token(&app.mail(ANN).await), NEW).await.is(204);
}

#[tokio::test]
async fn too_many_requests_get_links_only_and_then_one_an_hour() {
    let app = App::start().await;
    app.signed_in(ANN).await;
    let before = app.mails(ANN).await.len();
    for _ in 0..25 {
        forgot(&app, ANN).await.is(202);
    }
    let mails = app.mails(ANN).await.split_off(before);
    assert_eq!(mails.len(), 20);
    assert!(
        mails[..10].iter().all(|mail| mail.code.len() == 6)
            && mails[10..].iter().all(|mail| mail.code.is_empty())
    );
    for hour in 1..4 {
        app.wait_nearly(Duration::from_hours(1));
        forgot(&app, ANN).await.is(202);
        assert_eq!(app.mails(ANN).await.len(), before + 19 + hour, "the latest link still works");
        app.wait(MOMENT);
        for _ in 0..3 {
            forgot(&app, ANN).await.is(202);
        }
        assert_eq!(app.mails(ANN).await.len(), before + 20 + hour);
        assert_eq!(app.mail(ANN).await.code, "");
    }
    // Codes come again once the owner has chosen a password, or after a year without a request.
    app.wait(Duration::from_hours(364 * 24));
    forgot(&app, ANN).await.is(202);
    assert_eq!(app.mail(ANN).await.code, "");
    reset(&app, token(&app.mail(ANN).await), NEW).await.is(204);
    forgot(&app, ANN).await.is(202);
    assert_eq!(app.mail(ANN).await.code.len(), 6);
    for _ in 0..10 {
        forgot(&app, ANN).await.is(202);
    }
    assert_eq!(app.mail(ANN).await.code, "");
    app.wait(Duration::from_hours(365 * 24 + 1));
    forgot(&app, ANN).await.is(202);
    assert_eq!(app.mail(ANN).await.code.len(), 6);
}

#[tokio::test]
async fn a_new_password_lets_no_disabled_user_in() {
    let app = App::start().await;
    let (boss, mail) = (app.admin().await, forgetful(&app).await);
    let users = boss.get("/users?role=user").await.is(200).body;
    let path = format!("/users/{}", users["items"][0]["id"].as_str().unwrap());
    boss.patch(&path, json!({ "disabled": true })).await.is(200);
    reset(&app, token(&mail), NEW).await;
    assert_eq!(boss.get(&path).await.body["disabled"], true);
    assert_ne!(log_in(&app, NEW).await.status, 200);
}

#[tokio::test]
async fn one_answer_stands_for_everything_that_can_be_wrong() {
    let app = App::start().await;
    let mail = forgetful(&app).await;
    reset(&app, token(&mail), NEW).await.is(204);
    let one = reset(&app, json!({ "token": "x" }), NEW).await.refused(400, "verification_failed");
    let unknown = json!({ "email": "unknown@example.com", "code": "123456" });
    for proof in [code(&mail), token(&mail), unknown] {
        assert_eq!(reset(&app, proof.clone(), NEW).await.look(), one.look(), "{proof}");
    }
}

#[tokio::test]
async fn half_a_proof_is_invalid() {
    let app = App::start().await;
    let mail = forgetful(&app).await;
    for (body, names) in [
        (json!({}), &["new_password"][..]),
        (json!({ "new_password": NEW }), &["code", "email", "token"]),
        (json!({ "new_password": NEW, "email": ANN }), &["code"]),
        (json!({ "token": mail.token() }), &["new_password"]),
        (json!({ "new_password": NEW, "token": mail.token(), "password": NEW }), &["password"]),
    ] {
        let fields = app.anyone().post("/auth/password/reset", body.clone()).await.invalid_fields();
        for name in names {
            assert!(fields.iter().any(|(field, _)| field == name), "{body}: {fields:?}");
        }
    }
    log_in(&app, PASSWORD).await.is(200);
}

#[tokio::test]
async fn the_same_passwords_are_refused_on_every_channel() {
    let app = App::start().await;
    app.make_admin("boss@example.com").await;
    let long = "é".repeat(257);
    let fields = |answer: Answer| answer.invalid_fields();
    for (bad, why) in BAD.into_iter().chain([(long.as_str(), "too_long")]) {
        let refused = |name: &str| [(name.to_owned(), why.to_owned())];
        let draft = SignupDraft { email: ANN.to_owned(), password: bad.to_owned(), ..SignupDraft::default() };
        let invalid = app.registration.create_admin(&Admin::from_cli(), draft).await.unwrap_err();
        let Error::Invalid(invalid) = invalid else { panic!("{invalid}") };
        assert_eq!(invalid.0.iter().map(|error| error.code).collect::<Vec<_>>(), [why], "{bad}: the console");
        let sign_up = app.anyone().post("/auth/signup", json!({ "email": ANN, "password": bad })).await;
        assert_eq!(fields(sign_up), refused("password"), "{bad}: sign-up");

        let boss = app.log_in("boss@example.com").await;
        let invited = boss.post("/users", json!({ "email": ANN })).await.is(201).body;
        let invitation = app.mail(ANN).await;
        for proof in [token(&invitation), code(&invitation)] {
            if proof["code"] != "" {
                assert_eq!(
                    fields(reset(&app, proof, bad).await),
                    refused("new_password"),
                    "{bad}: invitation"
                );
            }
        }
        boss.delete(&format!("/users/{}", invited["id"].as_str().unwrap())).await.is(204);
        app.wait(Duration::from_hours(24 * 4));
        let boss = app.log_in("boss@example.com").await;

        let ann = app.unverified(ANN).await;
        let change = json!({ "current_password": PASSWORD, "new_password": bad });
        assert_eq!(
            fields(ann.post("/me/password", change).await),
            refused("new_password"),
            "{bad}: /me/password"
        );
        forgot(&app, ANN).await.is(202);
        let mail = app.mail(ANN).await;
        for proof in [token(&mail), code(&mail)] {
            if proof["code"] != "" {
                assert_eq!(fields(reset(&app, proof, bad).await), refused("new_password"), "{bad}: reset");
            }
        }
        let form =
            [("do", "choose"), ("token", mail.token()), ("new_password", bad), ("repeat_password", bad)];
        let page = app.anyone().form("/reset", &form).await.is(200).text();
        assert!(page.contains("role=\"alert\""), "{bad}: the page");
        log_in(&app, PASSWORD).await.is(200);
        boss.delete(&format!("/users/{}", ann.id().await)).await.is(204);
    }
}
