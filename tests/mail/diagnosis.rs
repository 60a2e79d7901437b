//! Errors of a mail server: each is named, and affects only the messages that it concerns.

use rustix::process::Signal;

use crate::{
    mail_server,
    proxy::{Manner, Proxy},
    server::{Listener, MailServer},
    shop,
    shop::Shop,
    shop_behind, tried, waiting,
};

fn says(shop: &Shop, hint: &str) {
    shop.run(&["messages", "test", "--to", "hint@example.com"]).refused(hint);
}

#[test]
#[ignore = "needs a mail server: .ci/run starts it"]
fn one_recipient_that_times_out_delays_no_other() {
    let proxy =
        Proxy::start(mail_server().port(Listener::Plain), Manner::SilentFrom("RCPT TO:<poison@example.com>"));
    let shop = shop_behind(proxy.port()).with("SMTP__TIMEOUT", "2s");
    let server = shop.serve();
    server.sign_up("poison@example.com").is(201);
    for number in 0..4 {
        server.sign_up(&format!("behind-{number}@example.com")).is(201);
    }
    tried(&shop, "poison@example.com", 3);
    let left: Vec<_> = waiting(&shop).iter().map(|message| message["to"].to_string()).collect();
    assert_eq!(left, ["\"poison@example.com\""]);
    drop(server);
}

#[test]
#[ignore = "needs a mail server: .ci/run starts it"]
fn a_sender_with_a_non_ascii_domain_sends() {
    let proxy = Proxy::start(mail_server().port(Listener::Plain), Manner::Honest);
    let shop = shop_behind(proxy.port()).with("MESSAGES__FROM", "post@bücher.example");
    shop.run(&["messages", "test", "--to", "own-domain@example.com"]).is(0);
    let mail = mail_server().mail_to("own-domain@example.com");
    assert!(mail.message_id().ends_with("@xn--bcher-kva.example>"), "{}", mail.message_id());
    assert!(proxy.heard().is_ascii());
}

#[test]
#[ignore = "needs a mail server: .ci/run starts it"]
fn a_server_that_wants_tls_first_is_not_blamed_on_the_sender() {
    let shop = Shop::new()
        .with("MESSAGES__TRANSPORT", "smtp")
        .with("SMTP__HOST", "localhost")
        .with("SMTP__SECURITY", "none")
        .with("SMTP__PORT", mail_server().port(Listener::StartTls).to_string());
    says(&shop, "smtp.security");
}

#[test]
#[ignore = "needs a mail server: .ci/run starts it"]
fn a_login_that_is_missing_is_named() {
    let shop = Shop::new()
        .with("MESSAGES__TRANSPORT", "smtp")
        .with("SMTP__HOST", "localhost")
        .with("SMTP__CA_FILE", mail_server().ca_file().to_str().unwrap())
        .with("SMTP__PORT", mail_server().port(Listener::Tls).to_string());
    says(&shop, "smtp.username");
}

#[test]
#[ignore = "needs a mail server: .ci/run starts it"]
fn a_port_that_waits_for_tls_gets_a_hint_at_the_security() {
    let shop =
        shop(mail_server(), Listener::Tls).with("SMTP__SECURITY", "starttls").with("SMTP__TIMEOUT", "2s");
    says(&shop, "smtp.security");
}

#[test]
#[ignore = "needs a mail server: .ci/run starts it"]
fn a_file_without_a_certificate_is_refused() {
    says(&shop(mail_server(), Listener::Tls).with("SMTP__CA_FILE", "/etc/passwd"), "holds no certificate");
}

#[test]
#[ignore = "needs a mail server: .ci/run starts it"]
fn a_shop_name_that_makes_a_line_too_long_is_refused() {
    says(
        &shop(mail_server(), Listener::Tls).with("MESSAGES__SHOP_NAME", "x".repeat(1500)),
        "messages.shop_name",
    );
}

#[test]
#[ignore = "needs a mail server: .ci/run starts it"]
fn a_delivery_error_is_one_object_in_the_log() {
    let mut down = MailServer::start();
    down.stop();
    let shop = shop(&down, Listener::Tls).with("LOG__FORMAT", "json");
    let server = shop.serve();
    server.sign_up("json@example.com").is(201);
    tried(&shop, "json@example.com", 1);
    let log = server.stop(Signal::TERM).err;
    for line in log.lines() {
        assert_eq!(line.matches("\"message\":").count(), 1, "{line}");
    }
}

#[test]
#[ignore = "needs a mail server: .ci/run starts it"]
fn a_full_mail_server_gets_the_mail_within_a_minute_of_having_room() {
    let proxy = Proxy::start(mail_server().port(Listener::Plain), Manner::Full);
    let shop = shop_behind(proxy.port());
    let server = shop.serve();
    server.sign_up("room@example.com").is(201);
    for _ in 0..2 {
        tried(&shop, "room@example.com", 1);
        shop.sql.execute("UPDATE outbox SET due_at = 0, attempts = 50, last_error = NULL");
    }
    let message = tried(&shop, "room@example.com", 51);
    let due_at: String = message["due_at"].as_str().unwrap().to_owned();
    let left = chrono::DateTime::parse_from_rfc3339(&due_at).unwrap().timestamp_millis()
        - coffeeshop::domain::Clock::system().now().millis();
    assert!(left < 60_000, "{left} ms: {message}");
    drop(server);
}
