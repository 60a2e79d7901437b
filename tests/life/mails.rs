//! How mails look to their readers.

use std::{collections::BTreeMap, fs};

use serde_json::json;

use crate::{
    Open, Post,
    browser::Browser,
    pages::{LOOK, WIDER_THAN_THE_WINDOW},
};

#[test]
#[ignore = "needs a browser and a mail server: .ci/run starts them"]
fn every_mail_can_be_read_on_a_phone_in_light_and_dark() {
    let post = Post::start();
    let name = "Zwölfboxkämpferjagenviktorquerüberdengroßensylterdeich & Söhne".to_owned();
    let open = Open::with(post.settings().into_iter().chain([("MESSAGES__SHOP_NAME", name)]));
    let long = format!("new@{}.example.com", "m".repeat(60));
    open.server.sign_up("ann@example.com").is(201);
    open.confirm(&post.mail("ann@example.com", 1));
    open.ask_to_change_email("ann@example.com", &long);
    // It is for a domain that this mail server does not take; the notice to the old address shows it.
    open.ask_to_change_email("ann@example.com", "new@example.com");
    open.confirm(&post.mail("new@example.com", 1));
    open.server.post("/auth/password/forgot", &json!({ "email": "new@example.com" })).is(202);
    let reset =
        json!({ "token": post.mail("new@example.com", 2).token(), "new_password": "latte waits outside" });
    open.server.post("/auth/password/reset", &reset).is(204);
    open.ask_to_invite("bob@example.com");
    // The last that each of them gets.
    post.mail("ann@example.com", 4);
    post.mail("new@example.com", 3);
    post.mail("bob@example.com", 1);
    let mails: BTreeMap<_, _> =
        post.0.mails().into_iter().map(|mail| (mail.shown("Subject"), mail.html)).collect();
    assert_eq!(mails.len(), 7, "{:?}", mails.keys());

    let browser = Browser::start();
    for (subject, html) in mails {
        let file = open.shop.path("mail.html");
        fs::write(&file, html).unwrap();
        browser.open(&format!("file://{}", file.display()));
        for (width, height) in [(320, 568), (390, 844), (800, 600)] {
            browser.resize(width, height);
            for scheme in ["light", "dark"] {
                browser.prefer(scheme);
                browser.picture(&format!("mail-{width}-{scheme}-{}", subject.replace([' ', '/'], "-")));
                assert_eq!(browser.run(WIDER_THAN_THE_WINDOW), json!(false), "{subject} at {width}");
                assert_eq!(browser.run(LOOK), json!([]), "{subject} in the {scheme}");
            }
        }
        let asked = browser.asked_for();
        assert!(asked.iter().all(|url| url.starts_with("file:") || url.starts_with("data:")), "{asked:?}");
        assert_eq!(browser.complaints(), [""; 0], "{subject}");
    }
}
