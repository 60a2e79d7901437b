//! Limits on guessing and on causing messages: whoever guesses is stopped, the owner is not.

use std::time::Duration;

use coffeeshop::{accounts::Which, model::Origin};
use poem::http::Method;
use serde_json::{Value, json};

use crate::app::{Answer, App, Caller, PASSWORD};

const ANN: &str = "ann@example.com";
const WRONG: &str = "espresso rains upward";
const NEW: &str = "lungo hums at dawn";

async fn limited() -> App {
    App::with(|config| config.rate_limit.enabled = true).await
}

fn login(email: &str, password: &str) -> Value {
    json!({ "email": email, "password": password })
}

async fn log_in(app: &App, ip: &str, email: &str, password: &str) -> Answer {
    app.anyone().from(ip).post("/auth/login", login(email, password)).await
}

/// Wrong passwords until patience is asked for; answers how many were looked at.
async fn exhaust(app: &App, ip: &str, email: &str) -> u32 {
    for tried in 0..200 {
        if log_in(app, ip, email, WRONG).await.status == 429 {
            return tried;
        }
    }
    panic!("nobody asked for patience");
}

async fn tokens(answer: Answer, app: &App) -> Caller<'_> {
    app.with_token(answer.is(200).body["access_token"].as_str().unwrap())
}

#[tokio::test]
async fn a_right_password_costs_no_try_whatever_comes_of_the_rest() {
    let app = limited().await;
    let boss = app.admin().await.from("192.0.2.1");
    for _ in 0..12 {
        let body = json!({ "current_password": PASSWORD });
        boss.send(Method::DELETE, "/me", Some(body)).await.refused(409, "last_admin");
    }
    log_in(&app, "192.0.2.1", "boss@example.com", PASSWORD).await.is(200);
}

#[tokio::test]
async fn nobody_has_passwords_judged_without_end() {
    let app = App::with(|config| {
        config.rate_limit.enabled = true;
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
    let reset = json!({ "token": "x", "new_password": "password1" });
    for expected in [400, 400, 400, 429] {
        let answer = app.anyone().from("192.0.2.3").post("/auth/password/reset", reset.clone()).await;
        assert_eq!(answer.status, expected);
    }
}

#[tokio::test]
async fn a_restart_forgives_nothing() {
    let app = limited().await;
    app.sign_up(ANN).await;
    assert_eq!(exhaust(&app, "192.0.2.1", ANN).await, 10);
    let again = app.beside(|config| config.rate_limit.enabled = true).await;
    log_in(&again, "192.0.2.1", ANN, PASSWORD).await.refused(429, "too_many_requests");
}

#[tokio::test]
async fn nobody_learns_from_a_limit_whether_there_is_an_account() {
    let app = limited().await;
    app.sign_up(ANN).await;
    let known = exhaust(&app, "192.0.2.1", ANN).await;
    assert_eq!(exhaust(&app, "192.0.2.1", "nobody@example.com").await, known);
    let mut looks = Vec::new();
    for email in [ANN, "nobody@example.com"] {
        looks.push(log_in(&app, "192.0.2.1", email, WRONG).await.refused(429, "too_many_requests").look());
    }
    assert_eq!(looks[0], looks[1]);
}

#[tokio::test]
async fn every_spelling_and_every_address_of_a_network_is_one_budget() {
    let app = limited().await;
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
    let app = std::sync::Arc::new(limited().await);
    app.sign_up(ANN).await;
    let mut crowd = tokio::task::JoinSet::new();
    for _ in 0..60 {
        let app = std::sync::Arc::clone(&app);
        crowd.spawn(async move { log_in(&app, "192.0.2.1", ANN, WRONG).await.status });
    }
    let statuses = crowd.join_all().await;
    assert_eq!(statuses.iter().filter(|status| **status == 401).count(), 10, "{statuses:?}");
    assert!(statuses.iter().all(|status| [401, 429].contains(status)), "{statuses:?}");
}

#[tokio::test]
async fn a_guesser_somewhere_else_shuts_nobody_out() {
    let app = limited().await;
    app.sign_up(ANN).await;
    exhaust(&app, "198.51.100.1", ANN).await;
    log_in(&app, "192.0.2.1", ANN, PASSWORD).await.is(200);
}

#[tokio::test]
async fn guessers_everywhere_are_stopped_and_the_owner_at_home_is_not() {
    let app = limited().await;
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
    log_in(&app, "203.0.113.1", ANN, PASSWORD).await.is(200);
}

#[tokio::test]
async fn a_new_password_by_mail_makes_the_budgets_whole() {
    let app = limited().await;
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
async fn whoever_chose_a_password_by_mail_is_at_home_whatever_others_go_on_to_guess() {
    let app = limited().await;
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
async fn whoever_waits_as_long_as_they_are_told_is_not_told_to_wait_again() {
    let app = limited().await;
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

#[tokio::test]
async fn whatever_asks_for_a_password_asks_from_one_budget() {
    for exhausted in ["/auth/login", "/me/password", "/me/email", "/me"] {
        let app = limited().await;
        app.sign_up(ANN).await;
        app.verify(ANN).await;
        let ann = tokens(log_in(&app, "192.0.2.1", ANN, PASSWORD).await, &app).await.from("192.0.2.1");
        let attempt = async |path: &str, password: &str| match path {
            "/auth/login" => log_in(&app, "192.0.2.1", "ANN@example.com", password).await,
            "/me/password" => {
                ann.post(path, json!({ "current_password": password, "new_password": NEW })).await
            }
            "/me/email" => {
                ann.post(path, json!({ "current_password": password, "new_email": "b@example.com" })).await
            }
            _ => {
                let body = json!({ "current_password": password });
                ann.send(poem::http::Method::DELETE, path, Some(body)).await
            }
        };
        for _ in 0..10 {
            attempt(exhausted, WRONG).await.refused(401, "invalid_credentials");
        }
        for path in ["/auth/login", "/me/password", "/me/email", "/me"] {
            let refused = attempt(path, PASSWORD).await.refused(429, "too_many_requests");
            assert_ne!(refused.header("retry-after"), "", "{path} after {exhausted}");
        }
        ann.get("/me").await.is(200);
        app.wait(Duration::from_mins(20));
        let ann = tokens(log_in(&app, "192.0.2.1", ANN, PASSWORD).await, &app).await;
        ann.get("/me").await.is(200);
    }
}

#[tokio::test]
async fn one_client_tries_so_many_secrets_of_all_accounts() {
    let app = App::with(|config| {
        config.rate_limit.enabled = true;
        config.rate_limit.client_burst = 20;
    })
    .await;
    for account in 0..10 {
        let answer = log_in(&app, "192.0.2.1", &format!("user{account}@example.com"), WRONG).await;
        answer.refused(401, "invalid_credentials");
        let proof = json!({ "email": format!("user{account}@example.com"), "code": "123456" });
        let guess = app.anyone().from("192.0.2.1").post("/auth/verify", proof).await;
        guess.refused(400, "verification_failed");
    }
    log_in(&app, "192.0.2.1", ANN, WRONG).await.refused(429, "too_many_requests");
    let client = app.anyone().from("192.0.2.1");
    client.post("/auth/verify", json!({ "token": "x" })).await.refused(429, "too_many_requests");
    let reset = json!({ "token": "x", "new_password": NEW });
    client.post("/auth/password/reset", reset).await.refused(429, "too_many_requests");
    log_in(&app, "192.0.2.2", ANN, WRONG).await.refused(401, "invalid_credentials");
}

#[tokio::test]
async fn what_was_right_costs_a_client_nothing() {
    let app = App::with(|config| {
        config.rate_limit.enabled = true;
        config.rate_limit.client_burst = 3;
    })
    .await;
    for user in 0..6 {
        let email = format!("user{user}@example.com");
        app.sign_up(&email).await;
        let proof = json!({ "token": app.mail(&email).await.token() });
        app.anyone().from("192.0.2.1").post("/auth/verify", proof).await.is(200);
        log_in(&app, "192.0.2.1", &email, PASSWORD).await.is(200);
    }
}

#[tokio::test]
async fn one_client_causes_so_many_messages() {
    let app = App::with(|config| {
        config.rate_limit.enabled = true;
        config.rate_limit.mail_burst = 3;
    })
    .await;
    let client = app.anyone().from("192.0.2.1");
    client.post("/auth/signup", json!({ "email": ANN, "password": PASSWORD })).await.is(201);
    client.post("/auth/verify/resend", json!({ "email": ANN })).await.is(202);
    client.post("/auth/password/forgot", json!({ "email": "nobody@example.com" })).await.is(202);
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
    let app = limited().await;
    exhaust(&app, "192.0.2.1", ANN).await;
    let earlier = app.beside(|config| config.rate_limit.enabled = true).await; // stands where every test starts
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
async fn every_endpoint_every_spelling_and_every_face_of_a_client_is_one_budget() {
    for faces in FACES {
        let app = limited().await;
        app.sign_up(ANN).await;
        app.verify(ANN).await;
        let ann = tokens(log_in(&app, faces[0], ANN, PASSWORD).await, &app).await;
        let mut evaluated = 0;
        for endpoint in ["/auth/login", "/me/password", "/me/email", "/me"] {
            for (spelling, ip) in
                SPELLINGS.iter().flat_map(|spelling| faces.iter().map(move |ip| (spelling, ip)))
            {
                let who = ann.clone().from(ip);
                let answer = match endpoint {
                    "/auth/login" => log_in(&app, ip, spelling, WRONG).await,
                    "/me" => {
                        let body = json!({ "current_password": WRONG });
                        who.send(poem::http::Method::DELETE, endpoint, Some(body)).await
                    }
                    "/me/password" => {
                        who.post(endpoint, json!({ "current_password": WRONG, "new_password": NEW })).await
                    }
                    _ => {
                        let body = json!({ "current_password": WRONG, "new_email": "b@example.com" });
                        who.post(endpoint, body).await
                    }
                };
                evaluated += u32::from(answer.status == 401);
                assert!([401, 429].contains(&answer.status), "{endpoint} {spelling} {ip}: {}", answer.body);
            }
        }
        assert_eq!(evaluated, app.config.rate_limit.login_burst, "{faces:?}");
    }
}

#[tokio::test]
async fn every_spelling_guesses_at_one_code() {
    let app = limited().await;
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
        config.rate_limit.enabled = true;
        config.rate_limit.login_burst = 3;
        config.rate_limit.login_refill = Duration::from_mins(1).into();
    })
    .await
}

/// After how many seconds the next try is welcome.
async fn patience(app: &App) -> u64 {
    let refused = log_in(app, "192.0.2.1", ANN, WRONG).await.refused(429, "too_many_requests");
    refused.header("retry-after").parse().unwrap()
}

#[tokio::test]
async fn time_gives_one_try_after_another_back() {
    let app = strict().await;
    assert_eq!(exhaust(&app, "192.0.2.1", ANN).await, 3);
    app.wait(Duration::from_secs(90));
    assert_eq!(exhaust(&app, "192.0.2.1", ANN).await, 1);
    assert_eq!(patience(&app).await, 30);
    app.wait(Duration::from_secs(30));
    assert_eq!(exhaust(&app, "192.0.2.1", ANN).await, 1);
    assert_eq!(patience(&app).await, 60);
}

#[tokio::test]
async fn a_budget_that_is_whole_gives_nothing_in_advance() {
    let app = strict().await;
    exhaust(&app, "192.0.2.1", ANN).await;
    app.wait(Duration::from_secs(210));
    assert_eq!(exhaust(&app, "192.0.2.1", ANN).await, 3);
    assert_eq!(patience(&app).await, 60);
}

#[tokio::test]
async fn the_clean_up_forgets_no_budget_before_it_is_whole() {
    let app = strict().await;
    let clean_up = async || {
        let plan = app.accounts.plan_purge(Which::Expired, Origin::timer());
        app.accounts.purge(&plan, |_| {}).await.unwrap().counts
    };
    exhaust(&app, "192.0.2.1", ANN).await;
    app.wait_nearly(Duration::from_mins(3));
    clean_up().await;
    assert_eq!(exhaust(&app, "192.0.2.1", ANN).await, 2);
    app.wait(Duration::from_hours(3)); // the account owes five tries, of half an hour each
    assert_eq!(clean_up().await, 3);
    assert_eq!(app.stored::<i64>("SELECT count(*) FROM limits"), 0);
}

#[tokio::test]
async fn what_is_tried_at_home_counts_for_everybody_else() {
    let app = App::with(|config| {
        config.rate_limit.enabled = true;
        config.rate_limit.account_burst = 5;
    })
    .await;
    app.sign_up(ANN).await;
    log_in(&app, "192.0.2.1", ANN, PASSWORD).await.is(200);
    for _ in 0..7 {
        log_in(&app, "192.0.2.1", ANN, WRONG).await.refused(401, "invalid_credentials");
    }
    log_in(&app, "203.0.113.1", ANN, PASSWORD).await.refused(429, "too_many_requests");
    log_in(&app, "192.0.2.1", ANN, PASSWORD).await.is(200);
    log_in(&app, "203.0.113.1", ANN, PASSWORD).await.is(200);
}

#[tokio::test]
async fn what_was_right_gives_a_client_one_try_back_and_no_more() {
    let app = App::with(|config| {
        config.rate_limit.enabled = true;
        config.rate_limit.client_burst = 3;
    })
    .await;
    app.sign_up(ANN).await;
    log_in(&app, "192.0.2.1", ANN, PASSWORD).await.is(200);
    assert_eq!(app.stored::<i64>("SELECT count(*) FROM limits"), 0, "nothing is owed, and nothing is kept");
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
async fn a_right_password_makes_up_for_wrong_ones_though_it_lets_nobody_in() {
    for disabled in [true, false] {
        let app = App::with(|config| {
            config.rate_limit.enabled = true;
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
