//! The pages behind the links in messages: opening one changes nothing, a button does, and foreign input is escaped.

use std::time::Duration;

use poem::http::Method;
use serde_json::{Value, json};

use crate::app::{Answer, App, Caller, Mail, PASSWORD, encoded};

const ANN: &str = "ann@example.com";
const BOB: &str = "bob@example.com";
const NEW: &str = "ann.smith@example.org";
const NEXT_PASSWORD: &str = "lungo hums at dawn";
const FORM: &str = "application/x-www-form-urlencoded";
const HTML: &str = "text/html; charset=utf-8";
const DEAD: &str = "This link no longer works";
const PAGES: [&str; 2] = ["/verify", "/reset"];

/// A person with a browser.
fn browser(app: &App) -> Caller<'_> {
    app.anyone().header("accept", "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8")
}

fn has_type(answer: &Answer, media_type: &str) -> bool {
    answer.headers.get_all("content-type").iter().any(|value| value == media_type)
}

/// The page, which has the headers of every page.
#[track_caller]
fn html(answer: Answer) -> String {
    assert!(has_type(&answer, HTML), "{answer:?}");
    let policy = answer.header("content-security-policy");
    for rule in ["default-src 'none'", "form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'"] {
        assert!(policy.contains(rule), "{policy}");
    }
    assert!(!policy.contains("unsafe") && !policy.contains("script-src"), "{policy}");
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    assert_eq!(answer.header("referrer-policy"), "no-referrer");
    assert_eq!(answer.header("x-frame-options"), "DENY");
    assert_eq!(answer.header("cache-control"), "no-store");
    let page = String::from_utf8(answer.bytes).unwrap();
    assert!(page.starts_with("<!doctype html>") && page.trim_end().ends_with("</html>"), "{page}");
    for code in ["<script", " style=", " onclick=", " onload=", " onerror=", " onfocus=", "javascript:"] {
        assert!(!page.contains(code), "{code}: {page}");
    }
    page
}

async fn open(app: &App, path: &str) -> String {
    html(browser(app).get(path).await.is(200))
}

/// The page behind the link of a message.
async fn follow(app: &App, mail: &Mail) -> String {
    let (_, path) = mail.link.split_once("localhost:8080").unwrap();
    open(app, path).await
}

async fn press(app: &App, page: &str, deed: &str, fields: &[(&str, &str)]) -> String {
    let fields = [&[("do", deed)], fields].concat();
    html(browser(app).form(page, &fields).await.is(200))
}

async fn choose(app: &App, token: &str, password: &str) -> String {
    press(
        app,
        "/reset",
        "choose",
        &[("token", token), ("new_password", password), ("repeat_password", password)],
    )
    .await
}

/// What a page says in its first line.
fn heading(page: &str) -> &str {
    page.split_once("<h1>").unwrap().1.split_once("</h1>").unwrap().0
}

#[track_caller]
fn is_dead(page: &str, token: &str) {
    assert_eq!(heading(page), DEAD, "{page}");
    assert!(token.is_empty() || !page.contains(token), "{page}");
    assert!(!page.contains("type=\"hidden\"") && page.contains("value=\"ask\""), "{page}");
}

async fn signed_up(app: &App) -> Mail {
    app.sign_up(ANN).await;
    app.mail(ANN).await
}

async fn forgot(app: &App) -> Mail {
    app.anyone().post("/auth/password/forgot", json!({ "email": ANN })).await.is(202);
    app.mail(ANN).await
}

async fn asked(app: &App, ann: &Caller<'_>) -> Mail {
    ann.post("/me/email", json!({ "new_email": NEW, "current_password": PASSWORD })).await.is(202);
    app.mail(NEW).await
}

async fn invited(app: &App) -> (Caller<'_>, Value, Mail) {
    let boss = app.admin().await;
    let user = boss.post("/users", json!({ "email": BOB })).await.is(201).body;
    let mail = app.mail(BOB).await;
    (boss, user, mail)
}

fn dump(app: &App) -> String {
    let users = app.sql.rows("SELECT id, email, status, updated_at, password_hash FROM users ORDER BY id");
    let codes = app.sql.rows("SELECT token_hash, code_hash, tries_left FROM codes ORDER BY token_hash");
    let counts = ["sessions", "outbox", "audit_events"].map(|table| app.sql.count(table));
    format!("{users:?} {codes:?} {counts:?}")
}

#[tokio::test]
async fn opening_a_link_changes_nothing() {
    let app = App::start().await;
    let ann = app.signed_in(ANN).await;
    let (_, _, invitation) = invited(&app).await;
    let change = asked(&app, &ann).await;
    let reset = app.mail(ANN).await;
    app.sign_up("guest@example.com").await;
    let sign_up = app.mail("guest@example.com").await;
    let before = dump(&app);
    for mail in [&invitation, &change, &reset, &sign_up] {
        let (_, path) = mail.link.split_once("localhost:8080").unwrap();
        for method in [Method::HEAD, Method::GET] {
            for caller in [browser(&app), app.anyone(), ann.clone()] {
                caller.send(method.clone(), path, None).await.is(200);
            }
        }
        let page = open(&app, path).await;
        assert!(page.contains(mail.token()) && !page.contains(DEAD), "{page}");
        assert_eq!(open(&app, path).await, page);
        for deed in ["confirm", "reject", "choose", "ask"] {
            let tempting = format!("{path}&do={deed}&email={ANN}&new_password=x&repeat_password=x");
            browser(&app).get(&tempting).await.is(200);
        }
    }
    assert_eq!(dump(&app), before);
}

#[tokio::test]
async fn a_page_has_one_media_type() {
    let app = App::start().await;
    let mail = signed_up(&app).await;
    let confirmed = browser(&app).form("/verify", &[("do", "confirm"), ("token", mail.token())]).await;
    let refused = browser(&app).delete("/verify").await;
    let (open, style) = (browser(&app).get("/verify").await, browser(&app).get("/pages.css").await);
    for answer in [confirmed, refused, open, style] {
        let types: Vec<_> = answer.headers.get_all("content-type").iter().collect();
        assert_eq!(types.len(), 1, "{types:?}");
    }
}

#[tokio::test]
async fn a_head_has_the_headers_of_the_page_and_no_body() {
    let app = App::start().await;
    for path in ["/verify", "/reset", "/verify?token=x"] {
        let head = browser(&app).send(Method::HEAD, path, None).await.is(200);
        assert!(head.bytes.is_empty());
        assert!(has_type(&head, HTML), "{head:?}");
        assert!(!head.header("content-security-policy").is_empty());
    }
}

#[tokio::test]
async fn a_sign_up_is_confirmed_by_a_button() {
    let app = App::start().await;
    let mail = signed_up(&app).await;
    let page = follow(&app, &mail).await;
    assert_eq!(heading(&page), "Confirm your address");
    assert!(page.contains(ANN) && page.contains("value=\"confirm\"") && page.contains("value=\"reject\""));
    assert!(page.contains("<form method=\"post\" action=\"verify\">"), "{page}");
    let done = press(&app, "/verify", "confirm", &[("token", mail.token())]).await;
    assert!(heading(&done) == "Your address is confirmed" && done.contains(ANN), "{done}");
    assert_eq!(app.log_in(ANN).await.me().await["status"], "verified");
    for page in [
        follow(&app, &mail).await,
        press(&app, "/verify", "confirm", &[("token", mail.token())]).await,
        press(&app, "/verify", "reject", &[("token", mail.token())]).await,
    ] {
        is_dead(&page, mail.token());
    }
    assert_eq!(app.log_in(ANN).await.me().await["status"], "verified");
}

#[tokio::test]
async fn who_did_not_sign_up_has_the_account_deleted() {
    let app = App::start().await;
    let ann = app.unverified(ANN).await;
    let mail = app.mail(ANN).await;
    let page = press(&app, "/verify", "reject", &[("token", mail.token())]).await;
    assert_eq!(heading(&page), "The account was deleted");
    ann.get("/me").await.refused(401, "invalid_token");
    assert_eq!(app.stored::<i64>("SELECT count(*) FROM users"), 0);
    is_dead(&follow(&app, &mail).await, mail.token());
    is_dead(&press(&app, "/verify", "reject", &[("token", mail.token())]).await, mail.token());
    app.sign_up(ANN).await;
}

#[tokio::test]
async fn rejecting_again_and_again_buys_no_new_codes() {
    let app = App::start().await;
    for _ in 0..10 {
        let mail = signed_up(&app).await;
        assert_eq!(mail.code.len(), 6);
        press(&app, "/verify", "reject", &[("token", mail.token())]).await;
    }
    assert_eq!(signed_up(&app).await.code, "");
}

#[tokio::test]
async fn a_change_of_address_is_confirmed_by_a_button() {
    let app = App::start().await;
    let ann = app.signed_in(ANN).await;
    let mail = asked(&app, &ann).await;
    let page = follow(&app, &mail).await;
    assert_eq!(heading(&page), "Confirm your new address");
    assert!(page.contains(NEW) && !page.contains(ANN), "{page}");
    let done = press(&app, "/verify", "confirm", &[("token", mail.token())]).await;
    assert!(done.contains(NEW), "{done}");
    ann.get("/me").await.refused(401, "invalid_token");
    app.log_in_with(NEW, PASSWORD).await.is(200);
    is_dead(&follow(&app, &mail).await, mail.token());
}

#[tokio::test]
async fn who_does_not_want_the_address_moved_to_them_says_so() {
    let app = App::start().await;
    let ann = app.signed_in(ANN).await;
    let mail = asked(&app, &ann).await;
    let page = press(&app, "/verify", "reject", &[("token", mail.token())]).await;
    assert_eq!(heading(&page), "Nothing was changed");
    for dead in [json!({ "token": mail.token() }), json!({ "email": NEW, "code": mail.code })] {
        app.anyone().post("/auth/verify", dead).await.refused(400, "verification_failed");
    }
    assert_eq!(ann.me().await["email"], ANN);
    is_dead(&follow(&app, &mail).await, mail.token());
}

#[tokio::test]
async fn an_address_taken_meanwhile_is_explained_and_the_link_stays_valid() {
    let app = App::start().await;
    let ann = app.signed_in(ANN).await;
    let taker = app.signed_in(NEW).await;
    let mail = asked(&app, &ann).await;
    let page = press(&app, "/verify", "confirm", &[("token", mail.token())]).await;
    assert_eq!(heading(&page), "This address already has an account");
    assert!(!page.contains(ANN) && !page.contains(mail.token()), "{page}");
    let leave = json!({ "current_password": PASSWORD });
    taker.send(Method::DELETE, "/me", Some(leave)).await.is(204);
    press(&app, "/verify", "confirm", &[("token", mail.token())]).await;
    app.log_in_with(NEW, PASSWORD).await.is(200);
}

#[tokio::test]
async fn a_forgotten_password_is_chosen_anew_on_a_page() {
    let app = App::start().await;
    let ann = app.signed_in(ANN).await;
    let mail = forgot(&app).await;
    let page = follow(&app, &mail).await;
    assert_eq!(heading(&page), "Choose a new password");
    assert!(page.contains("autocomplete=\"username\"") && page.contains(ANN), "{page}");
    assert!(!page.contains("value=\"reject\""), "an account in use is not rejected: {page}");
    let done = choose(&app, mail.token(), NEXT_PASSWORD).await;
    assert!(heading(&done) == "Your password is set" && !done.contains(NEXT_PASSWORD), "{done}");
    ann.get("/me").await.refused(401, "invalid_token");
    app.log_in_with(ANN, NEXT_PASSWORD).await.is(200);
    for page in [follow(&app, &mail).await, choose(&app, mail.token(), PASSWORD).await] {
        is_dead(&page, mail.token());
    }
    app.log_in_with(ANN, NEXT_PASSWORD).await.is(200);
}

#[tokio::test]
async fn a_refused_password_is_explained_and_the_link_stays_valid() {
    let app = App::start().await;
    let body = json!({ "email": ANN, "password": PASSWORD, "first_name": "Wilhelmina" });
    app.anyone().post("/auth/signup", body).await.is(201);
    let mail = forgot(&app).await;
    for bad in ["short", &"a".repeat(257), "password1", "coffeeshop1", "ann@example.com", "Wilhelmina1", ""] {
        let page = choose(&app, mail.token(), bad).await;
        assert!(page.contains("role=\"alert\">The new password "), "{bad}: {page}");
        assert!(page.contains("<title>Error: ") && page.contains(mail.token()), "{bad}: {page}");
        assert!(bad.is_empty() || !page.contains(&format!("value=\"{bad}\"")) || bad == ANN, "{bad}: {page}");
        assert!(!page.contains("new_password must") && !page.contains("field"), "{bad}: {page}");
    }
    let fields = [("token", mail.token()), ("new_password", NEXT_PASSWORD), ("repeat_password", PASSWORD)];
    let page = press(&app, "/reset", "choose", &fields).await;
    assert!(page.contains("The two passwords do not match"), "{page}");
    let page = press(&app, "/reset", "choose", &fields[..2]).await;
    assert!(page.contains("The two passwords do not match"), "{page}");
    let page = press(&app, "/reset", "choose", &fields[..1]).await;
    assert!(page.contains("role=\"alert\""), "{page}");
    app.log_in_with(ANN, PASSWORD).await.is(200);
    choose(&app, mail.token(), NEXT_PASSWORD).await;
    app.log_in_with(ANN, NEXT_PASSWORD).await.is(200);
}

#[tokio::test]
async fn a_password_in_a_form_may_have_any_character() {
    let app = App::start().await;
    let password = " käse & brot = 100% + ☕; lungo ";
    app.sign_up(ANN).await;
    let mail = forgot(&app).await;
    choose(&app, mail.token(), password).await;
    app.log_in_with(ANN, password).await.is(200);
}

#[tokio::test]
async fn an_invitation_is_accepted_on_a_page() {
    let app = App::start().await;
    let (boss, user, mail) = invited(&app).await;
    let page = follow(&app, &mail).await;
    assert_eq!(heading(&page), "Welcome! Choose a password");
    assert!(page.contains(BOB) && page.contains("value=\"reject\""), "{page}");
    assert!(choose(&app, mail.token(), "password1").await.contains("role=\"alert\""));
    choose(&app, mail.token(), PASSWORD).await;
    assert_eq!(app.log_in(BOB).await.me().await["status"], "verified");
    is_dead(&press(&app, "/reset", "reject", &[("token", mail.token())]).await, mail.token());
    boss.get(&format!("/users/{}", user["id"].as_str().unwrap())).await.is(200);
}

#[tokio::test]
async fn who_does_not_want_the_account_has_it_deleted() {
    let app = App::start().await;
    let (boss, user, mail) = invited(&app).await;
    let page = press(&app, "/reset", "reject", &[("token", mail.token())]).await;
    assert_eq!(heading(&page), "The account was deleted");
    boss.get(&format!("/users/{}", user["id"].as_str().unwrap())).await.refused(404, "not_found");
    is_dead(&follow(&app, &mail).await, mail.token());
}

#[tokio::test]
async fn an_account_that_was_in_use_is_not_rejected() {
    for link in ["an invitation", "a verification"] {
        let app = App::start().await;
        let (page, id, mail) = if link == "an invitation" {
            let (boss, user, mail) = invited(&app).await;
            let id = user["id"].as_str().unwrap().to_owned();
            boss.patch(&format!("/users/{id}"), json!({ "status": "verified" })).await.is(200);
            ("/reset", id, mail)
        } else {
            let id = app.signed_in(ANN).await.id().await;
            app.wait(Duration::from_mins(1));
            let path = format!("/users/{id}");
            app.admin().await.patch(&path, json!({ "status": "unverified" })).await.is(200);
            ("/verify", id, app.mail(ANN).await)
        };
        let shown = follow(&app, &mail).await;
        assert!(shown.contains(mail.token()) && !shown.contains("value=\"reject\""), "{link}: {shown}");
        is_dead(&press(&app, page, "reject", &[("token", mail.token())]).await, mail.token());
        assert_eq!(app.stored::<i64>("SELECT count(*) FROM users WHERE role = 'user'"), 1, "{link} of {id}");
    }
}

#[tokio::test]
async fn a_page_offers_nothing_that_it_does_not_do() {
    let app = App::start().await;
    let (boss, user, mail) = invited(&app).await;
    let path = format!("/users/{}", user["id"].as_str().unwrap());
    boss.patch(&path, json!({ "status": "verified" })).await.is(200);
    let page = follow(&app, &mail).await;
    if page.contains("value=\"reject\"") {
        let done = press(&app, "/reset", "reject", &[("token", mail.token())]).await;
        assert_eq!(heading(&done), "The account was deleted");
    }
}

#[tokio::test]
async fn a_link_is_good_on_its_own_page_alone() {
    let app = App::start().await;
    let sign_up = signed_up(&app).await;
    let reset = forgot(&app).await;
    is_dead(&open(&app, &format!("/reset?token={}", sign_up.token())).await, sign_up.token());
    is_dead(&open(&app, &format!("/verify?token={}", reset.token())).await, reset.token());
    is_dead(&choose(&app, sign_up.token(), NEXT_PASSWORD).await, sign_up.token());
    is_dead(&press(&app, "/verify", "confirm", &[("token", reset.token())]).await, reset.token());
    for page in PAGES {
        is_dead(&press(&app, page, "reject", &[("token", reset.token())]).await, reset.token());
    }
    choose(&app, reset.token(), NEXT_PASSWORD).await;
    app.log_in_with(ANN, NEXT_PASSWORD).await.is(200);
}

#[tokio::test]
async fn every_dead_link_has_the_same_page() {
    let app = App::start().await;
    let (used, replaced) = (signed_up(&app).await, forgot(&app).await);
    press(&app, "/verify", "confirm", &[("token", used.token())]).await;
    forgot(&app).await;
    let expired = forgot(&app).await;
    app.wait(Duration::from_hours(1));
    let unknown = "A".repeat(43);
    for page in PAGES {
        let one = open(&app, &format!("{page}?token={unknown}")).await;
        is_dead(&one, &unknown);
        for token in
            [used.token(), replaced.token(), expired.token(), "", "x", &"x".repeat(5_000), "%00", "%C3%A9"]
        {
            let path = format!("{page}?token={token}");
            let other = browser(&app).get(&path).await;
            assert_eq!(other.is(200).text(), one, "{path}");
        }
    }
}

#[tokio::test]
async fn a_new_link_is_asked_for_on_the_page() {
    let app = App::start().await;
    let old = signed_up(&app).await;
    for page in PAGES {
        let asking = open(&app, page).await;
        assert!(asking.contains("name=\"email\"") && asking.contains("value=\"ask\""), "{asking}");
        let done = press(&app, page, "ask", &[("email", " ANN@example.com")]).await;
        assert_eq!(heading(&done), "Check your inbox");
        assert!(!done.contains("ANN@") && !done.contains("<form"), "{done}");
        let unknown = press(&app, page, "ask", &[("email", "unknown@example.com")]).await;
        assert_eq!(unknown, done, "it tells nothing about who has an account");
    }
    let mails = app.mails(ANN).await;
    let [_, verify, reset] = &mails[..] else { panic!("{mails:?}") };
    is_dead(&follow(&app, &old).await, old.token());
    assert_eq!(heading(&follow(&app, verify).await), "Confirm your address");
    assert_eq!(heading(&follow(&app, reset).await), "Choose a new password");
}

#[tokio::test]
async fn a_bad_address_is_explained_and_shown_escaped() {
    let app = App::start().await;
    let typed = "\"><script>alert(1)</script>";
    for page in PAGES {
        for wrong in ["", "ann", typed, "' onmouseover='x"] {
            let answer = browser(&app).form(page, &[("do", "ask"), ("email", wrong)]).await.is(200);
            let shown = answer.text();
            assert!(shown.contains("role=\"alert\"") && shown.contains("<title>Error: "), "{shown}");
            assert!(!shown.contains("<script") && !shown.contains("'x"), "{shown}");
        }
    }
}

#[tokio::test]
async fn a_bad_address_is_explained_on_the_page() {
    let app = App::start().await;
    for page in PAGES {
        let shown = press(&app, page, "ask", &[("email", "ann")]).await;
        assert!(!shown.contains("The field email"), "{shown}");
    }
}

#[tokio::test]
async fn the_name_of_the_shop_and_addresses_are_text_and_no_markup() {
    let app = App::with(|config| config.messages.shop_name = "<b>Beans</b> & \"Co\"".to_owned()).await;
    let email = "o'neil&co@example.com";
    app.sign_up(email).await;
    let mail = app.mail(email).await;
    for page in [follow(&app, &mail).await, open(&app, "/verify").await, open(&app, "/reset?token=x").await] {
        assert!(!page.contains("<b>") && page.contains("Beans"), "{page}");
        assert!(!page.contains("\"Co\"") && !page.contains("o'neil&"), "{page}");
    }
    let refused = html(browser(&app).delete("/verify").await.is(405));
    assert!(refused.contains("Beans") && !refused.contains("<b>"), "{refused}");
    let token = "\"><b>x</b>";
    let page = open(&app, &format!("/verify?token={}", encoded(token))).await;
    assert!(!page.contains("<b>"), "{page}");
}

#[tokio::test]
async fn a_body_that_is_no_form_is_refused() {
    let app = App::start().await;
    let mail = signed_up(&app).await;
    let token = mail.token();
    let body = format!("do=confirm&token={token}");
    for page in PAGES {
        for media_type in ["application/json", "text/plain", "multipart/form-data; boundary=x", ""] {
            let sent =
                app.anyone().send_bytes(Method::POST, page, media_type, body.clone().into_bytes()).await;
            sent.refused(415, "unsupported_media_type");
        }
        app.anyone().send(Method::POST, page, None).await.refused(415, "unsupported_media_type");
        let long = format!("{body}&x={}", "x".repeat(16 * 1024));
        app.anyone()
            .send_bytes(Method::POST, page, FORM, long.into())
            .await
            .refused(413, "payload_too_large");
        let twice = format!("{body}&token={token}");
        app.anyone()
            .send_bytes(Method::POST, page, FORM, twice.into())
            .await
            .refused(400, "malformed_request");
        app.anyone().get(&format!("{page}?token=a&token=b")).await.refused(400, "malformed_request");
    }
    assert_eq!(app.log_in(ANN).await.me().await["status"], "unverified");
    let charset = format!("{FORM}; charset=UTF-8");
    app.anyone().send_bytes(Method::POST, "/verify", &charset, body.into()).await.is(200);
    assert_eq!(app.log_in(ANN).await.me().await["status"], "verified");
}

#[tokio::test]
async fn a_refusal_is_a_page_for_a_browser_and_a_problem_for_a_program() {
    let app = App::start().await;
    for page in PAGES {
        for (status, code, method, media_type, body) in [
            (415, "unsupported_media_type", Method::POST, "application/json", "{}".to_owned()),
            (413, "payload_too_large", Method::POST, FORM, "x".repeat(20_000)),
            (400, "malformed_request", Method::POST, FORM, "do=ask&do=ask".to_owned()),
            (405, "method_not_allowed", Method::DELETE, FORM, String::new()),
            (405, "method_not_allowed", Method::PUT, FORM, String::new()),
        ] {
            let body = body.into_bytes();
            let problem = app.anyone().send_bytes(method.clone(), page, media_type, body.clone()).await;
            problem.clone().refused(status, code);
            let shown = browser(&app).send_bytes(method, page, media_type, body).await.is(status);
            assert_eq!(shown.header("allow"), problem.header("allow"));
            if status == 405 {
                assert_eq!(shown.header("allow"), "GET, HEAD, POST");
            }
            let id = shown.header("x-request-id").to_owned();
            let text = html(shown);
            assert!(heading(&text) == "That did not work" && text.contains(&id), "{text}");
        }
    }
    browser(&app).get("/nowhere").await.refused(404, "not_found");
    browser(&app).get("/me").await.refused(401, "invalid_token");
    browser(&app).get("/auth/verify").await.refused(405, "method_not_allowed");
}

#[tokio::test]
async fn a_locked_store_is_explained_and_the_link_stays_valid() {
    let app = App::start().await;
    let mail = signed_up(&app).await;
    let lock = app.sql.lock();
    let fields = [("do", "confirm"), ("token", mail.token())];
    let (person, program) = (browser(&app), app.anyone());
    let (shown, problem) = tokio::join!(person.form("/verify", &fields), program.form("/verify", &fields));
    assert_eq!(shown.header("retry-after"), problem.header("retry-after"));
    problem.refused(503, "unavailable");
    let page = html(shown.is(503));
    assert!(!page.to_lowercase().contains("sql") && !page.contains(mail.token()), "{page}");
    lock.release();
    let done = press(&app, "/verify", "confirm", &[("token", mail.token())]).await;
    assert_eq!(heading(&done), "Your address is confirmed");
}

#[tokio::test]
async fn a_button_that_does_not_exist_does_nothing() {
    let app = App::start().await;
    let mail = signed_up(&app).await;
    let before = dump(&app);
    for page in PAGES {
        for deed in ["", "delete", "CONFIRM", "confirm ", "choose,confirm"] {
            press(&app, page, deed, &[("token", mail.token()), ("new_password", PASSWORD)]).await;
        }
        for deed in ["confirm", "reject", "choose", "ask"] {
            press(&app, page, deed, &[]).await;
        }
        html(browser(&app).form(page, &[]).await.is(200));
    }
    assert_eq!(dump(&app), before);
}

#[tokio::test]
async fn a_forged_host_changes_no_link() {
    let app = App::start().await;
    let forged = browser(&app)
        .header("host", "evil.example")
        .header("x-forwarded-host", "evil.example")
        .header("x-forwarded-proto", "https")
        .header("forwarded", "host=evil.example")
        .header("origin", "https://evil.example");
    forged.post("/auth/signup", json!({ "email": ANN, "password": PASSWORD })).await.is(201);
    let mail = app.mail(ANN).await;
    let (_, path) = mail.link.split_once("localhost:8080").unwrap();
    let page = html(forged.get(path).await.is(200));
    assert!(!page.contains("evil"), "{page}");
    for page in PAGES {
        let asked = html(forged.form(page, &[("do", "ask"), ("email", ANN)]).await.is(200));
        assert!(!asked.contains("evil"), "{asked}");
    }
    let boss = app.admin().await.header("host", "evil.example");
    boss.post("/users", json!({ "email": BOB })).await.is(201);
    assert!(!app.printed().await.contains("evil"));
    assert_eq!(app.mails(ANN).await.len(), 3);
}

#[tokio::test]
async fn links_go_to_the_pages_of_the_shop_where_it_has_some() {
    let app = App::with(|config| {
        config.server.public_url = "https://shop.example/coffee".to_owned();
        config.server.reset_url = "https://shop.example/new-password".to_owned();
    })
    .await;
    let mail = signed_up(&app).await;
    assert!(mail.link.starts_with("https://shop.example/coffee/verify?token="), "{}", mail.link);
    assert!(forgot(&app).await.link.starts_with("https://shop.example/new-password?token="));
}

#[tokio::test]
async fn links_fit_routes_and_parameters_of_the_shops_pages() {
    let app = App::with(|config| {
        config.server.verify_url = "https://shop.example/#/verify".to_owned();
        config.server.reset_url = "https://shop.example/?page_id=5".to_owned();
    })
    .await;
    let link = signed_up(&app).await.link;
    let token = link.strip_prefix("https://shop.example/#/verify?token=").unwrap();
    app.anyone().post("/auth/verify", json!({ "token": token })).await.is(200);
    let link = forgot(&app).await.link;
    let token = link.strip_prefix("https://shop.example/?page_id=5&token=").unwrap();
    let body = json!({ "token": token, "new_password": "espresso drips quietly" });
    app.anyone().post("/auth/password/reset", body).await.is(204);
}

#[tokio::test]
async fn the_style_is_ours_and_loads_nothing() {
    let app = App::start().await;
    let style = app.anyone().get("/pages.css").await.is(200);
    assert!(has_type(&style, "text/css; charset=utf-8"), "{style:?}");
    let text = style.text();
    assert!(!text.contains("@import") && !text.contains("url("), "{text}");
    let refused = app.anyone().post("/pages.css", None).await.refused(405, "method_not_allowed");
    assert_eq!(refused.header("allow"), "GET, HEAD");
    for path in PAGES {
        let page = open(&app, path).await;
        assert!(page.contains("href=\"pages.css\""), "{page}");
        for elsewhere in ["http://", "https://", "src=", "url("] {
            assert!(!page.contains(elsewhere), "{elsewhere}: {page}");
        }
    }
}

#[tokio::test]
async fn a_page_needs_no_session_and_takes_none() {
    let app = App::start().await;
    let mail = signed_up(&app).await;
    let bob = app.signed_in(BOB).await.header("accept", "text/html").header("cookie", "session=1");
    let answer = bob.form("/verify", &[("do", "confirm"), ("token", mail.token())]).await.is(200);
    assert_eq!(answer.header("set-cookie"), "");
    let event = app.events().await.pop().unwrap();
    assert_eq!((&event["action"], &event["actor_id"]), (&json!("user.verified"), &Value::Null));
}

#[tokio::test]
async fn a_panic_shows_a_page_without_internals() {
    let app = App::start().await;
    let mail = signed_up(&app).await;
    // A rule that the program does not know of.
    app.execute("CREATE UNIQUE INDEX one_each ON audit_events (user_id)");
    let confirm = [("do", "confirm"), ("token", mail.token())];
    let shown = browser(&app).form("/verify", &confirm).await.is(500);
    let id = shown.header("x-request-id").to_owned();
    let page = html(shown);
    assert!(page.contains(&id) && !page.contains(mail.token()), "{page}");
    for word in ["unique", "taken", "sql", "audit", "panic", "src/"] {
        assert!(!page.to_lowercase().contains(word), "{word}: {page}");
    }
}
