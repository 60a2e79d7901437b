//! Rate limits on guessing and on causing messages: they stop an attacker, and not the owner.

use std::time::Duration;

use coffeeshop::{config::Period, domain::Origin, operations::PurgeScope};
use poem::http::Method;
use serde_json::{Value, json};

use crate::app::{Answer, App, Caller, MOMENT, PASSWORD};

const ANN: &str = "ann@example.com";
const WRONG: &str = "espresso rains upward";
const NEW: &str = "lungo hums at dawn";

/// Makes every budget whole.
fn make_whole(app: &App) {
    app.execute("DELETE FROM rate_limits");
}

fn login(email: &str, password: &str) -> Value {
    json!({ "email": email, "password": password })
}

async fn log_in(app: &App, ip: &str, email: &str, password: &str) -> Answer {
    app.anyone().from(ip).post("/auth/login", login(email, password)).await
}

/// Wrong passwords until the rate limit answers; returns how many were checked.
async fn exhaust(app: &App, ip: &str, email: &str) -> u32 {
    for tried in 0..200 {
        if log_in(app, ip, email, WRONG).await.status == 429 {
            return tried;
        }
    }
    panic!("no rate limit answered");
}

async fn tokens(answer: Answer, app: &App) -> Caller<'_> {
    app.with_token(answer.is(200).body["access_token"].as_str().unwrap())
}

#[tokio::test]
async fn a_right_password_costs_no_try_whatever_comes_of_the_rest() {
    let app = App::start().await;
    let boss = app.admin().await.from("192.0.2.1");
    for _ in 0..12 {
        let body = json!({ "current_password": PASSWORD });
        boss.send(Method::DELETE, "/me", Some(body)).await.refused(409, "last_admin");
    }
    log_in(&app, "192.0.2.1", "boss@example.com", PASSWORD).await.is(200);
}

#[tokio::test]
async fn password_strength_checks_are_limited() {
    let app = App::with(|config| {
        (config.rate_limit.client_burst, config.rate_limit.mail_burst) = (3, 3);
    })
    .await;
    let sign_up = async |ip, password| {
        let body = json!({ "email": ANN, "password": password });
        app.anyone().from(ip).post("/auth/signup", body).await
    };
    for _ in 0..3 {
        assert_eq!(sign_up("192.0.2.1", "password1").await.status, 422);
    }
    for password in ["password1", PASSWORD] {
        sign_up("192.0.2.1", password).await.refused(429, "too_many_requests");
    }
    sign_up("192.0.2.2", PASSWORD).await.is(201);
    let token = app.mail(ANN).await.token().to_owned();
    app.anyone().post("/auth/verify", json!({ "token": token })).await.is(200);
    app.anyone().post("/auth/password/forgot", json!({ "email": ANN })).await.is(202);
    let token = app.mail(ANN).await.token().to_owned();
    let reset = async |password| {
        let body = json!({ "token": token, "new_password": password });
        app.anyone().from("192.0.2.3").post("/auth/password/reset", body).await
    };
    for expected in [422, 422, 422, 429] {
        assert_eq!(reset("password1").await.status, expected);
    }
    assert_eq!(reset(NEW).await.refused(429, "too_many_requests").header("retry-after"), "1");
    app.wait(Duration::from_secs(1));
    reset(NEW).await.is(204);
}

#[tokio::test]
async fn wrong_links_cost_no_budget() {
    let app = App::with(|config| config.rate_limit.client_burst = 2).await;
    app.sign_up(ANN).await;
    let mail = app.mail(ANN).await;
    make_whole(&app);
    let client = app.anyone().from("192.0.2.1");
    for number in 0..5 {
        let token = format!("{}{number}", &mail.token()[1..]);
        let verify = json!({ "token": token });
        client.post("/auth/verify", verify).await.refused(400, "verification_failed");
        let reset = json!({ "token": token, "new_password": NEW });
        client.post("/auth/password/reset", reset).await.refused(400, "verification_failed");
    }
    assert_eq!(app.stored::<i64>("SELECT count(*) FROM rate_limits"), 0);
    log_in(&app, "192.0.2.1", ANN, PASSWORD).await.is(200);
    client.post("/auth/verify", json!({ "email": ANN, "code": mail.code })).await.is(200);
}

#[tokio::test]
async fn codes_and_passwords_have_budgets_of_their_own() {
    let app = App::with(|config| config.rate_limit.client_burst = 2).await;
    app.sign_up(ANN).await;
    let client = app.anyone().from("192.0.2.1");
    let guess = async |code: &str| {
        client.post("/auth/verify", json!({ "email": "bob@example.com", "code": code })).await
    };
    for _ in 0..5 {
        guess("not a code").await.refused(400, "verification_failed"); // and no guess
    }
    for _ in 0..2 {
        guess("123456").await.refused(400, "verification_failed");
    }
    guess("123456").await.refused(429, "too_many_requests");
    let body = json!({ "email": "bob@example.com", "code": "123456", "new_password": NEW });
    client.post("/auth/password/reset", body).await.refused(429, "too_many_requests");
    for _ in 0..2 {
        log_in(&app, "192.0.2.1", ANN, WRONG).await.refused(401, "invalid_credentials");
    }
    log_in(&app, "192.0.2.1", ANN, WRONG).await.refused(429, "too_many_requests");
}

#[tokio::test]
async fn sign_ups_that_send_and_judge_nothing_cost_nothing() {
    let app = App::with(|config| {
        (config.rate_limit.client_burst, config.rate_limit.mail_burst) = (3, 2);
    })
    .await;
    let client = app.anyone().from("192.0.2.1");
    for body in [
        json!({}),
        json!({ "email": ANN }),
        json!({ "email": ANN, "password": "short" }),
        json!({ "email": "not an address", "password": "short" }),
        json!({ "email": ANN, "password": "q".repeat(300) }),
    ] {
        client.post("/auth/signup", body).await.refused(422, "validation_failed");
    }
    assert_eq!(app.stored::<i64>("SELECT count(*) FROM rate_limits"), 0);
    let sign_up =
        async |email| client.post("/auth/signup", json!({ "email": email, "password": PASSWORD })).await;
    sign_up(ANN).await.is(201);
    sign_up(ANN).await.refused(409, "email_taken");
    // The address that was taken caused no message, and yet a password was judged.
    client.post("/auth/password/forgot", json!({ "email": ANN })).await.is(202);
    client.post("/auth/password/forgot", json!({ "email": ANN })).await.refused(429, "too_many_requests");
    app.wait(Duration::from_secs(5));
    sign_up("bob@example.com").await.is(201);
}

#[tokio::test]
async fn a_wait_for_two_limits_is_the_longer_one() {
    let app = App::with(|config| config.auth.access_ttl = Duration::from_hours(24).into()).await;
    let (ann, bob) = (app.signed_in(ANN).await, app.signed_in("bob@example.com").await);
    let ask = async |caller: &Caller<'_>, new: &str| {
        caller.post("/me/email", json!({ "new_email": new, "current_password": PASSWORD })).await
    };
    for number in 0..20 {
        ask(&ann, &format!("new{number}@example.com")).await.is(202);
    }
    app.wait(Duration::from_mins(30));
    for _ in 0..20 {
        ask(&bob, "new@example.com").await.is(202);
    }
    // Ann may ask again in half an hour, and that address may be written to in an hour.
    let refused = ask(&ann, "new@example.com").await.refused(429, "too_many_requests");
    assert_eq!(refused.header("retry-after"), "3600");
    app.wait(Duration::from_hours(1));
    ask(&ann, "new@example.com").await.is(202);
}

#[tokio::test]
async fn a_login_with_the_access_token_along_counts_for_its_session() {
    let app = App::start().await;
    app.sign_up(ANN).await;
    app.sign_up("bob@example.com").await;
    let ann = tokens(log_in(&app, "192.0.2.1", ANN, PASSWORD).await, &app).await.from("192.0.2.1");
    let bob = tokens(log_in(&app, "192.0.2.1", "bob@example.com", PASSWORD).await, &app).await;
    app.wait(Duration::from_hours(1)); // the access token may have expired
    assert_eq!(exhaust(&app, "192.0.2.1", ANN).await, 10);
    let again = async |caller: &Caller<'_>| {
        caller.clone().from("192.0.2.1").post("/auth/login", login(ANN, PASSWORD)).await
    };
    again(&bob).await.refused(429, "too_many_requests");
    again(&app.with_token("x")).await.refused(429, "too_many_requests");
    for _ in 0..9 {
        ann.post("/auth/login", login(ANN, WRONG)).await.refused(401, "invalid_credentials");
    }
    again(&ann).await.is(200);
    let renewed = app.tokens(ANN).await;
    app.anyone().post("/auth/logout", json!({ "refresh_token": renewed["refresh_token"] })).await.is(204);
    assert!(exhaust(&app, "192.0.2.1", ANN).await <= 10);
    let over = app.with_token(renewed["access_token"].as_str().unwrap());
    again(&over).await.refused(429, "too_many_requests");
}

#[tokio::test]
async fn a_restart_forgives_nothing() {
    let app = App::start().await;
    app.sign_up(ANN).await;
    assert_eq!(exhaust(&app, "192.0.2.1", ANN).await, 10);
    let again = app.beside(|_| {}).await;
    log_in(&again, "192.0.2.1", ANN, PASSWORD).await.refused(429, "too_many_requests");
}

#[tokio::test]
async fn a_limit_does_not_reveal_whether_an_account_exists() {
    let app = App::start().await;
    app.sign_up(ANN).await;
    let known = exhaust(&app, "192.0.2.1", ANN).await;
    assert_eq!(exhaust(&app, "192.0.2.1", "unknown@example.com").await, known);
    let mut looks = Vec::new();
    for email in [ANN, "unknown@example.com"] {
        looks.push(log_in(&app, "192.0.2.1", email, WRONG).await.refused(429, "too_many_requests").look());
    }
    assert_eq!(looks[0], looks[1]);
}

#[tokio::test]
async fn every_spelling_and_every_address_of_a_network_is_one_budget() {
    let app = App::start().await;
    let spellings = [
        "ann@example.com",
        "ANN@EXAMPLE.COM",
        " Ann@Example.Com ",
        "aNN@example.com",
        "ann@ＥＸＡＭＰＬＥ.com",
    ];
    let ips = ["2001:db8::1", "2001:db8::ffff", "2001:db8:0:0:1::", "2001:db8:0:0:ffff:ffff:ffff:ffff"];
    for tried in 0..10 {
        let (ip, email) = (ips[tried % ips.len()], spellings[tried % spellings.len()]);
        log_in(&app, ip, email, WRONG).await.refused(401, "invalid_credentials");
    }
    log_in(&app, "2001:db8::9", ANN, WRONG).await.refused(429, "too_many_requests");
    log_in(&app, "2001:db8:0:1::1", ANN, WRONG).await.refused(401, "invalid_credentials");
    for tried in 0..10 {
        let ip = if tried % 2 == 0 { "192.0.2.1" } else { "::ffff:192.0.2.1" };
        log_in(&app, ip, "bob@example.com", WRONG).await.refused(401, "invalid_credentials");
    }
    log_in(&app, "192.0.2.1", "bob@example.com", WRONG).await.refused(429, "too_many_requests");
}

#[tokio::test(flavor = "multi_thread")]
async fn guesses_at_the_same_moment_do_not_overrun_a_limit() {
    let app = std::sync::Arc::new(App::start().await);
    app.sign_up(ANN).await;
    let mut crowd = tokio::task::JoinSet::new();
    for _ in 0..200 {
        let app = std::sync::Arc::clone(&app);
        crowd.spawn(async move { log_in(&app, "192.0.2.1", ANN, WRONG).await.status });
    }
    let statuses = crowd.join_all().await;
    assert_eq!(statuses.iter().filter(|status| **status == 401).count(), 10, "{statuses:?}");
    assert!(statuses.iter().all(|status| [401, 429].contains(status)), "{statuses:?}");
}

#[tokio::test]
async fn guesses_from_elsewhere_lock_no_owner_out() {
    let app = App::start().await;
    app.sign_up(ANN).await;
    exhaust(&app, "198.51.100.1", ANN).await;
    log_in(&app, "192.0.2.1", ANN, PASSWORD).await.is(200);
}

#[tokio::test]
async fn a_distributed_attack_is_limited_and_the_owner_is_not() {
    let app = App::start().await;
    app.sign_up(ANN).await;
    let home = log_in(&app, "192.0.2.1", ANN, PASSWORD).await.is(200);
    let mut evaluated = 0;
    for network in 0..60 {
        for _ in 0..4 {
            let answer = log_in(&app, &format!("198.51.{network}.1"), ANN, WRONG).await;
            evaluated += u32::from(answer.status == 401);
        }
    }
    assert_eq!(evaluated, app.config.rate_limit.account_burst);
    log_in(&app, "203.0.113.1", ANN, PASSWORD).await.refused(429, "too_many_requests");
    tokens(home, &app).await.get("/me").await.is(200);
    log_in(&app, "192.0.2.1", ANN, PASSWORD).await.is(200);
    // A right password forgives what its own network tried, and not what others did.
    log_in(&app, "203.0.113.1", ANN, PASSWORD).await.refused(429, "too_many_requests");
}

#[tokio::test]
async fn a_new_password_by_mail_makes_the_budgets_whole() {
    let app = App::start().await;
    app.sign_up(ANN).await;
    for network in 0..60 {
        log_in(&app, &format!("198.51.{network}.1"), ANN, WRONG).await;
    }
    let owner = app.anyone().from("203.0.113.1");
    log_in(&app, "203.0.113.1", ANN, PASSWORD).await.refused(429, "too_many_requests");
    owner.post("/auth/password/forgot", json!({ "email": ANN })).await.is(202);
    let token = app.mail(ANN).await.token().to_owned();
    owner.post("/auth/password/reset", json!({ "token": token, "new_password": NEW })).await.is(204);
    log_in(&app, "203.0.113.1", ANN, NEW).await.is(200);
}

#[tokio::test]
async fn a_reset_password_is_accepted_despite_wrong_attempts_elsewhere() {
    let app = App::start().await;
    app.sign_up(ANN).await;
    app.anyone().post("/auth/password/forgot", json!({ "email": ANN })).await.is(202);
    let token = app.mail(ANN).await.token().to_owned();
    let owner = app.anyone().from("203.0.113.1");
    owner.post("/auth/password/reset", json!({ "token": token, "new_password": NEW })).await.is(204);
    for network in 0..60 {
        log_in(&app, &format!("198.51.{network}.1"), ANN, WRONG).await;
    }
    log_in(&app, "192.0.2.1", ANN, NEW).await.refused(429, "too_many_requests");
    // There, too, there are only so many tries.
    for _ in 0..10 {
        log_in(&app, "203.0.113.1", ANN, WRONG).await.refused(401, "invalid_credentials");
    }
    log_in(&app, "203.0.113.1", ANN, NEW).await.refused(429, "too_many_requests");
    app.wait(Duration::from_mins(59));
    log_in(&app, "203.0.113.1", ANN, NEW).await.is(200);
}

#[tokio::test]
async fn waiting_for_retry_after_is_enough() {
    let app = App::start().await;
    app.sign_up(ANN).await;
    for _ in 0..10 {
        log_in(&app, "192.0.2.1", ANN, WRONG).await.refused(401, "invalid_credentials");
    }
    for network in 0..60 {
        log_in(&app, &format!("198.51.{network}.1"), ANN, WRONG).await;
    }
    let refused = log_in(&app, "192.0.2.1", ANN, PASSWORD).await.refused(429, "too_many_requests");
    app.wait(Duration::from_secs(refused.header("retry-after").parse().unwrap()));
    log_in(&app, "192.0.2.1", ANN, PASSWORD).await.is(200);
}

/// What a user who is signed in does with the password: a change of it, of the address, and the end of the account.
async fn confirm(caller: &Caller<'_>, path: &str, password: &str) -> Answer {
    let body = match path {
        "/me/password" => json!({ "current_password": password, "new_password": NEW }),
        "/me/email" => json!({ "current_password": password, "new_email": "b@example.com" }),
        _ => json!({ "current_password": password }),
    };
    let method = if path == "/me" { Method::DELETE } else { Method::POST };
    caller.send(method, path, Some(body)).await
}

const CONFIRMED: [&str; 3] = ["/me/password", "/me/email", "/me"];

#[tokio::test]
async fn whatever_a_session_asks_a_password_for_is_one_budget() {
    for exhausted in CONFIRMED {
        let app = App::start().await;
        app.sign_up(ANN).await;
        app.verify(ANN).await;
        let ann = tokens(log_in(&app, "192.0.2.1", ANN, PASSWORD).await, &app).await.from("192.0.2.1");
        for _ in 0..10 {
            confirm(&ann, exhausted, WRONG).await.refused(401, "invalid_credentials");
        }
        for path in CONFIRMED {
            let refused = confirm(&ann, path, PASSWORD).await.refused(429, "too_many_requests");
            assert_eq!(refused.header("retry-after"), "60", "{path} after {exhausted}");
        }
        ann.get("/me").await.is(200);
        app.wait(Duration::from_mins(1));
        confirm(&ann, "/me/password", PASSWORD).await.is(204);
    }
}

#[tokio::test]
async fn a_guest_at_the_same_address_uses_up_nothing_of_a_session() {
    let app = App::with(|config| {
        config.rate_limit.client_burst = 40;
        config.auth.access_ttl = Duration::from_hours(24).into();
    })
    .await;
    app.sign_up(ANN).await;
    app.verify(ANN).await;
    let ann = tokens(log_in(&app, "192.0.2.1", ANN, PASSWORD).await, &app).await.from("192.0.2.1");
    for step in 0..59 {
        for guess in 0..3 {
            log_in(&app, "192.0.2.1", ANN, WRONG).await;
            log_in(&app, "192.0.2.1", &format!("bob{step}{guess}@example.com"), WRONG).await;
        }
        app.wait(Duration::from_mins(1));
    }
    log_in(&app, "192.0.2.1", ANN, PASSWORD).await.refused(429, "too_many_requests");
    for _ in 0..9 {
        confirm(&ann, "/me/password", WRONG).await.refused(401, "invalid_credentials");
    }
    confirm(&ann, "/me/password", PASSWORD).await.is(204);
}

#[tokio::test]
async fn ten_wrong_guesses_keep_no_one_out_for_longer_than_a_minute() {
    let app = App::start().await;
    app.sign_up(ANN).await;
    log_in(&app, "192.0.2.1", ANN, PASSWORD).await.is(200);
    for email in [ANN, "unknown@example.com"] {
        assert_eq!(exhaust(&app, "192.0.2.1", email).await, 10);
        assert_eq!(retry_after(&app, email).await, 60, "{email}");
    }
    app.wait_nearly(Duration::from_mins(1));
    log_in(&app, "192.0.2.1", ANN, PASSWORD).await.refused(429, "too_many_requests");
    app.wait(MOMENT);
    log_in(&app, "192.0.2.1", ANN, PASSWORD).await.is(200);
}

#[tokio::test]
async fn a_limit_does_not_reveal_trusted_networks() {
    let app = App::start().await;
    app.sign_up(ANN).await;
    log_in(&app, "192.0.2.1", ANN, PASSWORD).await.is(200);
    for _ in 0..300 {
        let mut looks = Vec::new();
        for email in [ANN, "unknown@example.com"] {
            looks.push(log_in(&app, "192.0.2.1", email, WRONG).await.look());
        }
        assert_eq!(looks[0], looks[1]);
        app.wait(Duration::from_secs(20));
    }
}

#[tokio::test]
async fn one_network_cannot_lock_an_owner_elsewhere_out() {
    let app = App::start().await;
    app.sign_up(ANN).await;
    app.verify(ANN).await;
    let mut evaluated = 0;
    for hour in 0..72 {
        for network in 0..4 {
            // All of one site, such as a rented server is given.
            evaluated += exhaust(&app, &format!("2001:db8:0:{network}::1"), ANN).await;
        }
        if hour % 24 == 23 {
            log_in(&app, "203.0.113.1", ANN, PASSWORD).await.is(200);
        }
        app.wait(Duration::from_hours(1));
    }
    assert_eq!(evaluated, 20 + 71);
}

#[tokio::test]
async fn no_more_than_98_guesses_a_day_are_judged_without_a_session() {
    let app = App::with(|config| config.auth.access_ttl = Duration::from_hours(25).into()).await;
    app.sign_up(ANN).await;
    let ann = tokens(log_in(&app, "192.0.2.1", ANN, PASSWORD).await, &app).await.from("192.0.2.1");
    log_in(&app, "192.0.2.2", ANN, PASSWORD).await.is(200);
    let (mut without, mut with) = (0, 0);
    for step in 0..24 * 12 {
        for ip in ["192.0.2.1", "192.0.2.2", &format!("198.51.{}.1", step % 200), "203.0.113.1"] {
            without += exhaust(&app, ip, ANN).await;
        }
        with += u32::from(confirm(&ann, "/me/password", WRONG).await.status == 401);
        app.wait(Duration::from_mins(5));
    }
    assert_eq!((without + with, with >= 10), (30 + 23 + 30 + 23, true), "{without} without, {with} with");
    log_in(&app, "192.0.2.1", ANN, PASSWORD).await.refused(429, "too_many_requests");
}

#[tokio::test(flavor = "multi_thread")]
async fn right_logins_at_once_all_succeed() {
    let app = std::sync::Arc::new(App::start().await);
    app.sign_up(ANN).await;
    make_whole(&app);
    for wrong_before in [0, 9] {
        for _ in 0..wrong_before {
            log_in(&app, "192.0.2.1", ANN, WRONG).await.refused(401, "invalid_credentials");
        }
        let mut crowd = tokio::task::JoinSet::new();
        for number in 0..80 {
            let app = std::sync::Arc::clone(&app);
            // Twenty at one address, and one each at sixty others.
            let ip = format!("192.0.2.{}", if number < 20 { 1 } else { number });
            crowd.spawn(async move { log_in(&app, &ip, ANN, PASSWORD).await.status });
        }
        let statuses = crowd.join_all().await;
        assert_eq!(statuses, [200; 80]);
        // All that is owed is what the client tried at all accounts, and changes: by the account, and from 61 addresses.
        assert_eq!(app.stored::<i64>("SELECT count(*) FROM rate_limits") - 62, i64::from(wrong_before > 0));
    }
}

#[tokio::test]
async fn tries_under_way_lengthen_no_wait() {
    let app = App::with(|config| {
        config.password.memory_kib = 64 * 1024;
        config.rate_limit.login_burst = 1;
        config.rate_limit.client_burst = 2;
        config.rate_limit.client_refill = Period::minutes(60);
    })
    .await;
    for email in [ANN, "bob@example.com"] {
        app.sign_up(email).await;
        app.verify(email).await;
    }
    make_whole(&app);
    log_in(&app, "192.0.2.1", ANN, WRONG).await.refused(401, "invalid_credentials");
    let mut login = Box::pin(log_in(&app, "192.0.2.1", "bob@example.com", PASSWORD));
    // Until it is paid for, with the last that this client may try.
    let two = || app.stored::<i64>("SELECT count(*) FROM rate_limits WHERE used = 2") == 1;
    while !two() {
        assert!(futures_util::poll!(&mut login).is_pending(), "it is under way");
        tokio::task::yield_now().await;
    }
    let refused = log_in(&app, "192.0.2.1", ANN, WRONG).await.refused(429, "too_many_requests");
    assert_eq!(refused.header("retry-after"), "60");
    login.await.is(200);
}

#[tokio::test]
async fn a_login_whose_client_disconnected_starts_no_session() {
    // A hash takes longer than it takes to see that the attempt was charged.
    let app = App::with(|config| config.password.memory_kib = 64 * 1024).await;
    app.sign_up(ANN).await;
    app.verify(ANN).await;
    make_whole(&app);
    let mut login = Box::pin(log_in(&app, "192.0.2.1", ANN, PASSWORD));
    while app.stored::<i64>("SELECT count(*) FROM rate_limits") == 0 {
        assert!(futures_util::poll!(&mut login).is_pending(), "it is under way");
        tokio::task::yield_now().await;
    }
    drop(login);
    make_whole(&app);
    // Behind it in the queue, and of the same account.
    for _ in 0..3 {
        log_in(&app, "192.0.2.1", ANN, WRONG).await.refused(401, "invalid_credentials");
    }
    assert_eq!(app.stored::<i64>("SELECT count(*) FROM sessions"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn right_passwords_of_disconnected_clients_cost_nothing() {
    let app = App::with(|config| config.password.memory_kib = 8 * 1024).await;
    app.sign_up(ANN).await;
    app.verify(ANN).await;
    let ann = tokens(log_in(&app, "192.0.2.1", ANN, PASSWORD).await, &app).await.from("192.0.2.1");
    make_whole(&app);
    for millis in 0..24 {
        let timeout = Duration::from_millis(millis);
        let _ = tokio::time::timeout(timeout, log_in(&app, "192.0.2.1", ANN, PASSWORD)).await;
        let _ = tokio::time::timeout(timeout, confirm(&ann, "/me/email", PASSWORD)).await;
    }
    let start = std::time::Instant::now();
    // The logins themselves count as changes, by the account and from its address.
    while app.stored::<i64>("SELECT count(*) FROM rate_limits") > 2 {
        assert!(start.elapsed() < Duration::from_secs(30), "a try is left that was right");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    log_in(&app, "192.0.2.1", ANN, PASSWORD).await.is(200);
}

#[tokio::test]
async fn one_client_tries_so_many_passwords_of_all_accounts() {
    let app = App::with(|config| config.rate_limit.client_burst = 10).await;
    for account in 0..10 {
        let answer = log_in(&app, "192.0.2.1", &format!("user{account}@example.com"), WRONG).await;
        answer.refused(401, "invalid_credentials");
    }
    log_in(&app, "192.0.2.1", ANN, WRONG).await.refused(429, "too_many_requests");
    log_in(&app, "192.0.2.2", ANN, WRONG).await.refused(401, "invalid_credentials");
}

#[tokio::test]
async fn what_was_right_costs_a_client_nothing() {
    let app = App::with(|config| config.rate_limit.client_burst = 3).await;
    for user in 0..6 {
        let email = format!("user{user}@example.com");
        let sign_up = json!({ "email": email, "password": PASSWORD });
        app.anyone().from(&format!("198.51.100.{user}")).post("/auth/signup", sign_up).await.is(201);
        let proof = json!({ "token": app.mail(&email).await.token() });
        app.anyone().from("192.0.2.1").post("/auth/verify", proof).await.is(200);
        log_in(&app, "192.0.2.1", &email, PASSWORD).await.is(200);
    }
}

#[tokio::test]
async fn one_client_causes_so_many_messages() {
    let app = App::with(|config| config.rate_limit.mail_burst = 3).await;
    let client = app.anyone().from("192.0.2.1");
    client.post("/auth/signup", json!({ "email": ANN, "password": PASSWORD })).await.is(201);
    client.post("/auth/verify/resend", json!({ "email": ANN })).await.is(202);
    client.post("/auth/password/forgot", json!({ "email": "unknown@example.com" })).await.is(202);
    for (path, body) in [
        ("/auth/signup", json!({ "email": "bob@example.com", "password": PASSWORD })),
        ("/auth/verify/resend", json!({ "email": ANN })),
        ("/auth/password/forgot", json!({ "email": ANN })),
    ] {
        let refused = client.post(path, body.clone()).await.refused(429, "too_many_requests");
        assert_eq!(refused.header("retry-after"), "5", "{path}");
        app.anyone().from("192.0.2.2").post(path, body).await;
    }
    app.wait(Duration::from_secs(5));
    client.post("/auth/verify/resend", json!({ "email": ANN })).await.is(202);
}

#[tokio::test]
async fn a_clock_that_is_set_back_gives_nothing_and_takes_nothing() {
    let app = App::start().await;
    exhaust(&app, "192.0.2.1", ANN).await;
    let earlier = app.beside(|_| {}).await; // stands where every test starts
    app.wait(Duration::from_hours(48));
    log_in(&app, "192.0.2.1", ANN, WRONG).await.refused(401, "invalid_credentials");
    log_in(&earlier, "192.0.2.1", ANN, WRONG).await.refused(401, "invalid_credentials");
}

/// How one address can be typed, and how one client can look.
const SPELLINGS: [&str; 6] = [
    "ann@example.com",
    "ANN@EXAMPLE.COM",
    "Ann@Example.com",
    " ann@example.com ",
    "ANn@example.com",
    "ann@ＥＸＡＭＰＬＥ．com",
];
const FACES: [&[&str]; 2] = [
    &["192.0.2.1", "::ffff:192.0.2.1", "::ffff:c000:201"],
    &["2001:db8::1", "2001:db8:0:0:0:0:0:2", "2001:DB8::ffff:0:1", "2001:db8::192.0.2.1"],
];

#[tokio::test]
async fn every_spelling_and_every_face_of_a_client_is_one_budget() {
    for faces in FACES {
        let app = App::start().await;
        app.sign_up(ANN).await;
        app.verify(ANN).await;
        let ann = tokens(log_in(&app, faces[0], ANN, PASSWORD).await, &app).await;
        let mut evaluated = [0, 0];
        for endpoint in ["/auth/login", "/me/password", "/me/email", "/me"] {
            for (spelling, ip) in
                SPELLINGS.iter().flat_map(|spelling| faces.iter().map(move |ip| (spelling, ip)))
            {
                let answer = match endpoint {
                    "/auth/login" => log_in(&app, ip, spelling, WRONG).await,
                    _ => confirm(&ann.clone().from(ip), endpoint, WRONG).await,
                };
                evaluated[usize::from(endpoint != "/auth/login")] += u32::from(answer.status == 401);
                assert!([401, 429].contains(&answer.status), "{endpoint} {spelling} {ip}: {}", answer.body);
            }
        }
        assert_eq!(evaluated, [app.config.rate_limit.login_burst; 2], "{faces:?}: at logins, by a session");
    }
}

#[tokio::test]
async fn every_spelling_guesses_at_one_code() {
    let app = App::start().await;
    app.sign_up(ANN).await;
    let mail = app.mail(ANN).await;
    let wrong = crate::verification::wrong(&mail.code);
    for (tried, spelling) in SPELLINGS.iter().enumerate().take(5) {
        let ip = FACES[tried % 2][tried % 3];
        let guess = json!({ "email": spelling, "code": wrong });
        app.anyone().from(ip).post("/auth/verify", guess).await.refused(400, "verification_failed");
    }
    let right = json!({ "email": ANN, "code": mail.code });
    app.anyone().post("/auth/verify", right).await.refused(400, "verification_failed");
}

/// A shop that forgives one wrong password a minute, and three at once.
async fn strict() -> App {
    App::with(|config| {
        config.rate_limit.login_burst = 3;
        config.rate_limit.account_refill = Duration::from_mins(1).into();
    })
    .await
}

/// After how many seconds the next try is welcome.
async fn retry_after(app: &App, email: &str) -> u64 {
    let refused = log_in(app, "192.0.2.1", email, WRONG).await.refused(429, "too_many_requests");
    refused.header("retry-after").parse().unwrap()
}

#[tokio::test]
async fn time_gives_one_try_after_another_back() {
    let app = strict().await;
    assert_eq!(exhaust(&app, "192.0.2.1", ANN).await, 3);
    app.wait(Duration::from_secs(90));
    assert_eq!(exhaust(&app, "192.0.2.1", ANN).await, 1);
    assert_eq!(retry_after(&app, ANN).await, 30);
    app.wait(Duration::from_secs(30));
    assert_eq!(exhaust(&app, "192.0.2.1", ANN).await, 1);
    assert_eq!(retry_after(&app, ANN).await, 60);
}

#[tokio::test]
async fn a_budget_that_is_whole_gives_nothing_in_advance() {
    let app = strict().await;
    exhaust(&app, "192.0.2.1", ANN).await;
    app.wait(Duration::from_secs(210));
    assert_eq!(exhaust(&app, "192.0.2.1", ANN).await, 3);
    assert_eq!(retry_after(&app, ANN).await, 60);
}

#[tokio::test]
async fn the_clean_up_forgets_no_budget_before_it_is_whole() {
    let app = strict().await;
    let clean_up = async || {
        let plan = app.purge.plan(PurgeScope::Expired, Origin::job());
        app.purge.run(&plan, |_| {}).await.unwrap().counts
    };
    exhaust(&app, "192.0.2.1", ANN).await;
    app.wait_nearly(Duration::from_mins(3));
    clean_up().await;
    assert_eq!(exhaust(&app, "192.0.2.1", ANN).await, 2);
    app.wait(Duration::from_mins(3)); // the account owes three tries, of a minute each
    assert_eq!(clean_up().await, 4);
    assert_eq!(app.stored::<i64>("SELECT count(*) FROM rate_limits"), 0);
}

#[tokio::test]
async fn what_is_tried_at_home_does_not_count_elsewhere() {
    let app = App::with(|config| config.rate_limit.account_burst = 5).await;
    app.sign_up(ANN).await;
    log_in(&app, "192.0.2.1", ANN, PASSWORD).await.is(200);
    for _ in 0..7 {
        log_in(&app, "192.0.2.1", ANN, WRONG).await.refused(401, "invalid_credentials");
    }
    log_in(&app, "203.0.113.1", ANN, PASSWORD).await.is(200);
    log_in(&app, "192.0.2.1", ANN, PASSWORD).await.is(200);
}

#[tokio::test]
async fn a_site_has_twice_the_budget_of_one_of_its_networks() {
    let app = App::with(|config| {
        (config.rate_limit.client_burst, config.rate_limit.mail_burst) = (5, 5);
    })
    .await;
    let (mut guesses, mut messages) = (0, 0);
    for number in 0..15 {
        let ip = format!("2001:db8:7:{number:x}::1");
        guesses += u32::from(log_in(&app, &ip, &format!("a{number}@example.com"), WRONG).await.status == 401);
        let forgot = json!({ "email": format!("b{number}@example.com") });
        let answer = app.anyone().from(&ip).post("/auth/password/forgot", forgot).await;
        messages += u32::from(answer.status == 202);
    }
    assert_eq!((guesses, messages), (10, 10));
    log_in(&app, "2001:db8:8::1", ANN, WRONG).await.refused(401, "invalid_credentials");
}

#[tokio::test]
async fn clients_behind_a_nat64_translator_are_distinguished() {
    let app = App::with(|config| config.rate_limit.client_burst = 1).await;
    for ip in ["64:ff9b::192.0.2.1", "64:ff9b:1::192.0.2.2", "64:ff9b:1:c000:2:300::"] {
        log_in(&app, ip, ANN, WRONG).await.refused(401, "invalid_credentials");
    }
    log_in(&app, "192.0.2.1", "bob@example.com", WRONG).await.refused(429, "too_many_requests");
}

#[tokio::test]
async fn what_was_right_gives_a_client_one_try_back_and_no_more() {
    let app = App::with(|config| config.rate_limit.client_burst = 3).await;
    app.sign_up(ANN).await;
    make_whole(&app);
    log_in(&app, "192.0.2.1", ANN, PASSWORD).await.is(200);
    let changes = 2; // of the account, and of its client
    assert_eq!(
        app.stored::<i64>("SELECT count(*) FROM rate_limits"),
        changes,
        "nothing is owed, and nothing is kept"
    );
    for (email, password, status) in [
        ("user1@example.com", WRONG, 401),
        ("user2@example.com", WRONG, 401),
        (ANN, PASSWORD, 200),
        ("user3@example.com", WRONG, 401),
        ("user4@example.com", WRONG, 429),
    ] {
        log_in(&app, "192.0.2.1", email, password).await.is(status);
    }
}

#[tokio::test]
async fn a_right_password_resets_limits_even_if_login_is_refused() {
    for disabled in [true, false] {
        let app = App::with(|config| {
            config.auth.allow_unverified_login = disabled;
        })
        .await;
        let ann = app.sign_up(ANN).await;
        if disabled {
            let path = format!("/users/{}", ann["id"].as_str().unwrap());
            app.admin().await.patch(&path, json!({ "disabled": true })).await.is(200);
        }
        for _ in 0..3 {
            for _ in 0..5 {
                log_in(&app, "192.0.2.1", ANN, WRONG).await.refused(401, "invalid_credentials");
            }
            log_in(&app, "192.0.2.1", ANN, PASSWORD).await.is(403);
        }
    }
}

#[tokio::test]
async fn an_account_is_exported_some_times_at_once_and_then_once_a_minute() {
    let app = App::start().await;
    let (ann, bob) = (app.unverified(ANN).await, app.unverified("bob@example.com").await);
    for _ in 0..5 {
        ann.get("/me/export").await.is(200);
    }
    let refused = ann.clone().from("192.0.2.9").get("/me/export").await.refused(429, "too_many_requests");
    assert_eq!(refused.header("retry-after"), "60");
    bob.get("/me/export").await.is(200);
    app.wait(Duration::from_mins(1));
    ann.get("/me/export").await.is(200);
    ann.get("/me/export").await.refused(429, "too_many_requests");
}

/// A shop where an account may make three changes at once.
async fn three_changes() -> App {
    App::with(|config| config.rate_limit.change_burst = 3).await
}

/// Edits until there is a refusal, which must come after so many.
async fn edit_without_end(who: &Caller<'_>, path: &str, most: usize) {
    for number in 0..most {
        who.patch(path, json!({ "last_name": format!("Oak {number}") })).await.is(200);
    }
    who.patch(path, json!({ "last_name": "Elm" })).await.refused(429, "too_many_requests");
}

#[tokio::test]
async fn an_account_edits_itself_so_often_and_then_once_in_a_while() {
    let app = three_changes().await;
    let ann = app.unverified(ANN).await.from("192.0.2.1");
    let path = format!("/users/{}", ann.id().await);
    for path in ["/me", &path, "/me"] {
        ann.patch(path, json!({ "first_name": format!("Ann {}", app.events().await.len()) })).await.is(200);
    }
    for path in ["/me", &path] {
        let refused = ann.patch(path, json!({ "first_name": "Zoe" })).await.refused(429, "too_many_requests");
        assert_eq!(refused.header("retry-after"), "30");
        let unchanged = json!({ "first_name": ann.me().await["first_name"] });
        ann.patch(path, unchanged).await.is(200);
    }
    app.wait(Duration::from_secs(30));
    ann.patch("/me", json!({ "first_name": "Zoe" })).await.is(200);
    ann.patch("/me", json!({ "first_name": "Joe" })).await.refused(429, "too_many_requests");
}

#[tokio::test]
async fn endless_edits_by_an_intruder_do_not_block_the_owner() {
    let app = three_changes().await;
    let ann = app.signed_in(ANN).await;
    edit_without_end(&ann, "/me", 3).await;
    let body = json!({ "current_password": PASSWORD, "new_password": NEW });
    ann.post("/me/password", body).await.is(204);
    log_in(&app, "192.0.2.1", ANN, NEW).await.is(200);
}

#[tokio::test]
async fn right_passwords_have_a_budget_of_their_account() {
    let app = three_changes().await;
    app.sign_up(ANN).await;
    app.sign_up("bob@example.com").await;
    for ip in ["192.0.2.1", "198.51.100.1", "203.0.113.1"] {
        log_in(&app, ip, ANN, PASSWORD).await.is(200);
    }
    for ip in ["192.0.2.1", "203.0.113.9"] {
        let refused = log_in(&app, ip, ANN, PASSWORD).await.refused(429, "too_many_requests");
        assert_eq!(refused.header("retry-after"), "30");
    }
    log_in(&app, "192.0.2.1", "bob@example.com", PASSWORD).await.is(200);
    log_in(&app, "192.0.2.1", ANN, WRONG).await.refused(401, "invalid_credentials");
    app.wait(Duration::from_secs(30));
    log_in(&app, "192.0.2.1", ANN, PASSWORD).await.is(200);
}

#[tokio::test]
async fn what_ends_something_is_never_refused() {
    let app = three_changes().await;
    let boss = app.admin().await;
    let ann = app.signed_in(ANN).await;
    let (tokens, other) = (app.tokens(ANN).await, app.tokens(ANN).await);
    log_in(&app, "192.0.2.1", ANN, PASSWORD).await.refused(429, "too_many_requests");
    edit_without_end(&ann, "/me", 3).await;
    let path = format!("/users/{}", ann.id().await);
    edit_without_end(&boss, &path, 30).await; // an admin may do ten times as much
    let logout = json!({ "refresh_token": tokens["refresh_token"] });
    app.anyone().post("/auth/logout", logout).await.is(204);
    let session = ann.get("/me/sessions").await.body["items"][0]["id"].as_str().unwrap().to_owned();
    let other = app.with_token(other["access_token"].as_str().unwrap());
    other.delete(&format!("/me/sessions/{session}")).await.is(204);
    boss.delete(&format!("{path}/sessions")).await.is(204);
    ann.get("/me").await.refused(401, "invalid_token");
    app.anyone().post("/auth/password/forgot", json!({ "email": ANN })).await.is(202);
    let reset = json!({ "token": app.mail(ANN).await.token(), "new_password": NEW });
    app.anyone().post("/auth/password/reset", reset).await.is(204);
    boss.post("/auth/logout-all", None).await.is(204);
}

#[tokio::test]
async fn many_accounts_of_one_client_share_a_budget_of_changes() {
    let app = App::with(|config| config.rate_limit.client_change_burst = 4).await;
    let mut edited = 0;
    for number in 0..6 {
        let email = format!("guest{number}@example.com");
        app.sign_up(&email).await;
        let guest = tokens(log_in(&app, &format!("203.0.113.{number}"), &email, PASSWORD).await, &app).await;
        let here = guest.clone().from("192.0.2.1");
        edited += u32::from(here.patch("/me", json!({ "first_name": "Zoe" })).await.status == 200);
        guest.from("198.51.100.1").patch("/me", json!({ "first_name": "Joe" })).await;
    }
    assert_eq!(edited, 4);
}

#[tokio::test]
async fn the_edits_of_a_network_keep_none_there_from_logging_in() {
    let app = App::with(|config| config.rate_limit.client_change_burst = 2).await;
    let guest = app.signed_in("guest@example.com").await.from("192.0.2.1");
    app.sign_up(ANN).await;
    for (name, status) in [("Zoe", 200), ("Joe", 200), ("Moe", 429)] {
        assert_eq!(guest.patch("/me", json!({ "first_name": name })).await.status, status);
    }
    let ann = tokens(log_in(&app, "192.0.2.1", ANN, PASSWORD).await, &app).await.from("192.0.2.1");
    let body = json!({ "current_password": PASSWORD, "new_password": NEW });
    ann.post("/me/password", body).await.is(204);
    log_in(&app, "192.0.2.1", ANN, NEW).await.refused(429, "too_many_requests");
}

#[tokio::test]
async fn little_is_left_of_an_account_that_edited_itself_without_end() {
    let app = App::start().await;
    let ann = app.unverified(ANN).await.from("192.0.2.1");
    for number in 0..1_200 {
        ann.patch("/me", json!({ "first_name": format!("Ann {number}") })).await;
    }
    ann.send(Method::DELETE, "/me", Some(json!({ "current_password": PASSWORD }))).await.is(204);
    let plan = app.purge.plan(PurgeScope::Expired, Origin::job());
    app.purge.run(&plan, |_| {}).await.unwrap();
    assert_eq!(app.stored::<i64>("SELECT count(*) FROM audit_events"), 1_000 + 3);
}
