//! Times in the future, written while the clock was ahead of the corrected time.
//!
//! What is not here needs nothing: an account, code or link that was made while the clock was ahead lives longer by as much,
//! an audit event is kept longer by as much, and lists go by the order in which rows were written.

use std::time::Duration;

use coffeeshop::{auth::Rotation, config::Period, core::Admin, domain::Origin, operations::PurgeScope};
use serde_json::{Value, json};

use crate::{
    app::{Answer, App, PASSWORD},
    outbox::CAPACITY,
};

const ANN: &str = "ann@example.com";
const IP: &str = "192.0.2.1";
const WRONG: &str = "espresso rains upward";
const GRACE: Duration = Duration::from_secs(10);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);
/// By how much the clock is ahead: a wrong time zone, or a wrong year.
const AHEAD: [Duration; 2] = [HOUR, Duration::from_hours(400 * 24)];

/// A shop whose clock is ahead by so much, with limits.
async fn ahead(by: Duration) -> App {
    let app = App::start().await;
    app.sign_up(ANN).await;
    app.verify(ANN).await;
    app.wait(by);
    app
}

async fn log_in(app: &App, password: &str) -> Answer {
    let body = json!({ "email": ANN, "password": password });
    app.anyone().from(IP).post("/auth/login", body).await
}

async fn refresh(app: &App, tokens: &Value) -> Answer {
    let body = json!({ "refresh_token": tokens["refresh_token"] });
    app.anyone().post("/auth/refresh", body).await
}

async fn me(app: &App, tokens: &Value) -> Answer {
    app.with_token(tokens["access_token"].as_str().unwrap()).get("/me").await
}

#[tokio::test]
async fn tokens_from_the_future_are_accepted() {
    for by in AHEAD {
        let app = ahead(by).await;
        let tokens = log_in(&app, PASSWORD).await.is(200).body;
        app.clock.set_back(by);
        me(&app, &tokens).await.is(200);
        let next = refresh(&app, &tokens).await.is(200).body;
        me(&app, &next).await.is(200);
        app.wait(DAY);
        refresh(&app, &next).await.is(200);
    }
}

#[tokio::test]
async fn a_token_from_the_future_can_log_out() {
    for by in AHEAD {
        let app = ahead(by).await;
        let tokens = log_in(&app, PASSWORD).await.is(200).body;
        app.clock.set_back(by);
        me(&app, &tokens).await.is(200);
        let body = json!({ "refresh_token": tokens["refresh_token"] });
        app.anyone().post("/auth/logout", body).await.is(204);
        me(&app, &tokens).await.refused(401, "invalid_token");
    }
}

#[tokio::test]
async fn the_grace_of_a_refresh_token_is_no_longer_in_the_future() {
    for by in AHEAD {
        let app = ahead(by).await;
        let first = log_in(&app, PASSWORD).await.is(200).body;
        let second = refresh(&app, &first).await.is(200).body;
        app.clock.set_back(by);
        refresh(&app, &first).await.refused(401, "invalid_refresh_token");
        refresh(&app, &second).await.refused(401, "invalid_refresh_token");
    }
}

#[tokio::test]
async fn a_lost_reply_is_given_again_though_the_clock_was_corrected() {
    let app = ahead(GRACE).await;
    let first = log_in(&app, PASSWORD).await.is(200).body;
    let second = refresh(&app, &first).await.is(200).body;
    app.clock.set_back(GRACE);
    assert_eq!(refresh(&app, &first).await.is(200).body["refresh_token"], second["refresh_token"]);
}

#[tokio::test]
async fn a_session_used_while_the_clock_was_behind_goes_on() {
    let app = ahead(Duration::ZERO).await;
    let tokens = log_in(&app, PASSWORD).await.is(200).body;
    app.clock.set_back(1000 * DAY);
    let tokens = refresh(&app, &tokens).await.is(200).body;
    app.wait(HOUR);
    let tokens = refresh(&app, &tokens).await.is(200).body;
    app.wait(1000 * DAY);
    let tokens = refresh(&app, &tokens).await.is(200).body;
    assert_eq!(tokens["refresh_expires_in"], 30 * 86_400);
}

#[tokio::test]
async fn a_session_used_under_a_clock_set_back_keeps_its_end() {
    let app = ahead(Duration::ZERO).await;
    let tokens = log_in(&app, PASSWORD).await.is(200).body;
    app.wait(25 * DAY);
    let tokens = refresh(&app, &tokens).await.is(200).body;
    app.wait(25 * DAY);
    let tokens = refresh(&app, &tokens).await.is(200).body;
    let plan = app.purge.plan(PurgeScope::Expired, Origin::job());
    app.purge.run(&plan, |_| {}).await.unwrap();
    app.clock.set_back(40 * DAY);
    let tokens = refresh(&app, &tokens).await.is(200).body;
    app.wait(HOUR / 4);
    let tokens = refresh(&app, &tokens).await.is(200).body;
    app.wait(69 * DAY);
    refresh(&app, &tokens).await.is(200);
}

#[tokio::test]
async fn a_session_used_once_under_a_clock_set_back_keeps_its_end() {
    let app = ahead(Duration::ZERO).await;
    let tokens = log_in(&app, PASSWORD).await.is(200).body;
    app.wait(25 * DAY);
    let tokens = refresh(&app, &tokens).await.is(200).body;
    app.clock.set_back(20 * DAY);
    let tokens = refresh(&app, &tokens).await.is(200).body;
    app.wait(49 * DAY);
    refresh(&app, &tokens).await.is(200);
}

#[tokio::test]
async fn a_shorter_refresh_ttl_counts_from_the_next_use() {
    let app = ahead(Duration::ZERO).await;
    let tokens = log_in(&app, PASSWORD).await.is(200).body;
    let shorter = app.beside(|config| config.auth.refresh_ttl = Period::days(7)).await;
    shorter.wait(HOUR);
    let tokens = refresh(&shorter, &tokens).await.is(200).body;
    assert_eq!(tokens["refresh_expires_in"], 7 * 86_400);
}

#[tokio::test]
async fn a_session_from_the_future_is_listed_and_can_be_ended() {
    for by in AHEAD {
        let app = ahead(by).await;
        log_in(&app, PASSWORD).await.is(200);
        app.clock.set_back(by);
        let ann = app.log_in(ANN).await;
        let sessions = ann.get("/me/sessions").await.is(200).body["items"].clone();
        let other = sessions.as_array().unwrap().iter().find(|session| session["current"] == false).unwrap();
        ann.delete(&format!("/me/sessions/{}", other["id"].as_str().unwrap())).await.is(204);
    }
}

#[tokio::test]
async fn wrong_passwords_in_the_future_lock_no_owner_out() {
    for by in AHEAD {
        let app = ahead(by).await;
        while log_in(&app, WRONG).await.status != 429 {}
        app.clock.set_back(by);
        log_in(&app, PASSWORD).await.is(200);
    }
}

#[tokio::test]
async fn messages_sent_in_the_future_keep_none_back() {
    for by in AHEAD {
        let app = ahead(by).await;
        let forgot = async || {
            app.anyone().post("/auth/password/forgot", json!({ "email": ANN })).await.is(202);
            app.new_mails().await.len()
        };
        while forgot().await > 0 {}
        app.clock.set_back(by);
        assert_eq!(forgot().await, 1, "ahead by {by:?}");
    }
}

#[tokio::test]
async fn a_password_chosen_in_the_future_opens_no_limit_until_then() {
    for by in AHEAD {
        let app = ahead(by).await;
        app.anyone().from(IP).post("/auth/password/forgot", json!({ "email": ANN })).await.is(202);
        let token = app.mail(ANN).await.token().to_owned();
        let body = json!({ "token": token, "new_password": PASSWORD });
        app.anyone().from(IP).post("/auth/password/reset", body).await.is(204);
        app.clock.set_back(by);
        let guess = async |ip: String| {
            let body = json!({ "email": ANN, "password": WRONG });
            app.anyone().from(&ip).post("/auth/login", body).await.status
        };
        for number in 0..app.config.rate_limit.account_burst {
            assert_eq!(guess(format!("198.51.100.{number}")).await, 401);
        }
        assert_eq!(guess(IP.to_owned()).await, 429, "ahead by {by:?}");
    }
}

#[tokio::test]
async fn a_message_written_in_the_future_leaves_at_once() {
    for by in AHEAD {
        let app = ahead(by).await;
        app.new_mails().await;
        app.anyone().post("/auth/password/forgot", json!({ "email": ANN })).await.is(202);
        app.clock.set_back(by);
        assert_eq!(app.new_mails().await.len(), 1, "ahead by {by:?}");
    }
}

#[tokio::test]
async fn a_mail_server_that_failed_in_the_future_is_asked_now() {
    for by in AHEAD {
        let app = ahead(by).await;
        app.new_mails().await;
        app.anyone().post("/auth/password/forgot", json!({ "email": ANN })).await.is(202);
        let taken = app.outbox.take(CAPACITY).await.unwrap();
        app.outbox
            .mark_failed(
                &taken[0],
                &coffeeshop::messaging::DeliveryError::auth_rejected("refused".to_owned(), None),
            )
            .await
            .unwrap();
        app.anyone().post("/auth/password/forgot", json!({ "email": ANN })).await.is(202);
        app.clock.set_back(by);
        assert!(!app.new_mails().await.is_empty(), "ahead by {by:?}");
    }
}

#[tokio::test]
async fn a_code_from_the_future_is_good() {
    for by in AHEAD {
        let app = ahead(by).await;
        app.sign_up("bob@example.com").await;
        app.clock.set_back(by);
        app.verify("bob@example.com").await;
    }
}

#[tokio::test]
async fn the_youngest_key_signs_though_an_older_one_is_from_the_future() {
    for by in AHEAD {
        let app = ahead(by).await;
        let rotate =
            async || app.signing_keys.rotate(&Admin::from_cli(), Rotation::Gentle).await.unwrap().kid;
        rotate().await;
        app.clock.set_back(by);
        let youngest = rotate().await;
        let keys = app.signing_keys.list(&Admin::from_cli()).await.unwrap();
        assert_eq!(keys.last().unwrap().kid, youngest);
        let tokens = log_in(&app, PASSWORD).await.is(200).body;
        me(&app, &tokens).await.is(200);
    }
}
