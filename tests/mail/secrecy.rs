//! Logins and mails go to the mail server only, and only under TLS.

use base64::{Engine, prelude::BASE64_STANDARD};

use crate::{
    last_error, mail_server,
    proxy::{Manner, Proxy},
    server::{Listener, PASSWORD, USERNAME},
    shop, stop,
};

/// The forms in which a password goes over a line that it should not go over: `AUTH LOGIN` and `AUTH PLAIN`.
pub fn in_base64(secret: &str) -> [String; 2] {
    [secret.to_owned(), format!("\0{USERNAME}\0{secret}")].map(|text| BASE64_STANDARD.encode(text))
}

#[test]
#[ignore = "needs a mail server: .ci/run starts it"]
fn nothing_is_sent_in_the_clear_when_starttls_is_stripped() {
    for (manner, why) in [
        (Manner::WithoutStartTls, "offers no STARTTLS, and nothing is sent in the clear"),
        (Manner::RefusesStartTls, "refused STARTTLS (454)"),
    ] {
        let proxy = Proxy::start(mail_server().port(Listener::StartTls), manner);
        let shop = shop(mail_server(), Listener::StartTls).with("SMTP__PORT", proxy.port().to_string());
        let server = shop.serve();
        server.sign_up("stripped@example.com").is(201);
        let error = last_error(&shop, "stripped@example.com");
        assert!(error.contains(why), "{error}");
        shop.run(&["messages", "test", "--to", "stripped@example.com"]).refused(why);
        stop(server, &[]);
        let heard = String::from_utf8(proxy.heard()).unwrap();
        assert!(heard.starts_with("EHLO shop.example\r\n"), "{heard}");
        for said in ["MAIL", "RCPT", "AUTH", "DATA", "stripped", PASSWORD, USERNAME] {
            assert!(!heard.contains(said), "{said} in {heard}");
        }
        assert!(!in_base64(PASSWORD).iter().any(|text| heard.contains(text)), "{heard}");
    }
    assert!(mail_server().mails_to("stripped@example.com").is_empty());
}

#[test]
#[ignore = "needs a mail server: .ci/run starts it"]
fn an_eavesdropper_sees_neither_the_login_nor_the_mail() {
    for listener in [Listener::Tls, Listener::StartTls] {
        let proxy = Proxy::start(mail_server().port(listener), Manner::Honest);
        let shop = shop(mail_server(), listener).with("SMTP__PORT", proxy.port().to_string());
        let to = format!("overheard-{}@example.com", listener.security());
        shop.run(&["messages", "test", "--to", &to]).is(0);
        mail_server().mail_to(&to);
        let heard = String::from_utf8_lossy(&proxy.heard()).into_owned();
        assert!(proxy.heard().len() > 1000);
        for said in ["MAIL FROM", "AUTH", "overheard", "If you can read it"] {
            assert!(!heard.contains(said), "{said} in {heard}");
        }
    }
}

#[test]
#[ignore = "needs a mail server: .ci/run starts it"]
fn nothing_is_sent_to_a_server_whose_certificate_is_not_good() {
    let stranger = |listener| shop(mail_server(), listener).with("SMTP__CA_FILE", "");
    for (number, (shop, fault)) in [
        (stranger(Listener::Tls), "not trusted here"),
        (stranger(Listener::StartTls), "not trusted here"),
        (shop(mail_server(), Listener::WrongName), "for another name"),
        (shop(mail_server(), Listener::Expired), "expired"),
    ]
    .into_iter()
    .enumerate()
    {
        let server = shop.serve();
        let to = format!("untrusted-{number}@example.com");
        server.sign_up(&to).is(201);
        let why = last_error(&shop, &to);
        assert!(why.starts_with("the TLS certificate of localhost:") && why.contains(fault), "{why}");
        stop(server, &[]);
        assert!(mail_server().mails_to(&to).is_empty());
    }
}
