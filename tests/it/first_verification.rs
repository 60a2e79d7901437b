//! The first verification of an account ends its sessions: it may have been made by another person than the owner of the
//! address, who alone can say so.

use std::time::Duration;

use serde_json::{Value, json};

use crate::app::{App, Caller, Mail, PASSWORD};

const ANN: &str = "ann@example.com";
const EVE: &str = "eve@example.com";
const NEW: &str = "ann.smith@example.org";
const NEXT_PASSWORD: &str = "lungo hums at dawn";

/// A session: its access token and its refresh token.
struct Session<'a> {
    app: &'a App,
    tokens: Value,
}

impl<'a> Session<'a> {
    async fn begin(app: &'a App, email: &str) -> Self {
        Self { app, tokens: app.tokens(email).await }
    }

    fn token(&self, name: &str) -> &str {
        self.tokens[name].as_str().unwrap()
    }

    fn caller(&self) -> Caller<'a> {
        self.app.with_token(self.token("access_token"))
    }

    /// Whether it goes on, which uses its refresh token.
    async fn goes_on(self) -> bool {
        let body = json!({ "refresh_token": self.token("refresh_token") });
        let renewed = self.app.anyone().post("/auth/refresh", body).await;
        let status = self.caller().get("/me").await.status;
        assert!(renewed.status == 200 || status == 401, "an access token counts without its session");
        renewed.status == 200
    }
}

fn by_link(mail: &Mail) -> Value {
    json!({ "token": mail.token() })
}

fn by_code(mail: &Mail) -> Value {
    json!({ "email": mail.to, "code": mail.code })
}

/// An unverified account with two sessions, and the message that verifies it.
async fn two_sessions(app: &App) -> (Session<'_>, Session<'_>, Mail) {
    app.sign_up(ANN).await;
    let mail = app.mail(ANN).await;
    (Session::begin(app, ANN).await, Session::begin(app, ANN).await, mail)
}

#[tokio::test]
async fn the_session_whose_token_comes_along_goes_on_alone() {
    for proof in [by_link, by_code] {
        let app = App::start().await;
        let (own, other, mail) = two_sessions(&app).await;
        own.caller().post("/auth/verify", proof(&mail)).await.is(200);
        assert_eq!(own.caller().me().await["status"], "verified");
        other.caller().get("/me").await.refused(401, "invalid_token");
        assert!(!other.goes_on().await);
        assert!(own.goes_on().await);
    }
}

#[tokio::test]
async fn without_a_token_every_session_ends() {
    for proof in [by_link, by_code] {
        let app = App::start().await;
        let (one, other, mail) = two_sessions(&app).await;
        app.anyone().post("/auth/verify", proof(&mail)).await.is(200);
        assert!(!one.goes_on().await && !other.goes_on().await);
        app.log_in(ANN).await.get("/me").await.is(200);
    }
}

#[tokio::test]
async fn a_token_that_has_expired_spares_its_session() {
    let app = App::start().await;
    let (own, other, mail) = two_sessions(&app).await;
    app.wait(Duration::from_mins(16));
    own.caller().get("/me").await.refused(401, "invalid_token");
    own.caller().post("/auth/verify", by_link(&mail)).await.is(200);
    assert!(own.goes_on().await && !other.goes_on().await);
}

#[tokio::test]
async fn a_token_that_names_no_session_of_the_account_spares_none() {
    let app = App::start().await;
    let eve = app.signed_in(EVE).await.token.unwrap();
    for bad in ["another account's", "garbage", "a refresh token", "of an ended session", "twice", "basic"] {
        let (own, other, mail) = two_sessions(&app).await;
        let good = own.token("access_token").to_owned();
        let caller = match bad {
            "another account's" => app.with_token(&*eve),
            "garbage" => app.with_token("garbage"),
            "a refresh token" => app.with_token(own.token("refresh_token")),
            "of an ended session" => {
                let body = json!({ "refresh_token": own.token("refresh_token") });
                app.anyone().post("/auth/logout", body).await.is(204);
                own.caller()
            }
            "twice" => own.caller().header("authorization", format!("Bearer {good}")),
            _ => app.anyone().header("authorization", format!("Basic {good}")),
        };
        caller.post("/auth/verify", by_link(&mail)).await.is(200);
        assert!(!own.goes_on().await && !other.goes_on().await, "{bad}");
        let left = json!({ "current_password": PASSWORD });
        app.log_in(ANN).await.send(poem::http::Method::DELETE, "/me", Some(left)).await.is(204);
    }
    app.with_token(eve).get("/me").await.is(200);
}

#[tokio::test]
async fn a_wrong_proof_ends_no_session() {
    let app = App::start().await;
    let (own, other, _) = two_sessions(&app).await;
    let wrong = json!({ "token": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" });
    own.caller().post("/auth/verify", wrong).await.refused(400, "verification_failed");
    assert!(own.goes_on().await && other.goes_on().await);
}

#[tokio::test]
async fn a_first_verification_by_a_new_address_spares_it_as_well() {
    let app = App::start().await;
    let (own, other, _) = two_sessions(&app).await;
    let body = json!({ "new_email": NEW, "current_password": PASSWORD });
    own.caller().post("/me/email", body).await.is(202);
    own.caller().post("/auth/verify", by_link(&app.mail(NEW).await)).await.is(200);
    assert!(own.goes_on().await && !other.goes_on().await);
}

#[tokio::test]
async fn a_new_address_of_a_verified_account_spares_no_session() {
    let app = App::start().await;
    app.signed_in(ANN).await;
    let own = Session::begin(&app, ANN).await;
    let body = json!({ "new_email": NEW, "current_password": PASSWORD });
    own.caller().post("/me/email", body).await.is(202);
    own.caller().post("/auth/verify", by_link(&app.mail(NEW).await)).await.is(200);
    assert!(!own.goes_on().await);
}

#[tokio::test]
async fn a_user_whom_an_admin_verifies_logs_in_again() {
    let app = App::start().await;
    let boss = app.admin().await;
    let (one, other, _) = two_sessions(&app).await;
    let path = format!("/users/{}", one.caller().id().await);
    boss.patch(&path, json!({ "status": "verified" })).await.is(200);
    assert!(!one.goes_on().await && !other.goes_on().await);
}

#[tokio::test]
async fn a_user_made_unverified_is_logged_out_if_they_may_not_log_in() {
    for (may_log_in, status) in [(true, 200), (false, 401)] {
        let app = App::with(|config| config.auth.allow_unverified_login = may_log_in).await;
        let boss = app.admin().await;
        let ann = app.signed_in(ANN).await;
        let path = format!("/users/{}", ann.id().await);
        boss.patch(&path, json!({ "status": "unverified" })).await.is(200);
        assert_eq!(ann.get("/me").await.status, status);
    }
}

/// What the page says after the button of the link was pressed.
async fn confirmed_on_the_page(app: &App, mail: &Mail) -> String {
    app.anyone().form("/verify", &[("do", "confirm"), ("token", mail.token())]).await.is(200).text()
}

/// The token in the form of a page.
fn offered(page: &str) -> &str {
    page.split_once("name=\"token\" value=\"").unwrap().1.split('"').next().unwrap()
}

async fn choose(app: &App, token: &str, password: &str) -> String {
    let form =
        [("do", "choose"), ("token", token), ("new_password", password), ("repeat_password", password)];
    app.anyone().form("/reset", &form).await.is(200).text()
}

#[tokio::test]
async fn the_page_ends_every_session_and_offers_to_choose_a_password() {
    let app = App::start().await;
    let (one, other, mail) = two_sessions(&app).await;
    let page = confirmed_on_the_page(&app, &mail).await;
    assert!(page.contains("Your address is confirmed") && page.contains("new-password"), "{page}");
    assert!(!one.goes_on().await && !other.goes_on().await);
    let chosen = choose(&app, offered(&page), NEXT_PASSWORD).await;
    assert!(chosen.contains("Your password is set"), "{chosen}");
    app.log_in_with(ANN, PASSWORD).await.refused(401, "invalid_credentials");
    app.log_in_with(ANN, NEXT_PASSWORD).await.is(200);
    let again = choose(&app, offered(&page), PASSWORD).await;
    assert!(again.contains("This link no longer works"), "{again}");
}

#[tokio::test]
async fn a_password_that_breaks_a_rule_is_asked_for_again() {
    let app = App::start().await;
    let (.., mail) = two_sessions(&app).await;
    let page = confirmed_on_the_page(&app, &mail).await;
    let again = choose(&app, offered(&page), "short").await;
    assert!(again.contains("The new password") && again.contains("new-password"), "{again}");
    let chosen = choose(&app, offered(&again), NEXT_PASSWORD).await;
    assert!(chosen.contains("Your password is set"), "{chosen}");
}

#[tokio::test]
async fn the_offer_to_choose_a_password_lasts_an_hour() {
    let app = App::start().await;
    let (.., mail) = two_sessions(&app).await;
    let page = confirmed_on_the_page(&app, &mail).await;
    app.wait(Duration::from_hours(1));
    let late = choose(&app, offered(&page), NEXT_PASSWORD).await;
    assert!(late.contains("This link no longer works"), "{late}");
    app.log_in_with(ANN, PASSWORD).await.is(200);
}

#[tokio::test]
async fn a_new_address_confirmed_on_the_page_offers_a_password_too() {
    let app = App::start().await;
    let ann = app.signed_in(ANN).await;
    let body = json!({ "new_email": NEW, "current_password": PASSWORD });
    ann.post("/me/email", body).await.is(202);
    let page = confirmed_on_the_page(&app, &app.mail(NEW).await).await;
    choose(&app, offered(&page), NEXT_PASSWORD).await;
    app.log_in_with(NEW, NEXT_PASSWORD).await.is(200);
}
