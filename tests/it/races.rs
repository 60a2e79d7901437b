//! Concurrent requests: whatever their order, no rule is broken and no answer is wrong. `RACE_ROUNDS` is how often
//! each race is run.

use std::{collections::HashSet, sync::Arc, thread, time::Duration};

use coffeeshop::{domain::Origin, operations::PurgeScope};
use poem::http::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::{
    app::{Answer, App, MOMENT, PASSWORD},
    interrupted::interrupted,
    shop::Shop,
    verification::wrong,
};

const ANN: &str = "ann@example.com";
const NEW: &str = "lungo hums at dawn";

/// How often a race is run: so often, unless the environment says otherwise.
fn rounds(short: i64) -> i64 {
    #[expect(clippy::disallowed_methods, reason = "the one setting of these tests")]
    let asked = std::env::var("RACE_ROUNDS");
    asked.map_or(short, |rounds| rounds.parse().unwrap())
}

/// Requests at the same moment, with their answers in the order in which they came.
#[derive(Default)]
struct Crowd(JoinSet<Answer>);

impl Crowd {
    fn post(&mut self, app: &Arc<App>, path: &'static str, body: Value) {
        self.send(app, None, Method::POST, path.to_owned(), body);
    }

    fn send(&mut self, app: &Arc<App>, token: Option<String>, method: Method, path: String, body: Value) {
        let app = Arc::clone(app);
        self.0.spawn(async move {
            let caller = match token {
                Some(token) => app.with_token(token),
                None => app.anyone(),
            };
            caller.send(method, &path, Some(body)).await
        });
    }

    async fn answers(self) -> Vec<Answer> {
        self.0.join_all().await
    }
}

/// A shop whose client may guess as often as there are rounds.
async fn without_client_limits() -> App {
    App::with(|config| config.rate_limit.client_burst = 1_000_000).await
}

fn with_status(answers: &[Answer], status: u16) -> usize {
    answers.iter().filter(|answer| answer.status == status).count()
}

/// Whether a login is let in is looked at before the password is checked, and again when its session begins.
#[tokio::test]
async fn a_login_in_progress_is_rechecked_before_its_session() {
    for (change, back) in [
        (json!({ "disabled": true }), json!({ "disabled": false })),
        (json!({ "status": "unverified" }), json!({ "status": "verified" })),
    ] {
        for at in 0.. {
            let app = App::with(|config| config.auth.allow_unverified_login = false).await;
            let boss = app.admin().await;
            let user = app.sign_up(ANN).await;
            app.verify(ANN).await;
            let path = format!("/users/{}", user["id"].as_str().unwrap());
            let end = async { drop(boss.patch(&path, change.clone()).await.is(200)) };
            let login = interrupted(app.log_in_with(ANN, PASSWORD), at, end).await;
            if !login.in_time {
                assert!(at >= 2, "it waits for the hash and for a write, and mostly for a look at the store");
                break;
            }
            boss.patch(&path, back.clone()).await.is(200);
            if login.answer.status == 200 {
                let token = login.answer.body["access_token"].as_str().unwrap();
                app.with_token(token).get("/me").await.refused(401, "invalid_token");
            }
            assert_eq!(app.stored::<i64>("SELECT count(*) FROM sessions"), 1, "step {at}: the admin's own");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_two_who_sign_up_with_one_address_gets_it() {
    let app = Arc::new(App::start().await);
    for round in 0..rounds(20) {
        let mut crowd = Crowd::default();
        for email in [
            format!("ann{round}@example.com"),
            format!("ANN{round}@Example.COM"),
            format!("ann{round}@ｅxample.com"),
        ] {
            crowd.post(&app, "/auth/signup", json!({ "email": email, "password": PASSWORD }));
        }
        let answers = crowd.answers().await;
        assert_eq!((with_status(&answers, 201), with_status(&answers, 409)), (1, 2));
    }
    assert_eq!(app.stored::<i64>("SELECT count(*) FROM users"), rounds(20));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_refresh_token_sent_at_once_has_one_successor() {
    let app = Arc::new(App::start().await);
    app.sign_up(ANN).await;
    for _ in 0..rounds(10) {
        let tokens = app.tokens(ANN).await;
        let mut crowd = Crowd::default();
        for _ in 0..8 {
            crowd.post(&app, "/auth/refresh", json!({ "refresh_token": tokens["refresh_token"] }));
        }
        let answers = crowd.answers().await;
        let good = answers.iter().filter(|answer| answer.status == 200);
        let successors: HashSet<_> =
            good.map(|answer| answer.body["refresh_token"].as_str().unwrap()).collect();
        assert_eq!(successors.len(), 1);
        let successor = successors.into_iter().next().unwrap();
        app.anyone().post("/auth/refresh", json!({ "refresh_token": successor })).await.is(200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn verifying_at_the_instant_of_expiry_verifies_or_fails() {
    let app = Arc::new(App::start().await);
    for round in 0..rounds(40) {
        let email = format!("ann{round}@example.com");
        app.sign_up(&email).await;
        let token = app.mail(&email).await.token().to_owned();
        app.wait_nearly(Duration::from_hours(48));
        let mut crowd = Crowd::default();
        crowd.post(&app, "/auth/verify", json!({ "token": token }));
        let cleaner = Arc::clone(&app);
        let clean_up = async move {
            for _ in 0..round % 8 {
                tokio::task::yield_now().await;
            }
            cleaner.wait(MOMENT);
            let plan = cleaner.purge.plan(PurgeScope::Expired, Origin::job());
            cleaner.purge.run(&plan, |_| {}).await.unwrap()
        };
        let (purged, answers) = tokio::join!(clean_up, crowd.answers());
        match answers[0].status {
            200 => {
                assert_eq!(purged.users, 0);
                assert_eq!(app.log_in(&email).await.me().await["status"], "verified");
            }
            _ => {
                assert_eq!(answers[0].body["code"], "verification_failed");
                assert_eq!(purged.users, 1);
            }
        }
    }
    assert_eq!(app.stored::<i64>("SELECT count(*) FROM users WHERE status = 'unverified'"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_admins_who_take_each_others_rights_leave_one() {
    let app = Arc::new(App::start().await);
    let (one, two) = (app.admin().await, app.another_admin("other@example.com").await);
    let paths = [format!("/users/{}", one.id().await), format!("/users/{}", two.id().await)];
    for (change, back) in [
        (json!({ "role": "user" }), json!({ "role": "admin" })),
        (json!({ "status": "unverified" }), json!({ "status": "verified" })),
    ] {
        for _ in 0..rounds(15) {
            // Whose account is verified again logs in again.
            let (one, two) = (app.log_in("boss@example.com").await, app.log_in("other@example.com").await);
            let admins = [&one, &two].map(|admin| admin.token.clone().unwrap());
            let mut crowd = Crowd::default();
            crowd.send(&app, Some(admins[0].clone()), Method::PATCH, paths[1].clone(), change.clone());
            crowd.send(&app, Some(admins[1].clone()), Method::PATCH, paths[0].clone(), change.clone());
            let answers = crowd.answers().await;
            assert_eq!(with_status(&answers, 200), 1, "{answers:?}");
            assert_eq!(with_status(&answers, 403) + with_status(&answers, 409), 1, "{answers:?}");
            let left =
                if one.get("/users").await.status == 200 { (&one, &paths[1]) } else { (&two, &paths[0]) };
            left.0.patch(left.1, back.clone()).await.is(200);
        }
    }
}

#[test]
fn one_of_two_admins_stays_when_api_and_cli_demote_one_each() {
    let shop = Shop::with_admin();
    shop.create_admin("other@example.com").is(0);
    let server = shop.serve();
    let boss = server.token("boss@example.com");
    let other = server.get_as(&server.token("other@example.com"), "/me").is(200).json();
    let path = format!("/users/{}", other["id"].as_str().unwrap());
    let role = |admin: &str, role: &str| shop.run(&["users", "set-role", admin, role]);
    let demotion = json!({ "role": "user" });
    let headers = format!("Authorization: Bearer {boss}\r\n");
    for round in 0..rounds(6) {
        let (reply, ran) = thread::scope(|scope| {
            let console = scope.spawn(|| role("boss@example.com", "user"));
            // A command takes a moment to start.
            thread::sleep(Duration::from_millis(u64::try_from(round).unwrap() * 7 % 40));
            let reply = server.ask("PATCH", &path, &headers, Some(&demotion)).unwrap();
            (reply, console.join().unwrap())
        });
        let demoted = if reply.status == 200 {
            ran.refused("the last active admin");
            "other@example.com"
        } else {
            reply.is(403);
            ran.is(0);
            "boss@example.com"
        };
        assert_eq!(shop.count("users WHERE role = 'admin'"), 1);
        role(demoted, "admin").is(0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_admins_who_delete_themselves_leave_one() {
    let app = Arc::new(App::start().await);
    let mut one = app.admin().await;
    for round in 0..rounds(15) {
        let two = app.another_admin(&format!("other{round}@example.com")).await;
        let mut crowd = Crowd::default();
        for admin in [&one, &two] {
            let path = format!("/users/{}", admin.id().await);
            crowd.send(&app, admin.token.clone(), Method::DELETE, path, json!({}));
        }
        let answers = crowd.answers().await;
        assert_eq!((with_status(&answers, 204), with_status(&answers, 409)), (1, 1), "{answers:?}");
        assert_eq!(app.stored::<i64>("SELECT count(*) FROM users"), 1);
        if two.get("/me").await.status == 200 {
            one = two;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_codes_at_once_are_each_counted() {
    let app = Arc::new(without_client_limits().await);
    for round in 0..rounds(10) {
        let email = format!("ann{round}@example.com");
        app.sign_up(&email).await;
        let mail = app.mail(&email).await;
        let mut crowd = Crowd::default();
        for _ in 0..20 {
            crowd.post(&app, "/auth/verify", json!({ "email": email, "code": wrong(&mail.code) }));
        }
        let answers = crowd.answers().await;
        assert_eq!(with_status(&answers, 400), 20, "{answers:?}");
        let right = json!({ "email": email, "code": mail.code });
        app.anyone().post("/auth/verify", right).await.refused(400, "verification_failed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proof_sent_many_times_at_once_counts_once() {
    let app = Arc::new(App::start().await);
    for round in 0..rounds(20) {
        let email = format!("ann{round}@example.com");
        app.sign_up(&email).await;
        let mail = app.mail(&email).await;
        let mut crowd = Crowd::default();
        for number in 0..8 {
            let by_code = json!({ "email": email, "code": mail.code });
            let by_link = json!({ "token": mail.token() });
            crowd.post(&app, "/auth/verify", if number % 2 == 0 { by_code } else { by_link });
        }
        let answers = crowd.answers().await;
        assert_eq!((with_status(&answers, 200), with_status(&answers, 400)), (1, 7));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_login_with_the_old_password_outlives_a_new_one() {
    let app = Arc::new(App::start().await);
    for round in 0..rounds(20) {
        let email = format!("ann{round}@example.com");
        app.sign_up(&email).await;
        app.anyone().post("/auth/password/forgot", json!({ "email": email })).await.is(202);
        let token = app.mail(&email).await.token().to_owned();
        let mut crowd = Crowd::default();
        for _ in 0..4 {
            crowd.post(&app, "/auth/login", json!({ "email": email, "password": PASSWORD }));
        }
        crowd.post(&app, "/auth/password/reset", json!({ "token": token, "new_password": NEW }));
        let answers = crowd.answers().await;
        assert_eq!(with_status(&answers, 204), 1);
        assert_eq!(app.stored::<i64>("SELECT count(*) FROM sessions"), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn logins_at_once_that_renew_a_hash_all_succeed() {
    for _ in 0..rounds(5) {
        let old = App::start().await;
        old.sign_up(ANN).await;
        let app = Arc::new(old.beside(|config| config.password.memory_kib = 128).await);
        let mut crowd = Crowd::default();
        for _ in 0..4 {
            crowd.post(&app, "/auth/login", json!({ "email": ANN, "password": PASSWORD }));
        }
        assert_eq!(with_status(&crowd.answers().await, 200), 4);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_during_a_deletion_leaves_no_session() {
    let app = Arc::new(App::start().await);
    let boss = app.admin().await;
    for round in 0..rounds(15) {
        let email = format!("ann{round}@example.com");
        let id = app.sign_up(&email).await["id"].as_str().unwrap().to_owned();
        let mut crowd = Crowd::default();
        crowd.post(&app, "/auth/login", json!({ "email": email, "password": PASSWORD }));
        crowd.send(&app, boss.token.clone(), Method::DELETE, format!("/users/{id}"), json!({}));
        let answers = crowd.answers().await;
        assert_eq!(with_status(&answers, 204), 1, "{answers:?}");
        assert_eq!(with_status(&answers, 200) + with_status(&answers, 401), 1, "{answers:?}");
        assert_eq!(app.stored::<i64>("SELECT count(*) FROM sessions"), 1, "the admin's");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_users_who_are_given_one_address_at_once_do_not_share_it() {
    let app = Arc::new(App::start().await);
    let boss = app.admin().await;
    for round in 0..rounds(15) {
        let mut crowd = Crowd::default();
        for number in 0..2 {
            let user = app.sign_up(&format!("u{round}-{number}@example.com")).await;
            let path = format!("/users/{}", user["id"].as_str().unwrap());
            let email = json!({ "email": format!("same{round}@example.com") });
            crowd.send(&app, boss.token.clone(), Method::PATCH, path, email);
        }
        let answers = crowd.answers().await;
        assert_eq!((with_status(&answers, 200), with_status(&answers, 409)), (1, 1), "{answers:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_who_confirm_one_address_at_once_do_not_share_it() {
    let app = Arc::new(App::start().await);
    for round in 0..rounds(15) {
        let wanted = format!("wanted{round}@example.org");
        let mut crowd = Crowd::default();
        for number in 0..2 {
            let user = app.signed_in(&format!("u{round}-{number}@example.com")).await;
            let body = json!({ "new_email": wanted, "current_password": PASSWORD });
            user.post("/me/email", body).await.is(202);
            let token = app.mail(&wanted).await.token().to_owned();
            crowd.post(&app, "/auth/verify", json!({ "token": token }));
        }
        let answers = crowd.answers().await;
        assert_eq!((with_status(&answers, 200), with_status(&answers, 409)), (1, 1), "{answers:?}");
        let sql = format!("SELECT count(*) FROM users WHERE email = '{wanted}'");
        assert_eq!(app.stored::<i64>(&sql), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_confirmed_and_signed_up_at_once_has_one_account() {
    let app = Arc::new(App::start().await);
    for round in 0..rounds(15) {
        let wanted = format!("wanted{round}@example.org");
        let user = app.signed_in(&format!("u{round}@example.com")).await;
        let body = json!({ "new_email": wanted, "current_password": PASSWORD });
        user.post("/me/email", body).await.is(202);
        let token = app.mail(&wanted).await.token().to_owned();
        let mut crowd = Crowd::default();
        crowd.post(&app, "/auth/verify", json!({ "token": token }));
        crowd.post(&app, "/auth/signup", json!({ "email": wanted, "password": PASSWORD }));
        let answers = crowd.answers().await;
        let done = with_status(&answers, 200) + with_status(&answers, 201);
        assert_eq!((done, with_status(&answers, 409)), (1, 1), "{answers:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_invited_and_signed_up_at_once_is_of_one_account() {
    let app = Arc::new(App::start().await);
    let boss = app.admin().await;
    for round in 0..rounds(15) {
        let email = format!("ann{round}@example.com");
        let mut crowd = Crowd::default();
        crowd.post(&app, "/auth/signup", json!({ "email": email, "password": PASSWORD }));
        crowd.send(&app, boss.token.clone(), Method::POST, "/users".to_owned(), json!({ "email": email }));
        let answers = crowd.answers().await;
        assert_eq!((with_status(&answers, 201), with_status(&answers, 409)), (1, 1), "{answers:?}");
        assert_eq!(app.mails(&email).await.len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_login_with_the_old_password_outlives_one_that_was_exchanged() {
    let app = Arc::new(App::start().await);
    for round in 0..rounds(15) {
        let email = format!("ann{round}@example.com");
        let ann = app.signed_in(&email).await;
        let mut crowd = Crowd::default();
        for _ in 0..4 {
            crowd.post(&app, "/auth/login", json!({ "email": email, "password": PASSWORD }));
        }
        let body = json!({ "current_password": PASSWORD, "new_password": NEW });
        crowd.send(&app, ann.token.clone(), Method::POST, "/me/password".to_owned(), body);
        let answers = crowd.answers().await;
        assert_eq!(with_status(&answers, 204), 1, "{answers:?}");
        assert_eq!(app.stored::<i64>("SELECT count(*) FROM sessions"), round + 1, "one for each user");
        ann.get("/me").await.is(200);
        app.log_in_with(&email, PASSWORD).await.refused(401, "invalid_credentials");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_new_passwords_at_once_one_counts() {
    let app = Arc::new(App::start().await);
    for round in 0..rounds(10) {
        let email = format!("ann{round}@example.com");
        app.signed_in(&email).await;
        let mut tokens = Vec::new();
        for _ in 0..4 {
            tokens.push(app.log_in(&email).await.token);
        }
        let mut crowd = Crowd::default();
        for (number, token) in tokens.into_iter().enumerate() {
            let body = json!({ "current_password": PASSWORD, "new_password": format!("lungo hums at dawn {number}") });
            crowd.send(&app, token, Method::POST, "/me/password".to_owned(), body);
        }
        let answers = crowd.answers().await;
        assert_eq!((with_status(&answers, 204), with_status(&answers, 401)), (1, 3), "{answers:?}");
        let mut right = 0;
        for number in 0..4 {
            let answer = app.log_in_with(&email, &format!("lungo hums at dawn {number}")).await;
            right += usize::from(answer.status == 200);
        }
        assert_eq!(right, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_new_passwords_at_once_from_one_session_one_counts() {
    let app = Arc::new(App::start().await);
    for round in 0..rounds(10) {
        let email = format!("ann{round}@example.com");
        let ann = app.signed_in(&email).await;
        let mut crowd = Crowd::default();
        for number in 0..4 {
            let body = json!({ "current_password": PASSWORD, "new_password": format!("lungo hums at dawn {number}") });
            crowd.send(&app, ann.token.clone(), Method::POST, "/me/password".to_owned(), body);
        }
        let answers = crowd.answers().await;
        assert_eq!((with_status(&answers, 204), with_status(&answers, 401)), (1, 3), "{answers:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_confirmed_during_a_password_change_is_done_or_dead() {
    let app = Arc::new(App::start().await);
    for round in 0..rounds(15) {
        let (old, new) = (format!("ann{round}@example.com"), format!("ann{round}@example.org"));
        let ann = app.signed_in(&old).await;
        ann.post("/me/email", json!({ "new_email": new, "current_password": PASSWORD })).await.is(202);
        let token = app.mail(&new).await.token().to_owned();
        let mut crowd = Crowd::default();
        crowd.post(&app, "/auth/verify", json!({ "token": token }));
        let body = json!({ "current_password": PASSWORD, "new_password": NEW });
        crowd.send(&app, ann.token.clone(), Method::POST, "/me/password".to_owned(), body);
        let answers = crowd.answers().await;
        let moved = with_status(&answers, 200) == 1;
        if moved {
            assert_eq!(with_status(&answers, 401), 1, "{answers:?}");
            app.log_in_with(&new, PASSWORD).await.is(200);
        } else {
            assert_eq!((with_status(&answers, 204), with_status(&answers, 400)), (1, 1), "{answers:?}");
            app.log_in_with(&old, NEW).await.is(200);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_two_admins_who_leave_at_once_leave_one() {
    let app = Arc::new(App::start().await);
    let mut one = app.admin().await;
    for round in 0..rounds(10) {
        let two = app.another_admin(&format!("other{round}@example.com")).await;
        let mut crowd = Crowd::default();
        for admin in [&one, &two] {
            let body = json!({ "current_password": PASSWORD });
            crowd.send(&app, admin.token.clone(), Method::DELETE, "/me".to_owned(), body);
        }
        let answers = crowd.answers().await;
        assert_eq!((with_status(&answers, 204), with_status(&answers, 409)), (1, 1), "{answers:?}");
        assert_eq!(app.stored::<i64>("SELECT count(*) FROM users"), 1);
        if two.get("/me").await.status == 200 {
            one = two;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_up_confirmed_and_rejected_at_once_is_one_or_the_other() {
    let app = Arc::new(App::start().await);
    for round in 0..rounds(15) {
        let email = format!("ann{round}@example.com");
        app.sign_up(&email).await;
        let token = app.mail(&email).await.token().to_owned();
        let form = async |deed: &'static str| {
            app.anyone().form("/verify", &[("do", deed), ("token", &token)]).await.is(200).text()
        };
        let (confirmed, rejected) = tokio::join!(form("confirm"), form("reject"));
        let (confirmed, rejected) =
            (confirmed.contains("Thank you"), rejected.contains("The account was deleted"));
        assert!(confirmed != rejected, "{confirmed} {rejected}");
        assert_eq!(app.log_in_with(&email, PASSWORD).await.status == 200, confirmed);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invitation_sent_many_times_at_once_is_accepted_once() {
    let app = Arc::new(without_client_limits().await);
    let boss = app.admin().await;
    for round in 0..rounds(10) {
        let email = format!("bob{round}@example.com");
        boss.post("/users", json!({ "email": email })).await.is(201);
        let mail = app.mail(&email).await;
        let mut crowd = Crowd::default();
        for number in 0..6 {
            let mut body = json!({ "new_password": format!("lungo hums at dawn {number}") });
            if number % 2 == 0 {
                body["token"] = json!(mail.token());
            } else {
                (body["email"], body["code"]) = (json!(email), json!(mail.code));
            }
            crowd.post(&app, "/auth/password/reset", body);
        }
        let answers = crowd.answers().await;
        assert_eq!((with_status(&answers, 204), with_status(&answers, 400)), (1, 5), "{answers:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_passwords_at_once_do_not_overrun_the_budget() {
    let app = Arc::new(App::start().await);
    let ann = app.signed_in(ANN).await;
    let mut crowd = Crowd::default();
    for number in 0..30 {
        let wrong = "espresso rains upward";
        let (path, body) = match number % 3 {
            0 => ("/me/password", json!({ "current_password": wrong, "new_password": NEW })),
            1 => ("/me/email", json!({ "current_password": wrong, "new_email": "new@example.org" })),
            _ => ("/auth/login", json!({ "email": ANN, "password": wrong })),
        };
        crowd.send(&app, ann.token.clone(), Method::POST, path.to_owned(), body);
    }
    let answers = crowd.answers().await;
    // All of them came with the access token, and count for the session.
    assert_eq!((with_status(&answers, 401), with_status(&answers, 429)), (10, 20), "{answers:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_ended_as_it_is_renewed_is_over() {
    let app = Arc::new(App::start().await);
    app.signed_in(ANN).await;
    for _ in 0..rounds(15) {
        let tokens = app.tokens(ANN).await;
        let caller = app.with_token(tokens["access_token"].as_str().unwrap());
        let sessions = caller.get("/me/sessions").await.is(200).body;
        let current = sessions["items"].as_array().unwrap().iter().find(|session| session["current"] == true);
        let path = format!("/me/sessions/{}", current.unwrap()["id"].as_str().unwrap());
        let mut crowd = Crowd::default();
        crowd.send(&app, caller.token.clone(), Method::DELETE, path, json!({}));
        crowd.post(&app, "/auth/refresh", json!({ "refresh_token": tokens["refresh_token"] }));
        let answers = crowd.answers().await;
        assert_eq!(with_status(&answers, 204), 1, "{answers:?}");
        caller.get("/me").await.refused(401, "invalid_token");
        for renewed in answers.iter().filter(|answer| answer.status == 200) {
            let again = json!({ "refresh_token": renewed.body["refresh_token"] });
            app.anyone().post("/auth/refresh", again).await.refused(401, "invalid_refresh_token");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_requests_for_another_address_at_once_the_last_counts_alone() {
    let app = Arc::new(App::start().await);
    let ann = app.signed_in(ANN).await;
    let mut crowd = Crowd::default();
    for number in 0..6 {
        let body = json!({ "new_email": format!("new{number}@example.org"), "current_password": PASSWORD });
        crowd.send(&app, ann.token.clone(), Method::POST, "/me/email".to_owned(), body);
    }
    assert_eq!(with_status(&crowd.answers().await, 202), 6);
    let mut crowd = Crowd::default();
    for number in 0..6 {
        let token = app.mail(&format!("new{number}@example.org")).await.token().to_owned();
        crowd.post(&app, "/auth/verify", json!({ "token": token }));
    }
    let answers = crowd.answers().await;
    assert_eq!((with_status(&answers, 200), with_status(&answers, 400)), (1, 5), "{answers:?}");
}
