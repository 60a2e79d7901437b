//! Signing keys: rotated without effect on users, or in an emergency with all sessions ended.

use std::{thread, time::Duration};

use coffeeshop::auth::Rotation;
use coffeeshop::core::Admin;
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::{
    app::{App, MOMENT, PASSWORD},
    shop::Shop,
};

const ANN: &str = "ann@example.com";

async fn rotate(app: &App, rotation: Rotation) -> String {
    app.signing_keys.rotate(&Admin::from_cli(), rotation).await.unwrap().kid
}

async fn published(app: &App) -> Vec<String> {
    let set = app.anyone().get("/.well-known/jwks.json").await.is(200).body;
    set["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

fn kid(token: &Value) -> String {
    use base64::Engine as _;
    let head = token.as_str().unwrap().split('.').next().unwrap();
    let head = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(head).unwrap();
    serde_json::from_slice::<Value>(&head).unwrap()["kid"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn after_a_rotation_old_tokens_go_on_and_new_ones_have_the_new_key() {
    let app = App::start().await;
    app.sign_up(ANN).await;
    let old = app.tokens(ANN).await;
    let first = published(&app).await;
    for _ in 0..2 {
        rotate(&app, Rotation::Gentle).await;
    }
    let new = rotate(&app, Rotation::Gentle).await;
    assert_eq!(published(&app).await.len(), 4);
    assert_eq!(published(&app).await.last(), Some(&new));
    app.with_token(old["access_token"].as_str().unwrap()).get("/me").await.is(200);
    assert_eq!(kid(&old["access_token"]), first[0]);
    let refresh = json!({ "refresh_token": old["refresh_token"] });
    let renewed = app.anyone().post("/auth/refresh", refresh).await.is(200).body;
    assert_eq!((kid(&renewed["access_token"]), kid(&renewed["refresh_token"])), (new.clone(), new));
}

#[tokio::test]
async fn a_retired_key_goes_when_nothing_that_it_signed_can_be_valid() {
    let app = App::start().await;
    let old = published(&app).await;
    let new = rotate(&app, Rotation::Gentle).await;
    let clean_up = async || {
        let plan =
            app.purge.plan(coffeeshop::operations::PurgeScope::Expired, coffeeshop::domain::Origin::job());
        app.purge.run(&plan, |_| {}).await.unwrap();
    };
    app.wait(Duration::from_hours(90 * 24));
    clean_up().await;
    assert_eq!(published(&app).await, [old[0].clone(), new.clone()]);
    app.wait(Duration::from_hours(2));
    clean_up().await;
    assert_eq!(published(&app).await, [new]);
}

#[tokio::test]
async fn after_an_emergency_nothing_of_before_is_valid() {
    let app = App::start().await;
    app.sign_up(ANN).await;
    let (old, before) = (app.tokens(ANN).await, published(&app).await);
    let new = rotate(&app, Rotation::Emergency).await;
    assert_eq!(published(&app).await, [new]);
    app.with_token(old["access_token"].as_str().unwrap()).get("/me").await.refused(401, "invalid_token");
    let refresh = json!({ "refresh_token": old["refresh_token"] });
    app.anyone().post("/auth/refresh", refresh).await.refused(401, "invalid_refresh_token");
    app.log_in(ANN).await.get("/me").await.is(200);
    assert_ne!(published(&app).await, before);
    let events = "SELECT count(*) FROM audit_events WHERE action = 'sessions.ended' AND channel = 'cli'";
    assert_eq!(app.stored::<i64>(events), 1);
}

#[tokio::test]
async fn another_server_on_the_store_takes_a_token_of_a_new_key_at_once() {
    let app = App::start().await;
    app.sign_up(ANN).await;
    let twin = app.beside(|_| {}).await;
    rotate(&app, Rotation::Gentle).await;
    let tokens = app.tokens(ANN).await;
    twin.with_token(tokens["access_token"].as_str().unwrap()).get("/me").await.is(200);
    assert_eq!(published(&twin).await, published(&app).await);
    let another = app.beside(|_| {}).await;
    rotate(&app, Rotation::Gentle).await;
    let refresh = json!({ "refresh_token": app.tokens(ANN).await["refresh_token"] });
    another.anyone().post("/auth/refresh", refresh).await.is(200);
    assert_eq!(published(&another).await, published(&app).await);
}

#[tokio::test]
async fn many_tokens_of_a_new_key_at_once_are_all_taken_by_another_server() {
    let app = App::start().await;
    app.sign_up(ANN).await;
    let twin = app.beside(|_| {}).await;
    rotate(&app, Rotation::Gentle).await;
    let ann = twin.with_token(app.tokens(ANN).await["access_token"].as_str().unwrap());
    let answers = join_all((0..20).map(|_| ann.get("/me"))).await;
    assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
}

#[tokio::test]
async fn another_server_reloads_keys_at_most_once_a_second() {
    let app = App::start().await;
    app.sign_up(ANN).await;
    let twin = app.beside(|_| {}).await;
    let fresh = async || {
        rotate(&app, Rotation::Gentle).await;
        app.tokens(ANN).await["access_token"].as_str().unwrap().to_owned()
    };
    let old = app.tokens(ANN).await["access_token"].as_str().unwrap().to_owned();
    let broken = format!("{}.{}", old.rsplit_once('.').unwrap().0, "A".repeat(86));
    for nonsense in ["x", broken.as_str()] {
        twin.with_token(nonsense).get("/me").await.refused(401, "invalid_token");
    }
    twin.with_token(fresh().await).get("/me").await.is(200); // none of that made it look
    let newer = fresh().await;
    twin.with_token(&newer).get("/me").await.refused(401, "invalid_token");
    twin.wait_nearly(Duration::from_secs(1));
    twin.with_token(&newer).get("/me").await.refused(401, "invalid_token");
    twin.wait(MOMENT);
    twin.with_token(&newer).get("/me").await.is(200);
}

#[test]
fn an_emergency_rotation_that_ended_sessions_does_not_fail() {
    let shop = Shop::with_admin();
    let server = shop.serve();
    let token = server.token("boss@example.com");
    // The new key cannot be read once it is there.
    shop.sql.execute(shop.sql.either(
        "CREATE TRIGGER broken AFTER INSERT ON signing_keys BEGIN UPDATE signing_keys SET private_key = x'00'; END",
        "CREATE FUNCTION broken() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN UPDATE signing_keys SET private_key = '\\x00'; RETURN NULL; END $$;
         CREATE TRIGGER broken AFTER INSERT ON signing_keys FOR EACH ROW EXECUTE FUNCTION broken()",
    ));
    let ran = shop.run(&["keys", "rotate", "--emergency", "--yes"]).is(0);
    assert!(ran.err.contains("cannot be read"), "{ran:?}");
    server.get_as(&token, "/me").is(401);
}

#[test]
fn the_command_line_exchanges_the_keys_of_a_running_server() {
    let shop = Shop::new();
    shop.create_admin("boss@example.com").is(0);
    let server = shop.serve();
    let token = server.token("boss@example.com");
    let new = shop.run(&["keys", "rotate", "--json"]).is(0).json()["kid"].as_str().unwrap().to_owned();
    let listed = shop.run(&["keys", "list", "--json"]).is(0).json();
    let kids: Vec<_> = listed["items"].as_array().unwrap().iter().map(|key| &key["kid"]).collect();
    assert_eq!((kids.len(), kids[1]), (2, &json!(new)));
    server.get_as(&token, "/me").is(200);
    crate::shop::wait_for("the server to sign with the new key", || {
        thread::sleep(Duration::from_millis(100)); // a hundred logins would end the first session
        let tokens = server.log_in("boss@example.com").is(200).json();
        (kid(&tokens["access_token"]) == new).then_some(())
    });
    shop.run(&["keys", "rotate", "--emergency"])
        .refused("not a terminal: the command cannot ask for confirmation")
        .hint("--yes");
    server.get_as(&token, "/me").is(200);
    shop.run(&["keys", "rotate", "--emergency", "--yes"]).is(0);
    server.get_as(&token, "/me").is(401);
    server.post("/auth/login", &json!({ "email": "boss@example.com", "password": PASSWORD })).is(200);
}
