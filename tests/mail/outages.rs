//! A mail server that is down, slow, or refuses: users do not notice, and no mail is lost.

use std::time::{Duration, Instant};

use chrono::DateTime;
use coffeeshop::domain::{Clock, Timestamp};
use rustix::process::Signal;
use serde_json::Value;

use crate::{
    last_error, mail_server,
    proxy::{Manner, Proxy},
    resend,
    server::{DISLIKED, FULL, Listener, MailServer, REFUSED},
    shop,
    shop::{Server, Shop, wait_for},
    shop_behind, stop, told_nothing, tried, wait_until_sent, waiting,
};

/// What an answer may take, whatever the mail server does: mostly the hashing of a password, in an unoptimised build.
const PROMPT: Duration = Duration::from_secs(4);

#[track_caller]
fn sign_up_promptly(server: &Server, email: &str) -> Duration {
    let start = Instant::now();
    server.sign_up(email).is(201);
    let took = start.elapsed();
    assert!(took < PROMPT, "it took {took:?} to sign up");
    took
}

/// Has every message tried at once, as if their pauses were over.
fn shorten_pauses(shop: &Shop, attempts: u32) {
    let more = format!("CASE WHEN attempts < {attempts} THEN {attempts} ELSE attempts END");
    shop.sql.execute(&format!("UPDATE outbox SET due_at = 0, attempts = {more}, last_error = NULL"));
}

#[test]
#[ignore = "needs a mail server: .ci/run starts it"]
fn mail_is_delivered_within_a_minute_of_the_mail_servers_return() {
    let mut mail_server = MailServer::start();
    mail_server.stop();
    let shop = shop(&mail_server, Listener::Tls);
    let server = shop.serve();
    for number in 0..5 {
        sign_up_promptly(&server, &format!("early-{number}@example.com"));
    }
    let port = mail_server.port(Listener::Tls);
    let why = format!("nothing answers at localhost:{port}: check smtp.host and smtp.port");
    assert_eq!(last_error(&shop, "early-0@example.com"), why);
    assert_eq!(waiting(&shop).len(), 5);

    // The longest pause there is, as after a long night, has just begun when the mail server comes back.
    shorten_pauses(&shop, 50);
    tried(&shop, "early-0@example.com", 51);
    mail_server.start_again();
    let back = Instant::now();
    for number in 0..5 {
        mail_server.mail_to(&format!("early-{number}@example.com"));
    }
    let took = back.elapsed();
    assert!(took <= Duration::from_mins(1), "the mails came {took:?} after the mail server");
    wait_until_sent(&shop);
    let mails = mail_server.mails();
    assert_eq!(mails.len(), 5, "each once");
    stop(server, &mails);
}

#[test]
#[ignore = "needs a mail server: .ci/run starts it"]
fn a_mail_server_that_goes_away_between_two_mails_is_found_again() {
    let mut mail_server = MailServer::start();
    let shop = shop(&mail_server, Listener::StartTls);
    let server = shop.serve();
    for round in 0..3 {
        let to = format!("again-{round}@example.com");
        mail_server.stop();
        sign_up_promptly(&server, &to);
        last_error(&shop, &to);
        mail_server.start_again();
        // As an administrator would who knows that it is back.
        shop.run(&["messages", "retry"]).is(0);
        mail_server.mail_to(&to);
        wait_until_sent(&shop);
    }
    assert_eq!(mail_server.mails().len(), 3);
    stop(server, &mail_server.mails());
}

#[test]
#[ignore = "needs a mail server: .ci/run starts it"]
fn a_slow_mail_server_delays_no_user() {
    let proxy = Proxy::start(mail_server().port(Listener::Tls), Manner::Slow(Duration::from_millis(300)));
    let shop = shop(mail_server(), Listener::Tls).with("SMTP__PORT", proxy.port().to_string());
    let server = shop.serve();
    let to: Vec<_> = (0..4).map(|number| format!("slow-{number}@example.com")).collect();
    for to in &to {
        sign_up_promptly(&server, to);
    }
    assert!(!waiting(&shop).is_empty(), "the mail server is too fast for this test");
    let mails: Vec<_> = to.iter().map(|to| mail_server().mail_to(to)).collect();
    wait_until_sent(&shop);
    assert!(proxy.connections() <= 4, "connections are used for more than one mail");
    stop(server, &mails);
}

#[test]
#[ignore = "needs a mail server: .ci/run starts it"]
fn a_mail_server_that_stops_answering_times_out_at_any_step() {
    for manner in [
        Manner::Silent,
        Manner::SilentFrom("EHLO"),
        Manner::SilentFrom("MAIL FROM"),
        Manner::SilentFrom("RCPT TO"),
        Manner::SilentFrom("DATA"),
        Manner::SilentFrom("From:"),
    ] {
        let proxy = Proxy::start(mail_server().port(Listener::Plain), manner);
        let shop = shop_behind(proxy.port()).with("SMTP__TIMEOUT", "5s");
        let server = shop.serve();
        let start = Instant::now();
        sign_up_promptly(&server, "tarpit@example.com");
        let why = last_error(&shop, "tarpit@example.com");
        let took = start.elapsed();
        let early = matches!(manner, Manner::Silent | Manner::SilentFrom("EHLO"));
        let look = if early {
            "check smtp.host, smtp.port and smtp.security"
        } else {
            "smtp.timeout gives it longer"
        };
        let port = proxy.port();
        assert_eq!(why, format!("localhost:{port} did not answer within 5 seconds: {look}"), "{manner:?}");
        assert!(took < Duration::from_secs(15), "{manner:?}: it took {took:?}");
        sign_up_promptly(&server, "tarpit-too@example.com");
        stop(server, &[]);
    }
}

#[test]
#[ignore = "needs a mail server: .ci/run starts it"]
fn a_stop_does_not_wait_for_a_mail_that_is_stuck() {
    let proxy = Proxy::start(mail_server().port(Listener::Plain), Manner::SilentFrom("DATA"));
    let shop = shop_behind(proxy.port());
    let server = shop.serve();
    server.sign_up("stuck@example.com").is(201);
    wait_for("a mail to be stuck", || {
        String::from_utf8_lossy(&proxy.heard()).contains("\r\nDATA\r\n").then_some(())
    });
    let start = Instant::now();
    let ran = server.stop(Signal::TERM).is(0);
    let took = start.elapsed();
    assert!(took < Duration::from_secs(10), "it took {took:?} to stop");
    assert!(ran.err.contains("messages are left in the outbox"), "{ran:?}");
    let message = waiting(&shop).remove(0);
    assert_eq!((&message["state"], &message["to"]), (&"waiting".into(), &"stuck@example.com".into()));

    proxy.becomes(Manner::Honest);
    let server = shop.serve();
    let mail = mail_server().mail_to("stuck@example.com");
    told_nothing(&ran, std::slice::from_ref(&mail));
    stop(server, &[mail]);
}

#[test]
#[ignore = "needs a mail server: .ci/run starts it"]
fn a_deferred_mail_is_retried_with_back_off_and_delays_no_other() {
    let shop = shop(mail_server(), Listener::Tls);
    let server = shop.serve();
    server.sign_up(FULL).is(201);
    let port = mail_server().port(Listener::Tls);
    assert_eq!(
        last_error(&shop, FULL),
        format!(
            "localhost:{port} refused the recipient (452); it said: 4.2.2 <{FULL}>: Recipient address rejected: their \
             mailbox is full"
        )
    );
    let mut mails = Vec::new();
    for attempts in 1..13 {
        let message = tried(&shop, FULL, attempts);
        let pause = pause(&message);
        let most = Duration::from_secs(5 * 2_u64.pow(u32::try_from(attempts).unwrap() - 1))
            .min(Duration::from_mins(15));
        // It began a little before it was looked at.
        let least = (most / 2).saturating_sub(Duration::from_secs(2));
        assert!(least <= pause && pause <= most, "{pause:?} after attempt {attempts}");

        shorten_pauses(&shop, 0);
        let other = format!("other-{attempts}@example.com");
        server.sign_up(&other).is(201);
        mails.push(mail_server().mail_to(&other));
    }
    wait_for("the others to be sent", || (waiting(&shop).len() == 1).then_some(()));
    stop(server, &mails);
}

#[test]
#[ignore = "needs a mail server: .ci/run starts it"]
fn a_mail_that_is_refused_for_good_is_tried_once_and_says_so() {
    let shop = shop(mail_server(), Listener::StartTls);
    let server = shop.serve();
    let port = mail_server().port(Listener::StartTls);
    for (to, why) in [
        (
            REFUSED,
            format!(
                "localhost:{port} refused the recipient (550); it said: 5.1.1 <{REFUSED}>: Recipient address rejected: no such person here"
            ),
        ),
        (
            DISLIKED,
            format!("localhost:{port} refused the message (550); it said: 5.7.1 this looks like spam"),
        ),
        (
            "ann@elsewhere.example",
            format!(
                "localhost:{port} refused the recipient (554); it said: 5.7.1 <ann@elsewhere.example>: Relay access denied"
            ),
        ),
    ] {
        server.sign_up(to).is(201);
        let dead = tried(&shop, to, 1);
        assert_eq!((&dead["state"], &dead["last_error"]), (&"dead".into(), &why.into()));
    }
    server.sign_up("liked@example.com").is(201);
    let mail = mail_server().mail_to("liked@example.com");
    wait_for("the others to stay", || (waiting(&shop).len() == 3).then_some(()));
    assert!(waiting(&shop).iter().all(|message| message["attempts"] == 1));
    stop(server, &[mail]);
}

#[test]
#[ignore = "needs a mail server: .ci/run starts it"]
fn a_login_that_is_refused_is_named_and_its_password_is_not() {
    let shop = shop(mail_server(), Listener::Tls);
    let wrong = "not the password: canary/4711=";
    std::fs::write(shop.path("wrong"), wrong).unwrap();
    let shop = {
        let path = shop.path("wrong").to_str().unwrap().to_owned();
        shop.with("SMTP__PASSWORD_FILE", path)
    };
    let server = shop.serve();
    server.sign_up("locked-out@example.com").is(201);
    let why = last_error(&shop, "locked-out@example.com");
    let port = mail_server().port(Listener::Tls);
    let expected =
        format!("localhost:{port} refused the login (535): check smtp.username and smtp.password; it said: ");
    assert!(why.starts_with(&expected), "{why}");
    let listed = shop.run(&["messages", "list"]).is(0);
    let shown = shop.run(&["config"]).is(0);
    let tested = shop.run(&["messages", "test", "--to", "a@example.com"]).refused("smtp.password");
    let ran = stop(server, &[]);
    for ran in [listed, shown, tested, ran] {
        for secret in crate::secrecy::in_base64(wrong).iter().map(String::as_str).chain([wrong, "canary"]) {
            assert!(!ran.out.contains(secret) && !ran.err.contains(secret), "{ran:?}");
        }
    }
}

#[test]
#[ignore = "needs a mail server: .ci/run starts it"]
fn mails_to_one_address_arrive_in_order() {
    let proxy = Proxy::start(mail_server().port(Listener::Plain), Manner::Silent);
    let shop = shop_behind(proxy.port()).with("SMTP__TIMEOUT", "1s");
    let server = shop.serve();
    let to = ["order-a@example.com", "order-b@example.com"];
    let mut written = [Vec::new(), Vec::new()];
    for to in to {
        server.sign_up(to).is(201);
    }
    for _ in 0..4 {
        for to in to {
            resend(&server, to);
        }
    }
    for message in waiting(&shop) {
        let index = to.iter().position(|to| message["to"] == *to).unwrap();
        written[index].push(format!("<{}@shop.example>", message["id"].as_str().unwrap()));
    }
    assert!(written.iter().all(|ids| ids.len() == 5), "{written:?}");
    // The first fails, and then one in the middle, when the others have waited for it.
    for (manner, arrived) in [(Manner::Silent, 0), (Manner::CutsFrom("MAIL FROM"), 0), (Manner::Honest, 1)] {
        proxy.becomes(manner);
        shorten_pauses(&shop, 0);
        wait_for("some mails", || (mail_server().mails_to(to[0]).len() >= arrived).then_some(()));
    }
    proxy.becomes(Manner::CutsFrom("MAIL FROM"));
    wait_for("another mail to fail", || (proxy.cuts() > 1 || shop.count("outbox") == 0).then_some(()));
    proxy.becomes(Manner::Honest);
    wait_until_sent(&shop);
    for (to, written) in to.iter().zip(written) {
        let mails = mail_server().mails_to(to);
        let arrived: Vec<_> = mails.iter().map(|mail| mail.message_id().to_owned()).collect();
        assert_eq!(arrived, written);
        let last = mails.last().unwrap();
        server.post("/auth/verify", &serde_json::json!({ "email": to, "code": last.code() })).is(200);
    }
    stop(server, &mail_server().mails());
}

/// How much is left of the pause that a message was given when it failed.
fn pause(message: &Value) -> Duration {
    let due_at = DateTime::parse_from_rfc3339(message["due_at"].as_str().unwrap()).unwrap();
    Timestamp::from_millis(due_at.timestamp_millis()).since(Clock::system().now())
}
