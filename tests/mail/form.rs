//! The form of a mail that arrives.

use crate::{
    mail_server,
    proxy::{Manner, Proxy},
    server::{Listener, Mail, USERNAME},
    shop,
    shop::wait_for,
    shop_behind, stop, wait_until_sent,
};

/// A mail of a shop with this name.
fn test_mail(shop_name: &str, to: &str) -> Mail {
    let shop = shop(mail_server(), Listener::Tls).with("MESSAGES__SHOP_NAME", shop_name);
    let ran = shop.run(&["messages", "test", "--to", to]).is(0);
    assert!(ran.err.ends_with(&format!(" accepted a message to {to}\n")), "{ran:?}");
    mail_server().mail_to(to)
}

#[test]
#[ignore = "needs a mail server: .ci/run starts it"]
fn mail_arrives_over_tls_starttls_and_locally_in_the_clear() {
    for (listener, with) in
        [(Listener::Tls, "ESMTPSA"), (Listener::StartTls, "ESMTPSA"), (Listener::Plain, "ESMTP")]
    {
        let shop = shop(mail_server(), listener);
        let server = shop.serve();
        let to = format!("sign-up-{}@example.com", listener.security());
        server.sign_up(&to).is(201);
        let mail = mail_server().mail_to(&to);
        assert!(mail.header("Received").contains(&format!("(Postfix) with {with} id ")), "{listener:?}");
        server.post("/auth/verify", &serde_json::json!({ "email": to, "code": mail.code() })).is(200);
        wait_until_sent(&shop);
        let ran = stop(server, &[mail]);
        assert_eq!(ran.out, "");
    }
    let log = mail_server().log();
    assert!(log.contains(&format!("sasl_method=PLAIN, sasl_username={USERNAME}")), "{log}");
}

#[test]
#[ignore = "needs a mail server: .ci/run starts it"]
fn a_mail_says_the_same_in_plain_text_and_in_html() {
    let shop = shop(mail_server(), Listener::Tls)
        .with("MESSAGES__SHOP_NAME", "Tom & Jerry's <Café>")
        .with("SERVER__PUBLIC_URL", "https://shop.example/a?b=1&c=2");
    // A query in it is refused, so that nothing in a link needs escaping.
    shop.run(&["config"]).refused("server.public_url");
    let shop = shop.with("SERVER__PUBLIC_URL", "https://shop.example/kaffee");
    let server = shop.serve();
    server.sign_up("forms@example.com").is(201);
    let mail = mail_server().mail_to("forms@example.com");
    assert_eq!(mail.kind, "multipart/alternative");
    assert!(
        mail.text.contains("Please confirm your e-mail address for your account at Tom & Jerry's <Café>."),
        "{}",
        mail.text
    );
    assert!(mail.html.contains("for your account at Tom &#38; Jerry&#39;s &#60;Café&#62;."), "{}", mail.html);
    assert!(mail.code().len() == 6 && mail.html.contains(&format!(">{}</p>", mail.code())), "{}", mail.html);
    assert!(mail.link().starts_with("https://shop.example/kaffee/verify?token="), "{}", mail.link());
    assert_eq!(mail.link_in_html(), mail.link());
    assert_eq!(mail.html.matches(&mail.link()).count(), 2, "a button, and an address to copy");
    server.post("/auth/verify", &serde_json::json!({ "token": mail.token() })).is(200);
    stop(server, &[mail]);
}

#[test]
#[ignore = "needs a mail server: .ci/run starts it"]
fn a_mail_has_the_headers_that_it_needs_and_no_others() {
    let shop = shop(mail_server(), Listener::Tls)
        .with("MESSAGES__FROM", "\"Ännas Kaffee, oben\" <no-reply@shop.example>");
    let shop = shop.with("MESSAGES__SHOP_NAME", "Ännas Kaffee");
    let server = shop.serve();
    let user = server.sign_up("headers@example.com").is(201).json();
    let mail = mail_server().mail_to("headers@example.com");
    assert_eq!(mail.from, "no-reply@shop.example");
    let headers =
        ["From", "To", "Subject", "Message-ID", "Date", "Auto-Submitted", "MIME-Version", "Content-Type"];
    assert_eq!(mail.names(), headers);
    assert_eq!(mail.shown("From"), "Ännas Kaffee, oben <no-reply@shop.example>");
    assert_eq!(mail.header("To"), "headers@example.com");
    assert_eq!(mail.header("Auto-Submitted"), "auto-generated");
    assert_eq!(mail.shown("Subject"), "Confirm your e-mail");
    let (id, domain) = mail.message_id().trim_matches(['<', '>']).split_once('@').unwrap();
    assert!(id.parse::<uuid::Uuid>().is_ok() && domain == "shop.example", "{}", mail.message_id());
    let date = chrono::DateTime::parse_from_rfc2822(mail.header("Date")).unwrap();
    let created_at = chrono::DateTime::parse_from_rfc3339(user["created_at"].as_str().unwrap()).unwrap();
    assert_eq!(date.timestamp(), created_at.timestamp(), "when it was written, not when it was sent");
    stop(server, &[mail]);
}

#[test]
#[ignore = "needs a mail server: .ci/run starts it"]
fn a_name_in_any_script_and_of_any_length_stands_in_the_subject() {
    let long = "Kaffeehäuschen am Bächle ☕ ".repeat(3);
    let names = [
        "Café Ünïcödé ☕",
        "珈琲店「朝」",
        "plain",
        ".a dot at the beginning",
        long.trim(),
        &"x".repeat(100),
    ];
    for (number, name) in names.into_iter().enumerate() {
        let mail = test_mail(name, &format!("name-{number}@example.com"));
        assert_eq!(mail.shown("Subject"), format!("A test message from {name}"));
        assert!(mail.text.ends_with(&format!("\n-- \n{name}")), "{}", mail.text);
        as_the_standards_want_it(&mail.raw.split(|byte| *byte == b'\n').collect::<Vec<_>>());
    }
}

#[test]
#[ignore = "needs a mail server: .ci/run starts it"]
fn unusual_addresses_are_written_to() {
    let server = shop(mail_server(), Listener::Tls).serve();
    let mut mails = Vec::new();
    for (typed, envelope) in [
        ("ann+tag@example.com", "ann+tag@example.com"),
        ("Ann@CAFÉ.example", "Ann@xn--caf-dma.example"),
        ("ben@xn--caf-dma.example", "ben@xn--caf-dma.example"),
        ("o'neil#$&*/=?^_`{|}~-@example.com", "o'neil#$&*/=?^_`{|}~-@example.com"),
        ("jörg@example.com", "jörg@example.com"),
    ] {
        server.sign_up(typed).is(201);
        let mail = mail_server().mail_to(envelope);
        assert_eq!(mail.shown("To"), envelope);
        mails.push(mail);
    }
    stop(server, &mails);
}

#[test]
#[ignore = "needs a mail server: .ci/run starts it"]
fn no_header_can_be_slipped_in() {
    let server = shop(mail_server(), Listener::Tls).serve();
    for email in [
        "a@example.com\r\nBcc: victim@example.com",
        "a@example.com\nBcc: victim@example.com",
        "a\r\nBcc:@example.com",
        "a@example.com>,<victim@example.com",
        "a@example.com, victim@example.com",
        "a\u{2028}Bcc:victim@example.com",
        "a\u{85}b@example.com",
        "a@example.com\0",
    ] {
        server.sign_up(email).is(422);
    }
    // Names of people are in no mail; if ever they are, this is here.
    let body = serde_json::json!({
        "email": "slipped@example.com", "password": crate::PASSWORD,
        "first_name": "Ann Bcc: victim@example.com", "last_name": "=?utf-8?q?=0D=0ABcc:_victim@example.com?=",
    });
    server.post("/auth/signup", &body).is(201);
    let mail = mail_server().mail_to("slipped@example.com");
    assert_eq!(mail.all("To").collect::<Vec<_>>(), ["slipped@example.com"]);
    assert!(mail.all("Bcc").next().is_none() && !String::from_utf8_lossy(&mail.raw).contains("victim"));
    stop(server, &[mail]);

    for (name, value) in
        [("SHOP_NAME", "A shop\r\nBcc: victim@example.com"), ("FROM", "A\r\nBcc: <a@example.com>")]
    {
        let shop = shop(mail_server(), Listener::Tls).with(&format!("MESSAGES__{name}"), value);
        shop.run(&["messages", "test", "--to", "a@example.com"])
            .refused(&format!("COFFEESHOP_MESSAGES__{name}"));
    }
    assert!(mail_server().mails_to("victim@example.com").is_empty());
}

#[test]
#[ignore = "needs a mail server: .ci/run starts it"]
fn what_goes_over_the_line_is_in_ascii_and_in_short_lines() {
    let proxy = Proxy::start(mail_server().port(Listener::Plain), Manner::Honest);
    let shop =
        shop_behind(proxy.port()).with("MESSAGES__SHOP_NAME", "Ännas Kaffee ☕ ".repeat(6).trim()).with(
            "SERVER__PUBLIC_URL",
            format!("https://shop.example/{}", "long/".repeat(300).trim_end_matches('/')),
        );
    let server = shop.serve();
    server.sign_up("line@example.com").is(201);
    let mail = mail_server().mail_to("line@example.com");
    assert!(mail.link().len() > 1500 && mail.link() == mail.link_in_html());
    wait_until_sent(&shop);
    wait_for("the connection to be closed", || proxy.heard().ends_with(b"QUIT\r\n").then_some(()));
    let heard = String::from_utf8(proxy.heard()).unwrap();
    let lines: Vec<_> = heard.strip_suffix("\r\n").unwrap().split("\r\n").map(str::as_bytes).collect();
    as_the_standards_want_it(&lines);
    stop(server, &[mail]);
}

/// Seven bits, no line end but the real ones, and no line that is too long (RFC 5321, section 4.5.3.1.6).
#[track_caller]
fn as_the_standards_want_it(lines: &[&[u8]]) {
    for line in lines {
        let shown = String::from_utf8_lossy(line);
        assert!(line.len() <= 998, "{} bytes: {shown}", line.len());
        assert!(line.iter().all(|byte| (b' '..=b'~').contains(byte) || *byte == b'\t'), "{shown:?}");
    }
}
