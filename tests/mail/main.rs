//! Mails, sent to a real mail server by the real binary.

#![expect(clippy::unwrap_used, reason = "a test that is surprised has failed")]

mod attempts;
mod diagnosis;
mod form;
mod loss;
mod outages;
mod proxy;
mod secrecy;
mod server;
#[expect(dead_code, reason = "these tests need less of it")]
#[path = "../it/shop.rs"]
mod shop;
#[expect(dead_code, reason = "these tests need less of it")]
#[path = "../it/sql/mod.rs"]
mod sql;

use std::sync::OnceLock;

use rustix::process::Signal;
use serde_json::{Value, json};

use self::{
    server::{Listener, Mail, MailServer},
    shop::{PASSWORD, Ran, Server, Shop, wait_for},
};

/// The mail server of the tests that leave it alone.
fn mail_server() -> &'static MailServer {
    static MAIL_SERVER: OnceLock<MailServer> = OnceLock::new();
    MAIL_SERVER.get_or_init(MailServer::start)
}

/// A shop that sends through this listener, and logs all that it can.
fn shop(mail_server: &MailServer, listener: Listener) -> Shop {
    let settings = mail_server.settings(listener).into_iter();
    let shop = Shop::new().with("LOG__LEVEL", "trace").with("MESSAGES__FROM", "Shop <no-reply@shop.example>");
    settings.fold(shop, |shop, (name, value)| shop.with(name, value))
}

/// A shop that sends to this port, where a proxy is, in the clear.
fn shop_behind(port: u16) -> Shop {
    shop(mail_server(), Listener::Plain).with("SMTP__PORT", port.to_string())
}

/// The messages that were not sent (yet).
fn waiting(shop: &Shop) -> Vec<Value> {
    shop.run(&["messages", "list", "--json"]).is(0).json()["items"].as_array().unwrap().clone()
}

/// The first message to this address that was not sent, as soon as it was tried in vain so often.
#[track_caller]
fn tried(shop: &Shop, to: &str, attempts: u64) -> Value {
    wait_for("a message that was tried", || {
        let mut messages = waiting(shop).into_iter();
        messages.find(|message| {
            message["to"] == to
                && message["attempts"].as_u64().unwrap() >= attempts
                && message["last_error"].is_string()
        })
    })
}

/// What went wrong with the first message to this address.
#[track_caller]
fn last_error(shop: &Shop, to: &str) -> String {
    let message = tried(shop, to, 1);
    assert_eq!(message["state"], "waiting", "{message}");
    message["last_error"].as_str().unwrap().to_owned()
}

/// Waits until nothing is left to send.
#[track_caller]
fn wait_until_sent(shop: &Shop) {
    wait_for("the outbox to be empty", || (shop.count("outbox") == 0).then_some(()));
}

/// Sends a code once more.
fn resend(server: &Server, to: &str) {
    server.post("/auth/verify/resend", &json!({ "email": to })).is(202);
}

/// Stops a server, and checks that its output holds no secret.
#[track_caller]
fn stop(server: Server, mails: &[Mail]) -> Ran {
    let ran = server.stop(Signal::TERM).is(0);
    told_nothing(&ran, mails);
    ran
}

/// Whether nothing was printed that is for the reader of these mails, or for the mail server, alone.
#[track_caller]
fn told_nothing(ran: &Ran, mails: &[Mail]) {
    for printed in [&ran.out, &ran.err] {
        for secret in [PASSWORD, server::PASSWORD] {
            assert!(!printed.contains(secret), "a password in {printed}");
            let in_base64 = secrecy::in_base64(secret);
            assert!(!in_base64.iter().any(|text| printed.contains(text)), "a password in {printed}");
        }
        assert!(!printed.contains("token="), "a link in {printed}");
        for mail in mails {
            let token = mail.token();
            assert!(token.is_empty() || !printed.contains(&token), "a token in {printed}");
            let code = mail.code();
            // Times and ids have digits, too.
            let mut words = printed.split(|c: char| !(c.is_ascii_alphanumeric() || "-.:".contains(c)));
            assert!(code.is_empty() || !words.any(|word| word == code), "a code in {printed}");
        }
    }
}
