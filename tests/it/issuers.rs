//! Tokens when `server.public_url` changes, or when two servers on one database have different public URLs.

use std::time::Duration;

use coffeeshop::{config::Config, domain::Origin, operations::PurgeScope};
use serde_json::{Value, json};

use crate::{
    app::{Answer, App},
    tokens::{own_key, read, refused_as_access, signed, with},
};

const ANN: &str = "ann@example.com";
const HOUR: Duration = Duration::from_hours(1);
const SHOP: &str = "https://shop.example";

fn live(config: &mut Config) {
    SHOP.clone_into(&mut config.server.public_url);
}

async fn refresh(app: &App, tokens: &Value) -> Answer {
    let body = json!({ "refresh_token": tokens["refresh_token"] });
    app.anyone().post("/auth/refresh", body).await
}

async fn me(app: &App, tokens: &Value) -> Answer {
    app.with_token(tokens["access_token"].as_str().unwrap()).get("/me").await
}

fn issuer(tokens: &Value, name: &str) -> Value {
    read(tokens[name].as_str().unwrap()).1["iss"].clone()
}

async fn clean_up(app: &App) {
    let plan = app.purge.plan(PurgeScope::Expired, Origin::job());
    app.purge.run(&plan, |_| {}).await.unwrap();
}

#[tokio::test]
async fn a_shop_that_goes_live_logs_no_user_out() {
    let app = App::start().await;
    app.sign_up(ANN).await;
    let tokens = app.tokens(ANN).await;
    let live = app.beside(live).await;
    me(&live, &tokens).await.is(200);
    let next = refresh(&live, &tokens).await.is(200).body;
    assert_eq!(issuer(&tokens, "refresh_token"), "http://localhost:8080");
    for name in ["access_token", "refresh_token"] {
        assert_eq!(issuer(&next, name), SHOP, "{name}");
    }
    let (_, claims) = read(next["refresh_token"].as_str().unwrap());
    assert_eq!(claims["aud"], "https://shop.example/auth/refresh");
    me(&live, &next).await.is(200);
    refresh(&live, &next).await.is(200);
}

#[tokio::test]
async fn servers_of_one_store_take_tokens_of_each_others_issuers() {
    let app = App::start().await;
    app.sign_up(ANN).await;
    let live = app.beside(live).await;
    let tokens = live.tokens(ANN).await;
    me(&app, &tokens).await.is(200);
    let tokens = app.beside(|_| {}).await.tokens(ANN).await;
    me(&live, &refresh(&live, &tokens).await.is(200).body).await.is(200);
    app.wait(Duration::from_secs(1));
    let third = app.beside(|config| config.auth.issuer = "tea".to_owned()).await;
    refresh(&app, &third.tokens(ANN).await).await.is(200);
}

#[tokio::test]
async fn a_token_of_another_issuer_and_the_audience_of_ours_is_refused() {
    let app = App::start().await;
    app.sign_up(ANN).await;
    let tokens = app.tokens(ANN).await;
    let live = app.beside(live).await;
    live.tokens(ANN).await;
    let (header, claims) = read(tokens["refresh_token"].as_str().unwrap());
    let key = own_key(&app);
    let forged = signed(&header, &with(&claims, "iss", json!(SHOP)), |m| key.sign(m).as_ref().to_vec());
    let body = json!({ "refresh_token": forged });
    app.anyone().post("/auth/refresh", body).await.refused(401, "invalid_refresh_token");
}

#[tokio::test]
async fn an_issuer_is_forgotten_once_none_of_its_tokens_can_live() {
    let app = App::start().await;
    app.sign_up(ANN).await;
    app.verify(ANN).await;
    let live = app.beside(live).await;
    live.tokens(ANN).await;
    app.wait(90 * 24 * HOUR + HOUR);
    let (header, claims) = read(app.tokens(ANN).await["access_token"].as_str().unwrap());
    let key = own_key(&app);
    let forged = signed(&header, &with(&claims, "iss", json!(SHOP)), |m| key.sign(m).as_ref().to_vec());
    clean_up(&app).await;
    app.with_token(&forged).get("/me").await.is(200);
    app.wait(Duration::from_secs(1));
    clean_up(&app).await;
    refused_as_access(&app, &forged, "a forgotten issuer").await;
    assert_eq!(app.stored::<String>("SELECT string_agg(issuer, ',') FROM issuers"), "http://localhost:8080");
}

#[tokio::test]
async fn an_issuer_in_use_is_not_forgotten() {
    let app = App::start().await;
    app.sign_up(ANN).await;
    app.verify(ANN).await;
    let mut tokens = app.tokens(ANN).await;
    for _ in 0..3 {
        app.wait(29 * 24 * HOUR);
        tokens = refresh(&app, &tokens).await.is(200).body;
    }
    app.wait(4 * HOUR * 24);
    clean_up(&app).await;
    assert_eq!(app.stored::<i64>("SELECT count(*) FROM issuers"), 1);
    tokens = app.tokens(ANN).await;
    me(&app.beside(live).await, &tokens).await.is(200);
}
