//! Verifying an address: what a code and a link can do, how often, how long, and for which account.

use std::time::Duration;

use poem::http::Method;
use serde_json::{Value, json};

use crate::{
    app::{Answer, App, MOMENT, Mail, START},
    outbox::CAPACITY,
};

const ANN: &str = "ann@example.com";
const BOB: &str = "bob@example.com";
const TWO_DAYS: Duration = Duration::from_hours(48);

async fn verify(app: &App, proof: Value) -> Answer {
    app.anyone().post("/auth/verify", proof).await
}

async fn resend(app: &App, email: &str) -> Answer {
    app.anyone().post("/auth/verify/resend", json!({ "email": email })).await
}

async fn signed_up(app: &App, email: &str) -> Mail {
    app.sign_up(email).await;
    app.mail(email).await
}

fn code(email: &str, code: &str) -> Value {
    json!({ "email": email, "code": code })
}

fn token(token: &str) -> Value {
    json!({ "token": token })
}

/// Another code than this one.
pub fn wrong(code: &str) -> String {
    let number: u32 = code.parse().unwrap();
    format!("{:06}", (number + 1) % 1_000_000)
}

#[tokio::test]
async fn a_code_verifies_once() {
    let app = App::start().await;
    let mail = signed_up(&app, ANN).await;
    app.wait(Duration::from_secs(5));
    let user = verify(&app, code(" ANN@example.com", &mail.code)).await.is(200).body;
    assert_eq!(user["status"], "verified");
    assert_eq!(user["verified_at"], "2026-11-22T09:30:05.000Z");
    assert_eq!(user["updated_at"], "2026-11-22T09:30:05.000Z");
    assert_eq!(user["expires_at"], Value::Null);
    verify(&app, code(ANN, &mail.code)).await.refused(400, "verification_failed");
    verify(&app, token(mail.token())).await.refused(400, "verification_failed");
}

#[tokio::test]
async fn a_link_verifies_once() {
    let app = App::start().await;
    let mail = signed_up(&app, ANN).await;
    assert_eq!(verify(&app, token(mail.token())).await.is(200).body["status"], "verified");
    verify(&app, token(mail.token())).await.refused(400, "verification_failed");
    verify(&app, code(ANN, &mail.code)).await.refused(400, "verification_failed");
}

#[tokio::test]
async fn four_wrong_codes_are_forgiven() {
    let app = App::start().await;
    let mail = signed_up(&app, ANN).await;
    for _ in 0..4 {
        verify(&app, code(ANN, &wrong(&mail.code))).await.refused(400, "verification_failed");
    }
    verify(&app, code(ANN, &mail.code)).await.is(200);
}

#[tokio::test]
async fn five_wrong_codes_kill_the_code_and_not_the_link() {
    let app = App::start().await;
    let mail = signed_up(&app, ANN).await;
    for _ in 0..5 {
        verify(&app, code(ANN, &wrong(&mail.code))).await.refused(400, "verification_failed");
    }
    verify(&app, code(ANN, &mail.code)).await.refused(400, "verification_failed");
    verify(&app, token(mail.token())).await.is(200);
}

#[tokio::test]
async fn wrong_codes_for_one_account_leave_another_alone() {
    let app = App::start().await;
    let (ann, bob) = (signed_up(&app, ANN).await, signed_up(&app, BOB).await);
    for _ in 0..5 {
        verify(&app, code(ANN, &wrong(&ann.code))).await.is(400);
    }
    verify(&app, code(BOB, &bob.code)).await.is(200);
}

#[tokio::test]
async fn a_resend_kills_the_earlier_code_and_link() {
    let app = App::start().await;
    let old = signed_up(&app, ANN).await;
    resend(&app, "Ann@Example.com").await.is(202);
    let new = app.mail(ANN).await;
    assert_ne!(old.token(), new.token());
    verify(&app, token(old.token())).await.refused(400, "verification_failed");
    if old.code != new.code {
        verify(&app, code(ANN, &old.code)).await.refused(400, "verification_failed");
    }
    verify(&app, code(ANN, &new.code)).await.is(200);
}

#[tokio::test]
async fn a_resend_makes_up_for_a_code_that_was_killed() {
    let app = App::start().await;
    let mail = signed_up(&app, ANN).await;
    for _ in 0..5 {
        verify(&app, code(ANN, &wrong(&mail.code))).await.is(400);
    }
    resend(&app, ANN).await.is(202);
    verify(&app, code(ANN, &app.mail(ANN).await.code)).await.is(200);
}

#[tokio::test]
async fn a_resend_does_not_reveal_whether_an_account_exists() {
    let app = App::start().await;
    let boss = app.admin().await;
    signed_up(&app, ANN).await;
    let open = resend(&app, ANN).await.is(202);
    assert!(open.bytes.is_empty());
    app.signed_in(BOB).await;
    let shut = app.sign_up("shut@example.com").await["id"].as_str().unwrap().to_owned();
    boss.patch(&format!("/users/{shut}"), json!({ "disabled": true })).await.is(200);
    let before = app.printed().await;
    for email in ["unknown@example.com", BOB, "shut@example.com"] {
        assert_eq!(resend(&app, email).await.look(), open.look(), "{email}");
    }
    assert_eq!(app.printed().await, before);
}

#[tokio::test]
async fn an_address_is_sent_ten_codes_and_then_links_alone_and_then_nothing() {
    let app = App::start().await;
    signed_up(&app, ANN).await;
    for _ in 0..25 {
        resend(&app, ANN).await.is(202);
    }
    let mails = app.mails(ANN).await;
    let with_code = mails.iter().take_while(|mail| mail.code.len() == 6).count();
    assert_eq!((with_code, mails.len()), (10, 20));
    verify(&app, token(app.mail(ANN).await.token())).await.is(200);
}

#[tokio::test]
async fn a_message_says_until_when_its_code_and_its_link_are_good() {
    let app = App::start().await;
    app.sign_up(ANN).await;
    let messages = app.outbox.take(CAPACITY).await.unwrap();
    let message = &messages[0].message;
    assert_eq!(message.code_until, Some(START + Duration::from_mins(30)));
    assert_eq!(message.link_until, Some(START + TWO_DAYS));
}

#[tokio::test]
async fn a_code_lives_for_30_minutes() {
    let app = App::start().await;
    let (ann, bob) = (signed_up(&app, ANN).await, signed_up(&app, BOB).await);
    app.wait_nearly(Duration::from_mins(30));
    verify(&app, code(ANN, &ann.code)).await.is(200);
    app.wait(MOMENT);
    verify(&app, code(BOB, &bob.code)).await.refused(400, "verification_failed");
    verify(&app, token(bob.token())).await.is(200);
}

#[tokio::test]
async fn a_link_lives_as_long_as_the_account() {
    let app = App::start().await;
    let mail = signed_up(&app, ANN).await;
    app.wait_nearly(TWO_DAYS);
    verify(&app, token(mail.token())).await.is(200);
}

#[tokio::test]
async fn at_the_instant_of_expiry_an_account_is_gone() {
    let app = App::start().await;
    signed_up(&app, ANN).await;
    app.wait(Duration::from_mins(48 * 60 - 1));
    resend(&app, ANN).await.is(202);
    let mail = app.mail(ANN).await;
    let ann = app.log_in(ANN).await;
    app.wait(Duration::from_mins(1));
    verify(&app, code(ANN, &mail.code)).await.refused(400, "verification_failed");
    verify(&app, token(mail.token())).await.refused(400, "verification_failed");
    ann.get("/me").await.refused(401, "invalid_token");
    let log_in = |email: &'static str| {
        let app = &app;
        async move {
            let body = json!({ "email": email, "password": crate::app::PASSWORD });
            app.anyone().post("/auth/login", body).await.refused(401, "invalid_credentials").look()
        }
    };
    assert_eq!(log_in(ANN).await, log_in("unknown@example.com").await);
    let before = app.printed().await;
    resend(&app, ANN).await.is(202);
    app.anyone().post("/auth/password/forgot", json!({ "email": ANN })).await.is(202);
    assert_eq!(app.printed().await, before);
}

#[tokio::test]
async fn a_resend_does_not_prolong_the_account() {
    let app = App::start().await;
    signed_up(&app, ANN).await;
    app.wait(Duration::from_mins(48 * 60 - 10));
    resend(&app, ANN).await.is(202);
    let mail = app.mail(ANN).await;
    app.wait(Duration::from_mins(10));
    verify(&app, code(ANN, &mail.code)).await.refused(400, "verification_failed");
}

#[tokio::test]
async fn only_the_very_digits_are_the_code() {
    let app = App::start().await;
    let mail = signed_up(&app, ANN).await;
    let digits = &mail.code;
    for typed in [
        digits[..5].to_owned(),
        format!("{digits}0"),
        format!("0{digits}"),
        format!("+{digits}"),
        format!("{digits}.0"),
        String::new(),
    ] {
        verify(&app, code(ANN, &typed)).await.refused(400, "verification_failed");
    }
    verify(&app, code(ANN, digits)).await.is(200);
}

#[tokio::test]
async fn only_the_very_characters_are_the_token() {
    let app = App::start().await;
    let mail = signed_up(&app, ANN).await;
    let text = mail.token();
    for typed in [
        text[..42].to_owned(),
        format!("{text}="),
        format!("{text}A"),
        text.to_lowercase().replace('a', "b"),
        text.chars().rev().collect(),
        String::new(),
    ] {
        verify(&app, token(&typed)).await.refused(400, "verification_failed");
    }
    verify(&app, token(text)).await.is(200);
}

#[tokio::test]
async fn one_answer_stands_for_everything_that_can_be_wrong() {
    let app = App::start().await;
    let used = signed_up(&app, ANN).await;
    verify(&app, token(used.token())).await.is(200);
    let expired = signed_up(&app, BOB).await;
    let tried = signed_up(&app, "eve@example.com").await;
    for _ in 0..5 {
        verify(&app, code("eve@example.com", &wrong(&tried.code))).await.is(400);
    }
    app.wait(Duration::from_mins(30));
    let unknown = token("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    let one = verify(&app, unknown).await.refused(400, "verification_failed");
    for proof in [
        code(BOB, &wrong(&expired.code)),
        code(BOB, &expired.code),
        code(BOB, "not a code"),
        code("eve@example.com", &tried.code),
        code("unknown@example.com", "123456"),
        code(ANN, &used.code),
        token(used.token()),
        token("x"),
    ] {
        assert_eq!(verify(&app, proof.clone()).await.look(), one.look(), "{proof}");
    }
}

#[tokio::test]
async fn following_the_link_verifies_nothing_by_itself() {
    let app = App::start().await;
    let mail = signed_up(&app, ANN).await;
    let (_, path) = mail.link.split_once("localhost:8080").unwrap();
    for method in [Method::HEAD, Method::GET, Method::GET] {
        app.anyone().send(method, path, None).await.is(200);
    }
    app.anyone()
        .get(&format!("/auth/verify?token={}", mail.token()))
        .await
        .refused(405, "method_not_allowed");
    assert_eq!(app.log_in(ANN).await.me().await["status"], "unverified");
    verify(&app, token(mail.token())).await.is(200);
}

#[tokio::test]
async fn half_a_proof_is_invalid_and_uses_nothing_up() {
    let app = App::start().await;
    let mail = signed_up(&app, ANN).await;
    for (proof, names) in [
        (json!({}), &["code", "email", "token"][..]),
        (json!({ "email": ANN }), &["code"]),
        (json!({ "code": mail.code }), &["email"]),
        (json!({ "email": ANN, "code": mail.code, "token": mail.token() }), &["token"]),
        (json!({ "email": "ann", "code": mail.code }), &["email"]),
        (json!({ "token": 5 }), &["token"]),
    ] {
        let fields = verify(&app, proof.clone()).await.invalid_fields();
        let found: Vec<_> = fields.iter().map(|(name, _)| name.as_str()).collect();
        for name in names {
            assert!(found.contains(name), "{proof}: {found:?}");
        }
    }
    verify(&app, code(ANN, &mail.code)).await.is(200);
}

#[tokio::test]
async fn a_code_is_good_for_its_own_account_alone() {
    let app = App::start().await;
    let (mut ann, bob) = (signed_up(&app, ANN).await, signed_up(&app, BOB).await);
    while ann.code == bob.code {
        resend(&app, ANN).await.is(202);
        ann = app.mail(ANN).await;
    }
    verify(&app, code(BOB, &ann.code)).await.refused(400, "verification_failed");
    verify(&app, code(ANN, &bob.code)).await.refused(400, "verification_failed");
    verify(&app, code(BOB, &bob.code)).await.is(200);
    assert_eq!(app.log_in(ANN).await.me().await["status"], "unverified");
}

#[tokio::test]
async fn a_proof_is_good_for_its_own_purpose_alone() {
    let app = App::start().await;
    let verification = signed_up(&app, ANN).await;
    app.anyone().post("/auth/password/forgot", json!({ "email": ANN })).await.is(202);
    let reset = app.mail(ANN).await;
    verify(&app, token(reset.token())).await.refused(400, "verification_failed");
    if reset.code != verification.code {
        verify(&app, code(ANN, &reset.code)).await.refused(400, "verification_failed");
    }
    let mut proofs = vec![token(verification.token())];
    if reset.code != verification.code {
        proofs.push(code(ANN, &verification.code));
    }
    for mut proof in proofs {
        proof["new_password"] = json!("lungo hums at dawn");
        app.anyone().post("/auth/password/reset", proof).await.refused(400, "verification_failed");
    }
    verify(&app, token(verification.token())).await.is(200);
}

#[tokio::test]
async fn an_unverified_user_sees_and_edits_only_themself() {
    let app = App::start().await;
    let ann = app.unverified(ANN).await;
    assert_eq!(ann.me().await["status"], "unverified");
    ann.patch("/me", json!({ "first_name": "Ann" })).await.is(200);
    ann.get("/users").await.refused(403, "forbidden");
    ann.post("/auth/logout-all", None).await.is(204);
    ann.get("/me").await.refused(401, "invalid_token");
}
