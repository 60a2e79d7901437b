//! E-mail changes: requested, confirmed, cancelled, and not effective a moment before.

use std::time::Duration;

use coffeeshop::{core::Admin, domain::Origin, operations::PurgeScope};
use poem::http::Method;
use serde_json::{Value, json};

use crate::sql::hex;
use crate::{
    app::{Answer, App, Caller, MOMENT, Mail, PASSWORD, START},
    outbox::CAPACITY,
    verification::wrong,
};

const ANN: &str = "ann@example.com";
const NEW: &str = "ann.smith@example.org";
const OTHER: &str = "ann.jones@example.org";
const NEXT_PASSWORD: &str = "lungo hums at dawn";
const TWO_DAYS: Duration = Duration::from_hours(48);

async fn ask(caller: &Caller<'_>, new: &str) -> Answer {
    caller.post("/me/email", json!({ "new_email": new, "current_password": PASSWORD })).await
}

async fn verify(app: &App, proof: Value) -> Answer {
    app.anyone().post("/auth/verify", proof).await
}

fn by_link(mail: &Mail) -> Value {
    json!({ "token": mail.token() })
}

fn by_code(mail: &Mail) -> Value {
    json!({ "email": mail.to, "code": mail.code })
}

/// Asks for this address; answers the message to it.
async fn asked(app: &App, caller: &Caller<'_>, new: &str) -> Mail {
    ask(caller, new).await.is(202);
    app.mail(new).await
}

/// The address that the account has.
async fn address(app: &App) -> String {
    app.stored("SELECT email FROM users WHERE role = 'user' ORDER BY seq LIMIT 1")
}

#[tokio::test]
async fn a_change_is_confirmed_by_code_or_by_link_once() {
    for proof in [by_code, by_link] {
        let app = App::start().await;
        let ann = app.signed_in(ANN).await;
        app.wait(Duration::from_mins(1));
        let mail = asked(&app, &ann, NEW).await;
        assert_eq!(mail.subject, "Confirm your new e-mail");
        assert!(mail.link.starts_with("http://localhost:8080/verify?token="), "{}", mail.link);
        let user = verify(&app, proof(&mail)).await.is(200).body;
        assert_eq!((&user["email"], &user["status"]), (&json!(NEW), &json!("verified")));
        assert_eq!(user["updated_at"], "2026-11-22T09:31:00.000Z");
        for again in [by_code(&mail), by_link(&mail)] {
            verify(&app, again).await.refused(400, "verification_failed");
        }
        app.log_in_with(ANN, PASSWORD).await.refused(401, "invalid_credentials");
        app.log_in_with(NEW, PASSWORD).await.is(200);
        app.sign_up(ANN).await;
    }
}

#[tokio::test]
async fn until_it_is_confirmed_the_old_address_is_in_force() {
    let app = App::start().await;
    let ann = app.signed_in(ANN).await;
    let before = ann.me().await;
    assert!(ask(&ann, NEW).await.is(202).bytes.is_empty());
    assert_eq!(ann.me().await, before);
    app.log_in_with(ANN, PASSWORD).await.is(200);
    app.log_in_with(NEW, PASSWORD).await.refused(401, "invalid_credentials");
    let mails = app.mails(NEW).await.len();
    app.anyone().post("/auth/password/forgot", json!({ "email": NEW })).await.is(202);
    app.anyone().post("/auth/verify/resend", json!({ "email": NEW })).await.is(202);
    assert_eq!(app.mails(NEW).await.len(), mails, "the new address is not used yet");
}

#[tokio::test]
async fn the_confirmation_ends_every_session() {
    let app = App::start().await;
    let ann = app.signed_in(ANN).await;
    let tokens = app.tokens(ANN).await;
    let mail = asked(&app, &ann, NEW).await;
    verify(&app, by_link(&mail)).await.is(200);
    ann.get("/me").await.refused(401, "invalid_token");
    let renew = json!({ "refresh_token": tokens["refresh_token"] });
    app.anyone().post("/auth/refresh", renew).await.refused(401, "invalid_refresh_token");
}

#[tokio::test]
async fn the_old_address_is_notified_of_request_and_change() {
    let app = App::start().await;
    let ann = app.signed_in(ANN).await;
    let before = app.mails(ANN).await.len();
    let mail = asked(&app, &ann, NEW).await;
    verify(&app, by_code(&mail)).await.is(200);
    let mails = app.mails(ANN).await.split_off(before);
    let [asked, done] = &mails[..] else { panic!("two messages: {mails:?}") };
    assert_eq!(asked.subject, "Your e-mail address is about to change");
    assert!(asked.link.starts_with("http://localhost:8080/reset?token=") && asked.code.is_empty());
    assert_eq!(done.subject, "Your e-mail address was changed");
    assert_eq!((done.link.as_str(), done.code.as_str()), ("", ""));
}

#[tokio::test]
async fn the_notice_says_until_when_a_change_can_be_cancelled() {
    let app = App::start().await;
    let ann = app.signed_in(ANN).await;
    ask(&ann, NEW).await.is(202);
    let messages = app.outbox.take(CAPACITY).await.unwrap();
    let notice = messages.iter().find(|outgoing| outgoing.message.to == ANN).unwrap();
    assert_eq!(notice.message.link_until, Some(START + TWO_DAYS));
}

#[tokio::test]
async fn the_old_address_cancels_by_choosing_a_password() {
    let app = App::start().await;
    let intruder = app.signed_in(ANN).await;
    let mail = asked(&app, &intruder, NEW).await;
    let objection = json!({ "token": app.mail(ANN).await.token(), "new_password": NEXT_PASSWORD });
    app.anyone().post("/auth/password/reset", objection.clone()).await.is(204);
    for dead in [by_code(&mail), by_link(&mail)] {
        verify(&app, dead).await.refused(400, "verification_failed");
    }
    intruder.get("/me").await.refused(401, "invalid_token");
    app.log_in_with(ANN, PASSWORD).await.refused(401, "invalid_credentials");
    app.log_in_with(ANN, NEXT_PASSWORD).await.is(200);
    app.anyone().post("/auth/password/reset", objection).await.refused(400, "verification_failed");
}

#[tokio::test]
async fn an_objection_after_the_confirmation_comes_too_late() {
    let app = App::start().await;
    let ann = app.signed_in(ANN).await;
    let mail = asked(&app, &ann, NEW).await;
    let objection = app.mail(ANN).await;
    verify(&app, by_link(&mail)).await.is(200);
    let body = json!({ "token": objection.token(), "new_password": NEXT_PASSWORD });
    app.anyone().post("/auth/password/reset", body).await.refused(400, "verification_failed");
    app.log_in_with(NEW, PASSWORD).await.is(200);
}

#[tokio::test]
async fn a_change_can_be_confirmed_and_cancelled_for_two_days() {
    for cancels in [true, false] {
        let app = App::start().await;
        let ann = app.signed_in(ANN).await;
        let mail = asked(&app, &ann, NEW).await;
        let cancel = json!({ "token": app.mail(ANN).await.token(), "new_password": NEXT_PASSWORD });
        app.wait(Duration::from_mins(30));
        verify(&app, by_code(&mail)).await.refused(400, "verification_failed");
        app.wait_nearly(TWO_DAYS.checked_sub(Duration::from_mins(30)).unwrap());
        if cancels {
            app.anyone().post("/auth/password/reset", cancel.clone()).await.is(204);
            verify(&app, by_link(&mail)).await.refused(400, "verification_failed");
        } else {
            verify(&app, by_link(&mail)).await.is(200);
            app.anyone().post("/auth/password/reset", cancel).await.refused(400, "verification_failed");
        }
    }
}

#[tokio::test]
async fn after_two_days_a_change_is_neither_confirmed_nor_cancelled() {
    let app = App::start().await;
    let mail = asked(&app, &app.signed_in(ANN).await, NEW).await;
    let cancel = json!({ "token": app.mail(ANN).await.token(), "new_password": NEXT_PASSWORD });
    app.wait(TWO_DAYS);
    verify(&app, by_link(&mail)).await.refused(400, "verification_failed");
    app.anyone().post("/auth/password/reset", cancel).await.refused(400, "verification_failed");
    assert_eq!(address(&app).await, ANN);
}

#[tokio::test]
async fn a_taken_address_looks_like_a_free_one_until_its_mail_is_read() {
    let app = App::start().await;
    app.signed_in(NEW).await;
    let ann = app.signed_in(ANN).await;
    let taken = ask(&ann, NEW).await.is(202);
    let mail = app.mail(NEW).await;
    assert_eq!(taken.look(), ask(&ann, OTHER).await.look());
    ask(&ann, NEW).await.is(202);
    let newer = app.mail(NEW).await;
    assert_eq!((mail.subject.as_str(), newer.code.len()), ("Confirm your new e-mail", 6));
    for _ in 0..3 {
        verify(&app, by_code(&newer)).await.refused(409, "email_taken");
        verify(&app, by_link(&newer)).await.refused(409, "email_taken");
    }
    ann.get("/me").await.is(200);
    app.log_in_with(ANN, PASSWORD).await.is(200);
}

#[tokio::test]
async fn a_taken_address_can_be_moved_to_once_its_owner_is_gone() {
    for proof in [by_code, by_link] {
        let app = App::start().await;
        let (taker, ann) = (app.signed_in(NEW).await, app.signed_in(ANN).await);
        let mail = asked(&app, &ann, NEW).await;
        verify(&app, proof(&mail)).await.refused(409, "email_taken");
        let leave = json!({ "current_password": PASSWORD });
        taker.send(Method::DELETE, "/me", Some(leave)).await.is(204);
        assert_eq!(verify(&app, proof(&mail)).await.is(200).body["email"], NEW);
    }
}

#[tokio::test]
async fn an_account_that_expires_meanwhile_gives_its_address_up() {
    let app = App::start().await;
    app.signed_in(ANN).await;
    app.sign_up(NEW).await;
    app.wait(Duration::from_hours(1));
    let mail = asked(&app, &app.log_in(ANN).await, NEW).await;
    app.wait_nearly(Duration::from_hours(47));
    verify(&app, by_link(&mail)).await.refused(409, "email_taken");
    app.wait(MOMENT);
    assert_eq!(verify(&app, by_link(&mail)).await.is(200).body["email"], NEW);
    assert_eq!(app.stored::<i64>("SELECT count(*) FROM users"), 1);
}

#[tokio::test]
async fn a_verified_user_with_a_pending_change_stays_verified() {
    let app = App::start().await;
    let ann = app.signed_in(ANN).await;
    ask(&ann, NEW).await.is(202);
    let me = ann.me().await;
    assert_eq!((&me["status"], &me["expires_at"]), (&json!("verified"), &Value::Null));
    app.wait(Duration::from_hours(24 * 30));
    for which in [PurgeScope::Expired, PurgeScope::OlderThan(Duration::ZERO)] {
        let plan = app.purge.plan(which, Origin::job());
        assert_eq!(app.purge.run(&plan, |_| {}).await.unwrap().users, 0);
    }
    assert_eq!(app.log_in(ANN).await.me().await["status"], "verified");
}

#[tokio::test]
async fn an_unverified_user_is_verified_by_the_new_address() {
    for proof in [by_code, by_link] {
        let app = App::start().await;
        let ann = app.unverified(ANN).await;
        let sign_up = app.mail(ANN).await;
        let mail = asked(&app, &ann, NEW).await;
        let user = verify(&app, proof(&mail)).await.is(200).body;
        assert_eq!((&user["status"], &user["expires_at"]), (&json!("verified"), &Value::Null));
        assert_eq!(user["email"], NEW);
        verify(&app, by_link(&sign_up)).await.refused(400, "verification_failed");
        app.wait(TWO_DAYS);
        app.log_in(NEW).await.get("/me").await.is(200);
    }
}

#[tokio::test]
async fn a_verified_address_stays_despite_an_earlier_change_to_it() {
    let app = App::start().await;
    let stranger = app.unverified(ANN).await;
    let sign_up = app.mail(ANN).await;
    let mail = asked(&app, &stranger, NEW).await;
    verify(&app, by_link(&sign_up)).await.is(200);
    verify(&app, by_link(&mail)).await.refused(400, "verification_failed");
    assert_eq!(app.log_in(ANN).await.me().await["email"], ANN);
}

#[tokio::test]
async fn a_change_does_not_outlive_an_unverified_account() {
    let app = App::start().await;
    app.sign_up(ANN).await;
    app.wait(Duration::from_mins(48 * 60 - 1));
    let mail = asked(&app, &app.log_in(ANN).await, NEW).await;
    app.wait(Duration::from_mins(1));
    for dead in [by_code(&mail), by_link(&mail)] {
        verify(&app, dead).await.refused(400, "verification_failed");
    }
}

#[tokio::test]
async fn a_second_request_kills_the_first() {
    let app = App::start().await;
    let ann = app.signed_in(ANN).await;
    let (first, second) = (asked(&app, &ann, NEW).await, asked(&app, &ann, OTHER).await);
    for dead in [by_code(&first), by_link(&first)] {
        verify(&app, dead).await.refused(400, "verification_failed");
    }
    assert_eq!(verify(&app, by_code(&second)).await.is(200).body["email"], OTHER);
}

#[tokio::test]
async fn a_pending_change_dies_with_a_new_password() {
    let app = App::start().await;
    let ann = app.signed_in(ANN).await;
    let mail = asked(&app, &ann, NEW).await;
    let body = json!({ "current_password": PASSWORD, "new_password": NEXT_PASSWORD });
    ann.post("/me/password", body).await.is(204);
    verify(&app, by_link(&mail)).await.refused(400, "verification_failed");
    assert_eq!(address(&app).await, ANN);
}

#[tokio::test]
async fn a_pending_change_dies_with_a_forgotten_password() {
    let app = App::start().await;
    let mail = asked(&app, &app.signed_in(ANN).await, NEW).await;
    app.anyone().post("/auth/password/forgot", json!({ "email": ANN })).await.is(202);
    let reset = json!({ "token": app.mail(ANN).await.token(), "new_password": NEXT_PASSWORD });
    app.anyone().post("/auth/password/reset", reset).await.is(204);
    verify(&app, by_code(&mail)).await.refused(400, "verification_failed");
}

#[tokio::test]
async fn a_pending_change_dies_with_the_account() {
    let app = App::start().await;
    let boss = app.admin().await;
    for by_admin in [true, false] {
        let ann = app.signed_in(ANN).await;
        let mail = asked(&app, &ann, NEW).await;
        if by_admin {
            boss.delete(&format!("/users/{}", ann.id().await)).await.is(204);
        } else {
            let body = json!({ "current_password": PASSWORD });
            ann.send(Method::DELETE, "/me", Some(body)).await.is(204);
        }
        app.sign_up(ANN).await;
        verify(&app, by_link(&mail)).await.refused(400, "verification_failed");
        app.verify(ANN).await;
        let again = app.log_in(ANN).await.id().await;
        boss.delete(&format!("/users/{again}")).await.is(204);
    }
}

#[tokio::test]
async fn a_pending_change_dies_with_an_address_that_an_admin_sets() {
    let app = App::start().await;
    let boss = app.admin().await;
    let ann = app.signed_in(ANN).await;
    let mail = asked(&app, &ann, NEW).await;
    let path = format!("/users/{}", ann.id().await);
    boss.patch(&path, json!({ "email": OTHER })).await.is(200);
    verify(&app, by_link(&mail)).await.refused(400, "verification_failed");
    assert_eq!(boss.get(&path).await.body["email"], OTHER);
}

#[tokio::test]
async fn a_user_who_was_disabled_moves_nowhere() {
    let app = App::start().await;
    let boss = app.admin().await;
    let ann = app.signed_in(ANN).await;
    let mail = asked(&app, &ann, NEW).await;
    let path = format!("/users/{}", ann.id().await);
    boss.patch(&path, json!({ "disabled": true })).await.is(200);
    verify(&app, by_link(&mail)).await.refused(400, "verification_failed");
    assert_eq!(boss.get(&path).await.body["email"], ANN);
}

#[tokio::test]
async fn whom_an_admin_made_unverified_is_not_verified_by_an_older_request() {
    let app = App::start().await;
    let boss = app.admin().await;
    let ann = app.signed_in(ANN).await;
    let mail = asked(&app, &ann, NEW).await;
    let path = format!("/users/{}", ann.id().await);
    boss.patch(&path, json!({ "status": "unverified" })).await.is(200);
    verify(&app, by_link(&mail)).await.refused(400, "verification_failed");
    assert_eq!(boss.get(&path).await.body["status"], "unverified");
}

#[tokio::test]
async fn a_wrong_password_sends_nothing() {
    let app = App::start().await;
    let ann = app.signed_in(ANN).await;
    let before = (app.printed().await, app.events().await.len());
    for wrong in ["espresso rains upward", ""] {
        let body = json!({ "new_email": NEW, "current_password": wrong });
        ann.post("/me/email", body).await.refused(401, "invalid_credentials");
    }
    assert_eq!((app.printed().await, app.events().await.len()), before);
}

#[tokio::test]
async fn what_is_no_address_or_the_one_that_one_has_is_invalid() {
    let app = App::start().await;
    let ann = app.signed_in(ANN).await;
    for (email, code) in [("ann", "invalid_email"), ("", "invalid_email"), (ANN, "unchanged")] {
        let fields = ask(&ann, email).await.invalid_fields();
        assert_eq!(fields, [("new_email".to_owned(), code.to_owned())], "{email}");
    }
    let fields = ann.post("/me/email", json!({ "email": NEW })).await.invalid_fields();
    let names: Vec<_> = fields.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["current_password", "email", "new_email"]);
    let body = json!({ "new_email": NEW, "current_password": PASSWORD });
    app.anyone().post("/me/email", body).await.refused(401, "invalid_token");
    assert_eq!(app.mails(NEW).await, []);
}

#[tokio::test]
async fn one_may_change_the_spelling_of_the_address() {
    let app = App::start().await;
    let ann = app.signed_in(ANN).await;
    let mail = asked(&app, &ann, "Ann@Example.com").await;
    assert_eq!(verify(&app, by_code(&mail)).await.is(200).body["email"], "Ann@Example.com");
    app.log_in_with(ANN, PASSWORD).await.is(200);
}

#[tokio::test]
async fn a_code_is_typed_with_the_new_address_and_not_with_the_old_one() {
    let app = App::start().await;
    let ann = app.signed_in(ANN).await;
    let mail = asked(&app, &ann, NEW).await;
    verify(&app, json!({ "email": ANN, "code": mail.code })).await.refused(400, "verification_failed");
    let spelled = json!({ "email": " ANN.SMITH@EXAMPLE.ORG ", "code": mail.code });
    verify(&app, spelled).await.is(200);
}

#[tokio::test]
async fn five_wrong_codes_kill_the_code_and_not_the_link() {
    let app = App::start().await;
    let mail = asked(&app, &app.signed_in(ANN).await, NEW).await;
    for _ in 0..5 {
        let guess = json!({ "email": NEW, "code": wrong(&mail.code) });
        verify(&app, guess).await.refused(400, "verification_failed");
    }
    verify(&app, by_code(&mail)).await.refused(400, "verification_failed");
    verify(&app, by_link(&mail)).await.is(200);
}

#[tokio::test]
async fn each_of_two_accounts_that_want_one_address_has_a_code_of_its_own() {
    let app = App::start().await;
    let (ann, bob) = (app.signed_in(ANN).await, app.signed_in("bob@example.com").await);
    let to_ann = asked(&app, &ann, NEW).await;
    let mut to_bob = asked(&app, &bob, NEW).await;
    while to_bob.code == to_ann.code {
        to_bob = asked(&app, &bob, NEW).await;
    }
    verify(&app, by_code(&to_bob)).await.is(200);
    verify(&app, by_code(&to_ann)).await.refused(409, "email_taken");
    assert_eq!(ann.me().await["email"], ANN);
    bob.get("/me").await.refused(401, "invalid_token");
}

#[tokio::test]
async fn a_pending_change_and_a_sign_up_with_its_address_do_not_mix() {
    let app = App::start().await;
    let ann = app.signed_in(ANN).await;
    let change = asked(&app, &ann, NEW).await;
    app.sign_up(NEW).await;
    let sign_up = app.mail(NEW).await;
    let newcomer = verify(&app, by_link(&sign_up)).await.is(200).body;
    assert_ne!(newcomer["id"], ann.me().await["id"]);
    verify(&app, by_link(&change)).await.refused(409, "email_taken");
}

#[tokio::test]
async fn an_account_cannot_send_messages_to_many_addresses() {
    let app = App::start().await;
    let ann = app.signed_in(ANN).await;
    for number in 0..20 {
        ask(&ann, &format!("guest{number}@example.org")).await.is(202);
    }
    let before = app.printed().await;
    let refused = ask(&ann, "one-more@example.org").await.refused(429, "too_many_requests");
    assert_eq!(refused.header("retry-after"), "3600");
    assert_eq!(app.printed().await, before);
    let latest = app.mail("guest19@example.org").await;
    app.wait(Duration::from_hours(1));
    let ann = app.log_in(ANN).await;
    ask(&ann, "one-more@example.org").await.is(202);
    ask(&ann, "and-another@example.org").await.refused(429, "too_many_requests");
    verify(&app, by_link(&latest)).await.refused(400, "verification_failed");
}

#[tokio::test]
async fn an_address_is_sent_ten_codes_then_ten_links_then_nothing() {
    let app = App::start().await;
    let callers = [app.signed_in(ANN).await, app.signed_in("bob@example.com").await];
    for number in 0..20 {
        ask(&callers[number % 2], NEW).await.is(202);
    }
    for caller in &callers {
        ask(caller, NEW).await.refused(429, "too_many_requests");
    }
    let mails = app.mails(NEW).await;
    let with_code = mails.iter().take_while(|mail| mail.code.len() == 6).count();
    assert_eq!((with_code, mails.len()), (10, 20));
    verify(&app, by_link(mails.last().unwrap())).await.is(200);
}

#[tokio::test]
async fn requests_for_an_address_use_up_none_of_its_owners_messages() {
    let app = App::start().await;
    let intruder = app.signed_in(ANN).await;
    for _ in 0..20 {
        ask(&intruder, NEW).await.is(202);
    }
    ask(&intruder, NEW).await.refused(429, "too_many_requests");
    app.sign_up(NEW).await;
    let mail = app.mail(NEW).await;
    assert_eq!((mail.subject.as_str(), mail.code.len()), ("Confirm your e-mail", 6));
    verify(&app, by_code(&mail)).await.is(200);
}

#[tokio::test]
async fn what_is_stored_of_a_pending_change_is_no_secret() {
    let app = App::start().await;
    let mail = asked(&app, &app.signed_in(ANN).await, NEW).await;
    let dump = format!("{:?}", app.sql.rows("SELECT purpose, email, code_hash, token_hash FROM codes"));
    assert!(dump.contains(NEW), "it looks in the right place: {dump}");
    for secret in [mail.token(), &mail.code] {
        assert!(
            !dump.contains(&format!("\"{secret}\"")) && !dump.contains(&hex(secret.as_bytes())),
            "{dump}"
        );
    }
}

#[tokio::test]
async fn a_notice_to_the_old_address_does_not_name_the_new_one_in_full() {
    let app = App::start().await;
    let ann = app.signed_in(ANN).await;
    app.printed().await;
    ask(&ann, NEW).await.is(202);
    let messages = app.outbox.list(&Admin::from_cli(), None).await.unwrap().items;
    let notice = messages.iter().find(|message| message.to == ANN).unwrap();
    let words = format!("{:?}", notice.kind);
    assert!(words.contains("a…@example.org") && !words.contains("ann.smith"), "{words}");
}

#[tokio::test]
async fn an_unconfirmed_address_is_notified_of_the_request_only() {
    let app = App::start().await;
    let ann = app.unverified(ANN).await;
    let mail = asked(&app, &ann, NEW).await;
    verify(&app, by_link(&mail)).await.is(200);
    let subjects: Vec<_> = app.mails(ANN).await.into_iter().map(|mail| mail.subject).collect();
    assert_eq!(subjects, ["Your e-mail address is about to change", "Confirm your e-mail"], "notices first");
}

#[tokio::test]
async fn no_number_of_requests_prevents_a_cancellation() {
    for times in [1, 30] {
        let app = App::start().await;
        let intruder = app.signed_in(ANN).await;
        for _ in 0..times - 1 {
            app.anyone().post("/auth/password/forgot", json!({ "email": ANN })).await.is(202);
        }
        let mail = asked(&app, &intruder, NEW).await;
        app.anyone().post("/auth/password/forgot", json!({ "email": ANN })).await.is(202);
        let mut mails = app.mails(ANN).await;
        mails.retain(|mail| mail.subject == "Your e-mail address is about to change");
        let objection = json!({ "token": mails[0].token(), "new_password": NEXT_PASSWORD });
        app.anyone().post("/auth/password/reset", objection).await.is(204);
        verify(&app, by_link(&mail)).await.refused(400, "verification_failed");
        intruder.get("/me").await.refused(401, "invalid_token");
    }
}

#[tokio::test]
async fn what_is_counted_names_no_address() {
    let app = App::start().await;
    let ann = app.signed_in(ANN).await;
    ask(&ann, NEW).await.is(202);
    let keys = app.sql.texts("SELECT key FROM sent_codes");
    assert_eq!(keys.len(), 3, "to ann, to the new address, and by ann");
    for address in [ANN, NEW] {
        assert!(!keys.iter().any(|key| key.contains(&hex(address.as_bytes()))), "{keys:?}");
    }
}

#[tokio::test]
async fn an_admin_who_moves_keeps_the_rights_after_the_next_login() {
    let app = App::start().await;
    let boss = app.admin().await;
    let mail = asked(&app, &boss, "chief@example.com").await;
    verify(&app, by_code(&mail)).await.is(200);
    boss.get("/users").await.refused(401, "invalid_token");
    app.log_in("chief@example.com").await.get("/users").await.is(200);
}

#[tokio::test]
async fn a_change_is_announced_although_the_account_is_deleted_next() {
    let app = App::start().await;
    let intruder = app.signed_in(ANN).await;
    app.printed().await;
    let body = json!({ "current_password": PASSWORD, "new_password": NEXT_PASSWORD });
    intruder.post("/me/password", body).await.is(204);
    let body = json!({ "current_password": NEXT_PASSWORD });
    intruder.send(Method::DELETE, "/me", Some(body)).await.is(204);
    let mails = app.mails(ANN).await;
    let subjects: Vec<_> = mails.iter().map(|mail| mail.subject.as_str()).collect();
    assert_eq!(subjects[subjects.len() - 2..], ["Your password was changed", "Your account was deleted"]);
}
