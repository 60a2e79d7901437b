//! Reminders: sent once, in time, to unverified users only.

use std::time::Duration;

use serde_json::json;

use crate::app::{App, MOMENT, Mail, PASSWORD};

const ANN: &str = "ann@example.com";
const BOB: &str = "bob@example.com";
const DAY: Duration = Duration::from_hours(24);

async fn remind(app: &App) -> u64 {
    app.reminders.send().await.unwrap()
}

/// The messages to this address that are reminders.
async fn reminders(app: &App, to: &str) -> Vec<Mail> {
    let mut mails = app.mails(to).await;
    mails.retain(|mail| mail.subject.contains("will be deleted") || mail.subject.contains("about to end"));
    mails
}

#[tokio::test]
async fn who_has_not_verified_is_reminded_once_when_a_day_is_left() {
    let app = App::start().await;
    app.sign_up(ANN).await;
    app.wait_nearly(DAY);
    assert_eq!(remind(&app).await, 0);
    app.wait(MOMENT);
    assert_eq!(remind(&app).await, 1);
    for _ in 0..3 {
        app.wait(Duration::from_hours(1));
        assert_eq!(remind(&app).await, 0);
    }
    let mails = reminders(&app, ANN).await;
    let [mail] = &mails[..] else { panic!("one reminder: {mails:?}") };
    assert_eq!(mail.subject, "Confirm your e-mail, or your account will be deleted");
    assert_eq!(app.mails(ANN).await.len(), 2);
}

#[tokio::test]
async fn a_reminder_replaces_earlier_codes_and_links() {
    let app = App::start().await;
    app.sign_up(ANN).await;
    let first = app.mail(ANN).await;
    app.wait(DAY);
    remind(&app).await;
    let mail = app.mail(ANN).await;
    let stale = json!({ "token": first.token() });
    app.anyone().post("/auth/verify", stale).await.refused(400, "verification_failed");
    let user =
        app.anyone().post("/auth/verify", json!({ "email": ANN, "code": mail.code })).await.is(200).body;
    assert_eq!(user["status"], "verified");
}

#[tokio::test]
async fn a_reminder_prolongs_nothing() {
    let app = App::start().await;
    app.sign_up(ANN).await;
    app.wait(DAY);
    remind(&app).await;
    let mail = app.mail(ANN).await;
    app.wait_nearly(DAY);
    assert_eq!(app.log_in(ANN).await.me().await["expires_at"], "2026-11-24T09:30:00.000Z");
    app.wait(MOMENT);
    let late = json!({ "token": mail.token() });
    app.anyone().post("/auth/verify", late).await.refused(400, "verification_failed");
}

#[tokio::test]
async fn no_other_user_is_reminded() {
    let app = App::start().await;
    let boss = app.admin().await;
    app.signed_in(ANN).await;
    let shut = app.sign_up("shut@example.com").await["id"].as_str().unwrap().to_owned();
    boss.patch(&format!("/users/{shut}"), json!({ "disabled": true })).await.is(200);
    app.sign_up("late@example.com").await;
    app.wait(2 * DAY);
    app.sign_up(BOB).await;
    assert_eq!(remind(&app).await, 0, "verified, disabled, expired, and new");
    app.wait(DAY);
    assert_eq!(remind(&app).await, 1);
    assert_eq!(reminders(&app, BOB).await.len(), 1);
}

#[tokio::test]
async fn who_was_invited_is_reminded_of_the_invitation() {
    let app = App::start().await;
    let boss = app.admin().await;
    boss.post("/users", json!({ "email": BOB })).await.is(201);
    app.wait(DAY);
    assert_eq!(remind(&app).await, 1);
    let mail = app.mail(BOB).await;
    assert_eq!(mail.subject, "Your invitation to Coffee Shop is about to end");
    assert!(mail.link.starts_with("http://localhost:8080/reset?token="));
    let accepted = json!({ "token": mail.token(), "new_password": PASSWORD });
    app.anyone().post("/auth/password/reset", accepted).await.is(204);
}

#[tokio::test]
async fn where_accounts_expire_soon_the_reminder_comes_at_half_of_the_time() {
    let app = App::with(|config| config.cleanup.unverified_after = "2h".parse().unwrap()).await;
    app.sign_up(ANN).await;
    assert_eq!(remind(&app).await, 0);
    app.wait_nearly(Duration::from_hours(1));
    assert_eq!(remind(&app).await, 0);
    app.wait(MOMENT);
    assert_eq!(remind(&app).await, 1);
}

#[tokio::test]
async fn who_becomes_unverified_again_is_reminded_again() {
    let app = App::start().await;
    app.sign_up(ANN).await;
    app.wait(DAY);
    assert_eq!(remind(&app).await, 1);
    app.verify(ANN).await;
    let boss = app.admin().await;
    let id = app.log_in(ANN).await.id().await;
    boss.patch(&format!("/users/{id}"), json!({ "status": "unverified" })).await.is(200);
    assert_eq!(remind(&app).await, 0);
    app.wait(DAY);
    assert_eq!(remind(&app).await, 1);
    assert_eq!(reminders(&app, ANN).await.len(), 2);
}

/// So many unverified users who signed up when every test starts, and expire a day later.
fn add_unverified(app: &App, number: u32) {
    let id = app.sql.random_id();
    app.execute(&format!(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {number})
         INSERT INTO users (id, email, email_key, search_text, role, status, disabled, created_at, updated_at, expires_at)
         SELECT {id}, 'many' || i || '@example.com', 'many' || i || '@example.com', 'many' || i || '@example.com',
                'user', 'unverified', FALSE, 1795339800000, 1795339800000, 1795339800000 + 86400000 FROM n"
    ));
}

#[tokio::test]
async fn many_are_reminded_in_slices_and_each_once() {
    let app = App::start().await;
    add_unverified(&app, 250);
    assert_eq!(remind(&app).await, 250);
    assert_eq!(remind(&app).await, 0);
    assert_eq!(app.stored::<i64>("SELECT count(*) FROM outbox"), 250);
    assert_eq!(app.stored::<i64>("SELECT count(DISTINCT recipient) FROM outbox"), 250);
}

#[tokio::test]
async fn two_servers_on_one_store_remind_once() {
    let app = App::start().await;
    app.sign_up(ANN).await;
    let other = app.beside(|_| {}).await;
    app.wait(DAY);
    other.wait(DAY);
    tokio::join!(remind(&app), remind(&other));
    assert_eq!(reminders(&app, ANN).await.len() + reminders(&other, ANN).await.len(), 1);
}

#[tokio::test]
async fn whose_address_was_sent_enough_is_not_sent_a_reminder() {
    let app = App::start().await;
    app.sign_up(ANN).await;
    app.wait(Duration::from_mins(24 * 60 - 1));
    for _ in 0..20 {
        app.anyone().post("/auth/verify/resend", json!({ "email": ANN })).await.is(202);
    }
    let latest = app.mail(ANN).await;
    app.wait(Duration::from_mins(1));
    remind(&app).await;
    assert_eq!(reminders(&app, ANN).await, []);
    app.anyone().post("/auth/verify", json!({ "token": latest.token() })).await.is(200);
}

#[tokio::test]
async fn all_are_reminded_however_many_they_are() {
    let app = App::start().await;
    add_unverified(&app, 101);
    assert_eq!(remind(&app).await, 101);
}

#[tokio::test]
async fn a_reminder_wakes_the_outbox_worker() {
    let app = App::start().await;
    app.sign_up(ANN).await;
    app.outbox.enqueued().await; // what is for the sign-up
    let woken = async || tokio::time::timeout(Duration::ZERO, app.outbox.enqueued()).await.is_ok();
    assert_eq!(remind(&app).await, 0);
    assert!(!woken().await, "there is nothing to send");
    app.wait(DAY);
    assert_eq!(remind(&app).await, 1);
    assert!(woken().await);
}
