//! The whole life of an account: requests over HTTP, mails, and links opened in a browser.

use serde_json::json;

use crate::{
    Open, Post,
    browser::Browser,
    shop::{PASSWORD, Reply, wait_for},
};

const ANN: &str = "ann@example.com";
const ANN_SMITH: &str = "ann.smith@example.com";
const ANOTHER_PASSWORD: &str = "latte waits outside";

fn log_in(open: &Open, email: &str, password: &str) -> Reply {
    open.server.post("/auth/login", &json!({ "email": email, "password": password }))
}

fn token(open: &Open, email: &str, password: &str) -> String {
    log_in(open, email, password).is(200).json()["access_token"].as_str().unwrap().to_owned()
}

/// Types a new password twice, and sends it.
#[track_caller]
fn choose(browser: &Browser, password: &str) {
    browser.fill("New password", password);
    browser.fill("Repeat the new password", password);
    browser.press("Set password");
    browser.has_heading("Your password is set");
}

#[test]
#[ignore = "needs a browser and a mail server: .ci/run starts them"]
fn an_account_lives_from_sign_up_to_deletion() {
    let post = Post::start();
    let open = Open::with(post.settings());
    let browser = Browser::start();

    // It is opened, and its address confirmed.
    open.server.sign_up(ANN).is(201);
    let mail = post.mail(ANN, 1);
    assert_eq!((mail.shown("Subject").as_str(), mail.code().len()), ("Confirm your e-mail", 6));
    browser.open(&mail.link_in_html());
    browser.press("Yes, confirm my address");
    browser.has_heading("Your address is confirmed");
    let ann = token(&open, ANN, PASSWORD);
    assert_eq!(open.server.get_as(&ann, "/me").is(200).json()["status"], "verified");

    // It moves to another address, of which the old one hears before and after.
    open.ask_to_change_email(ANN, ANN_SMITH);
    let notice = post.mail(ANN, 2);
    assert_eq!(notice.shown("Subject"), "Your e-mail address is about to change");
    assert!(notice.text.contains("a…@example.com") && !notice.text.contains(ANN_SMITH), "{}", notice.text);
    browser.open(&post.mail(ANN_SMITH, 1).link());
    browser.has_heading("Confirm your new address");
    browser.says(ANN_SMITH);
    browser.press("Yes, use this address");
    browser.has_heading("Your address is confirmed");
    browser.says("Log in with this address");
    assert_eq!(post.mail(ANN, 3).shown("Subject"), "Your e-mail address was changed");
    open.server.get_as(&ann, "/me").is(401);
    log_in(&open, ANN, PASSWORD).is(401);
    log_in(&open, ANN_SMITH, PASSWORD).is(200);
    browser.open(&notice.link());
    browser.has_heading("This link no longer works");

    // Its password is forgotten.
    browser.open(&format!("{}/reset", open.url));
    browser.fill("Your e-mail address", ANN_SMITH);
    browser.press("Send me a link");
    browser.has_heading("Check your inbox");
    let mail = post.mail(ANN_SMITH, 2);
    assert_eq!(mail.shown("Subject"), "Choose a new password");
    browser.open(&mail.link());
    browser.says(ANN_SMITH);
    choose(&browser, ANOTHER_PASSWORD);
    browser.says("Log in with the new password");
    assert_eq!(post.mail(ANN_SMITH, 3).shown("Subject"), "Your password was changed");
    log_in(&open, ANN_SMITH, PASSWORD).is(401);
    let ann = token(&open, ANN_SMITH, ANOTHER_PASSWORD);

    // It takes what is known of it along, and ends.
    let export = open.server.get_as(&ann, "/me/export").is(200);
    assert!(export.body.contains(ANN_SMITH) && !export.body.contains("argon2"), "{}", export.body);
    open.send("DELETE", &ann, "/me", &json!({ "current_password": ANOTHER_PASSWORD })).is(204);
    log_in(&open, ANN_SMITH, ANOTHER_PASSWORD).is(401);
    browser.open(&format!("{}/reset", open.url));
    browser.fill("Your e-mail address", ANN_SMITH);
    browser.press("Send me a link");
    // The page says the same as for an account that exists; a later mail shows that none was sent.
    browser.has_heading("Check your inbox");
    open.server.sign_up("bob@example.com").is(201);
    post.mail("bob@example.com", 1);
    assert_eq!(post.0.mails_to(ANN).len(), 3);
    let sent = post.0.mails_to(ANN_SMITH);
    let resets = sent.iter().filter(|mail| mail.shown("Subject") == "Choose a new password");
    assert_eq!(resets.count(), 1);
}

#[test]
#[ignore = "needs a browser and a mail server: .ci/run starts them"]
fn an_invitation_is_accepted_in_the_browser() {
    let post = Post::start();
    let open = Open::with(post.settings());
    open.ask_to_invite("bob@example.com");
    let mail = post.mail("bob@example.com", 1);
    assert_eq!(mail.shown("Subject"), "You are invited to Coffee Shop");
    log_in(&open, "bob@example.com", PASSWORD).is(401);
    let browser = Browser::start();
    browser.open(&mail.link_in_html());
    browser.has_heading("Welcome! Choose a password");
    choose(&browser, PASSWORD);
    browser.says("Log in with bob@example.com");
    let bob = token(&open, "bob@example.com", PASSWORD);
    assert_eq!(open.server.get_as(&bob, "/me").is(200).json()["status"], "verified");
    browser.open(&mail.link());
    browser.has_heading("This link no longer works");
}

#[test]
#[ignore = "needs a browser and a mail server: .ci/run starts them"]
fn who_did_not_ask_for_another_address_stops_it_from_the_old_one() {
    let post = Post::start();
    let open = Open::with(post.settings());
    open.server.sign_up(ANN).is(201);
    open.confirm(&post.mail(ANN, 1));
    open.ask_to_change_email(ANN, "intruder@example.com");
    let intruder = token(&open, ANN, PASSWORD);
    let link = post.mail("intruder@example.com", 1).link();
    let browser = Browser::start();
    browser.open(&post.mail(ANN, 2).link());
    browser.has_heading("Keep your address: choose a new password");
    choose(&browser, ANOTHER_PASSWORD);
    browser.open(&link);
    browser.has_heading("This link no longer works");
    open.server.get_as(&intruder, "/me").is(401);
    log_in(&open, ANN, PASSWORD).is(401);
    log_in(&open, ANN, ANOTHER_PASSWORD).is(200);
}

#[test]
#[ignore = "needs a browser and a mail server: .ci/run starts them"]
fn the_documentation_opens_an_account_and_asks_no_other_host() {
    let open = Open::new();
    let browser = Browser::start();
    browser.resize(1280, 1600);
    browser.open(&format!("{}/docs", open.url));
    let act = |css: &str, action: &str| {
        wait_for(css, || {
            let script =
                format!("const at = document.querySelector({}); at?.{action}(); return !!at", json!(css));
            (browser.run(&script) == json!(true)).then_some(())
        });
    };
    act("[id$=-signup] .opblock-summary-control", "click");
    // The example is seen a moment before Swagger UI takes it for what is to be sent; what is typed counts at once.
    wait_for("what was typed", || {
        act("[id$=-signup] textarea", "focus");
        browser.type_keys(" ");
        let typed = "const text = document.querySelector('[id$=-signup] textarea').value; return text !== text.trim()";
        (browser.run(typed) == json!(true)).then_some(())
    });
    act("[id$=-signup] .execute", "click");
    wait_for("the answer", || {
        let status = "return document.querySelector('.live-responses-table tbody .response-col_status')?.textContent ?? ''";
        (browser.run(status).as_str()?.starts_with("201")).then_some(())
    });
    browser.picture("documentation");
    assert_eq!(open.accounts(), 2);
    let mut asked = browser.asked_for();
    asked.retain(|url| !url.starts_with(&open.url) && !url.starts_with("data:"));
    assert_eq!(asked, [""; 0]);
    assert_eq!(browser.complaints(), [""; 0]);
}
