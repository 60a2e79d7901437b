//! `coffeeshop messages test`: it sends a mail, or names the error and a hint in one line.

use std::net::TcpListener;

use crate::{
    mail_server,
    proxy::{Manner, Proxy},
    server::{DISLIKED, FULL, Listener, REFUSED, REFUSED_SENDER},
    shop,
    shop::{Ran, Shop},
    told_nothing,
};

const TO: &str = "test@example.com";
const UNKNOWN: &str = "it is from an authority that is not trusted here";

/// Tries the settings; whatever comes of it, nothing is told that should not be.
fn test(shop: &Shop, to: &str) -> Ran {
    let ran = shop.run(&["messages", "test", "--to", to]);
    told_nothing(&ran, &[]);
    ran
}

/// Whether the settings are refused in just this line.
#[track_caller]
fn fails(shop: &Shop, to: &str, why: &str) {
    let ran = test(shop, to).is(1);
    assert_eq!((ran.out.as_str(), ran.err.as_str()), ("", format!("error: {why}\n").as_str()));
}

#[test]
#[ignore = "needs a mail server: .ci/run starts it"]
fn working_settings_send_a_mail_on_every_port() {
    for listener in [Listener::Tls, Listener::StartTls, Listener::Plain] {
        let to = format!("test-{}@example.com", listener.security());
        let ran = test(&shop(mail_server(), listener), &to).is(0);
        let port = mail_server().port(listener);
        let expected = format!("localhost:{port} accepted a message to {to}\n");
        assert_eq!((ran.out.as_str(), ran.err.as_str()), ("", expected.as_str()));
        let mail = mail_server().mail_to(&to);
        assert_eq!(mail.shown("Subject"), "A test message from Coffee Shop");
        assert!(mail.code().is_empty() && mail.link().is_empty() && mail.text.contains("If you can read it"));
    }
}

#[test]
#[ignore = "needs a mail server: .ci/run starts it"]
fn a_name_that_does_not_exist_is_named() {
    let shop = shop(mail_server(), Listener::Tls).with("SMTP__HOST", "mail.invalid");
    fails(&shop, TO, "the name mail.invalid cannot be found: check smtp.host");
}

#[test]
#[ignore = "needs a mail server: .ci/run starts it"]
fn a_port_that_is_not_open_is_named() {
    let unused = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let shop = shop(mail_server(), Listener::Tls).with("SMTP__PORT", unused.to_string());
    let why = format!("nothing answers at localhost:{unused}: check smtp.host and smtp.port");
    fails(&shop, TO, &why);
}

#[test]
#[ignore = "needs a mail server: .ci/run starts it"]
fn a_server_that_does_not_answer_is_given_up_at_its_time() {
    let proxy = Proxy::start(mail_server().port(Listener::Tls), Manner::Silent);
    let shop = shop(mail_server(), Listener::Tls).with("SMTP__PORT", proxy.port().to_string());
    let shop = shop.with("SMTP__TIMEOUT", "1s");
    let port = proxy.port();
    fails(
        &shop,
        TO,
        &format!(
            "localhost:{port} did not answer within 1 second: check smtp.host, smtp.port and smtp.security"
        ),
    );
}

#[test]
#[ignore = "needs a mail server: .ci/run starts it"]
fn a_certificate_that_is_not_good_is_refused_and_its_fault_is_named() {
    let stranger = |listener| shop(mail_server(), listener).with("SMTP__CA_FILE", "");
    let shops = [
        (Listener::Tls, "localhost", UNKNOWN, stranger(Listener::Tls)),
        (Listener::StartTls, "localhost", UNKNOWN, stranger(Listener::StartTls)),
        (
            Listener::WrongName,
            "localhost",
            "it is for another name",
            shop(mail_server(), Listener::WrongName),
        ),
        (
            Listener::Tls,
            "127.0.0.1",
            "it is for another name",
            shop(mail_server(), Listener::Tls).with("SMTP__HOST", "127.0.0.1"),
        ),
        (Listener::Expired, "localhost", "it has expired", shop(mail_server(), Listener::Expired)),
        (
            Listener::SelfSigned,
            "localhost",
            "it is an authority's own: a server may use that only if it is itself in smtp.ca_file",
            stranger(Listener::SelfSigned),
        ),
        (
            Listener::SelfSignedExpired,
            "localhost",
            "it has expired",
            with_its_own_certificate(Listener::SelfSignedExpired),
        ),
        (
            Listener::SelfSigned,
            "127.0.0.1",
            "it is for another name",
            with_its_own_certificate(Listener::SelfSigned).with("SMTP__HOST", "127.0.0.1"),
        ),
    ];
    for (listener, host, fault, shop) in shops {
        let port = mail_server().port(listener);
        let why = format!(
            "the TLS certificate of {host}:{port} is not valid for {host} ({fault}): check smtp.host, or smtp.ca_file for an \
             authority of your own"
        );
        fails(&shop, TO, &why);
    }
}

/// A shop that trusts the certificate of the server itself.
fn with_its_own_certificate(listener: Listener) -> Shop {
    let own = mail_server().self_signed(listener);
    shop(mail_server(), listener).with("SMTP__CA_FILE", own.to_str().unwrap())
}

#[test]
#[ignore = "needs a mail server: .ci/run starts it"]
fn a_certificate_that_is_itself_in_the_file_is_trusted() {
    test(&with_its_own_certificate(Listener::SelfSigned), "self-signed@example.com").is(0);
    mail_server().mail_to("self-signed@example.com");
}

#[test]
#[ignore = "needs a mail server: .ci/run starts it"]
fn tls_on_the_wrong_port_gets_a_hint_at_the_security() {
    let wrong =
        |listener: Listener, security: &str| shop(mail_server(), listener).with("SMTP__SECURITY", security);
    let port = |listener| mail_server().port(listener);
    let at = format!("localhost:{}", port(Listener::StartTls));
    fails(
        &wrong(Listener::StartTls, "tls"),
        TO,
        &format!("{at} does not speak TLS from the first byte: try smtp.security = \"starttls\""),
    );
    let at = format!("localhost:{}", port(Listener::Plain));
    fails(
        &wrong(Listener::Plain, "starttls"),
        TO,
        &format!("{at} offers no STARTTLS, and nothing is sent in the clear: try smtp.security = \"tls\""),
    );
    // In the clear at a listener with TLS, both wait for the other to begin: only its time ends that.
    let shop = wrong(Listener::Tls, "starttls").with("SMTP__TIMEOUT", "2s");
    let ran = test(&shop, TO).is(1);
    assert!(ran.err.contains("smtp."), "{ran:?}");
}

#[test]
#[ignore = "needs a mail server: .ci/run starts it"]
fn a_wrong_login_is_named() {
    for listener in [Listener::Tls, Listener::StartTls] {
        let wrong = shop(mail_server(), listener).with("SMTP__PASSWORD_FILE", "wrong");
        std::fs::write(wrong.path("wrong"), "wrong").unwrap();
        let at = format!("error: localhost:{} refused the login (535): check ", mail_server().port(listener));
        let ran = test(&wrong, TO).refused("check smtp.username and smtp.password");
        assert!(ran.err.starts_with(&at), "{ran:?}");
    }
    // A server that wants no login offers none.
    let plain = shop(mail_server(), Listener::Plain).with("SMTP__USERNAME", "a").with("SMTP__PASSWORD", "b");
    let why = format!(
        "localhost:{} offers no login method that is supported here: check smtp.security",
        mail_server().port(Listener::Plain)
    );
    fails(&plain, TO, &why);
}

#[test]
#[ignore = "needs a mail server: .ci/run starts it"]
fn a_sender_that_is_refused_is_named_whenever_the_server_says_so() {
    // One of them says so at once, and the other when it has heard of the recipient.
    for listener in [Listener::Plain, Listener::Tls] {
        let shop = shop(mail_server(), listener).with("MESSAGES__FROM", REFUSED_SENDER);
        let why = format!(
            "localhost:{} refused the sender (554): check messages.from; it said: 5.7.1 <{REFUSED_SENDER}>: Sender \
             address rejected: not yours",
            mail_server().port(listener)
        );
        fails(&shop, TO, &why);
    }
}

#[test]
#[ignore = "needs a mail server: .ci/run starts it"]
fn a_recipient_or_a_mail_that_is_refused_is_named() {
    let shop = shop(mail_server(), Listener::Tls);
    let at = format!("localhost:{}", mail_server().port(Listener::Tls));
    let rejected = "Recipient address rejected";
    for (to, why) in [
        (REFUSED, format!("recipient (550); it said: 5.1.1 <{REFUSED}>: {rejected}: no such person here")),
        (FULL, format!("recipient (452); it said: 4.2.2 <{FULL}>: {rejected}: their mailbox is full")),
        ("a@b.example", "recipient (554); it said: 5.7.1 <a@b.example>: Relay access denied".to_owned()),
        (DISLIKED, "message (550); it said: 5.7.1 this looks like spam".to_owned()),
    ] {
        fails(&shop, to, &format!("{at} refused the {why}"));
    }
    test(&shop, "no address").refused("--to is no address");
}
