//! The result of a mail for each answer of the mail server.

use std::time::{Duration, Instant};

use coffeeshop::{
    config::{Config, Period, Security, Transport},
    core::Admin,
    domain::{MessageState, OutboxEntry},
    messaging::{ConfiguredTransport, Worker},
};
use serde_json::json;
use tokio::{sync::watch, task::JoinSet};

use crate::{
    app::{App, PASSWORD},
    smtp_server::{Does, SmtpServer},
};

const ANN: &str = "ann@example.com";
const BOB: &str = "bob@example.com";

/// A shop that sends its mails to this server.
async fn shop(server: &SmtpServer) -> App {
    shop_with(server, |_| {}).await
}

async fn shop_with(server: &SmtpServer, change: impl FnOnce(&mut Config)) -> App {
    App::with(|config| {
        config.messages.transport = Transport::Smtp;
        "Shop <no-reply@shop.example>".clone_into(&mut config.messages.from);
        "127.0.0.1".clone_into(&mut config.smtp.host);
        config.smtp.port = server.port;
        config.smtp.security = Security::None;
        config.smtp.timeout = Period::seconds(2);
        change(config);
    })
    .await
}

/// Sends what is due.
async fn deliver(app: &App) {
    let worker = Worker::new(app.outbox.clone(), ConfiguredTransport::new(&app.config).unwrap());
    worker.send_due().await.unwrap();
}

async fn posted(app: &App) -> Vec<OutboxEntry> {
    app.outbox.list(&Admin::from_cli(), None).await.unwrap().items
}

/// The message to this address that was not sent.
async fn left(app: &App, to: &str) -> OutboxEntry {
    posted(app).await.into_iter().find(|message| message.to == to).unwrap()
}

/// Sends in the background, as a server does, until the end of the test.
fn delivering(app: &App) -> (JoinSet<()>, watch::Sender<bool>) {
    let worker = Worker::new(app.outbox.clone(), ConfiguredTransport::new(&app.config).unwrap());
    let (stop, stopped) = watch::channel(false);
    let mut background = JoinSet::new();
    background.spawn(worker.run(stopped));
    (background, stop)
}

/// How long it takes until there are so many mails to this address.
async fn until_handed(server: &SmtpServer, to: &str, number: usize) -> Duration {
    let start = Instant::now();
    while server.handed_to(to).len() < number {
        assert!(
            start.elapsed() < Duration::from_mins(1),
            "no mail to {to}: {} others",
            server.handed().len()
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    start.elapsed()
}

fn pause(app: &App, message: &OutboxEntry) -> Duration {
    message.due_at.since(app.clock.now())
}

#[tokio::test]
async fn a_mail_is_sent_whatever_text_comes_with_the_codes() {
    for (name, text) in [
        ("none", [&b"220\r\n"[..], b"250\r\n", b"250\r\n", b"354\r\n", b"250\r\n"]),
        (
            "empty lines",
            [b"220-\r\n220\r\n", b"250-\r\n250\r\n", b"250 \r\n", b"354-\r\n354 \r\n", b"250\r\n"],
        ),
        (
            "Latin-1",
            [b"220 \xe4\r\n", b"250-\xe4\r\n250 \xff\r\n", b"250 \xfc\r\n", b"354 \xdf\r\n", b"250 \xe9\r\n"],
        ),
        ("bare line ends", [b"220 a\n", b"250-a\n250 b\n", b"250 c\n", b"354 d\n", b"250 e\n"]),
        (
            "codes of others",
            [
                b"220 5.0.0 no\r\n",
                b"250 4.3.0 no\r\n",
                b"250 5.1.1 no\r\n",
                b"354 5.0.0 no\r\n",
                b"250 5.7.1 spam\r\n",
            ],
        ),
        ("other codes", [b"299 a\r\n", b"290 b\r\n", b"251 c\r\n", b"399 d\r\n", b"299 e\r\n"]),
    ] {
        let server = SmtpServer::start(move |step| {
            Some(Does::Says(match step {
                "greeting" => text[0],
                "DATA" => text[3],
                "." => text[4],
                _ if step.starts_with("EHLO") => text[1],
                _ => text[2],
            }))
        })
        .await;
        let app = shop(&server).await;
        app.sign_up(ANN).await;
        deliver(&app).await;
        assert_eq!(posted(&app).await.len(), 0, "{name}: {:?}", posted(&app).await);
        assert_eq!(server.handed_to(ANN).len(), 1, "{name}");
    }
}

#[tokio::test]
async fn a_refusal_for_good_is_final_whatever_text_comes_with_it() {
    for (step, says) in [
        ("RCPT", &b"550 5.1.1 no such user\r\n"[..]),
        ("RCPT", b"550\r\n"),
        ("RCPT", b"554 5.7.1 Relay access denied\r\n"),
        ("RCPT", b"550-Empf\xe4nger\r\n550 2.0.0 ok\r\n"),
        ("DATA", b"554 4.3.0 no\r\n"),
        (".", b"552 \xfcber\r\n"),
        (".", b"550 5.7.1 spam\r\n"),
    ] {
        let server =
            SmtpServer::start(move |heard| heard.starts_with(step).then_some(Does::Says(says))).await;
        let app = shop(&server).await;
        app.sign_up(ANN).await;
        deliver(&app).await;
        let dead = left(&app, ANN).await;
        assert_eq!((dead.state, dead.attempts), (MessageState::Dead, 1), "{}", says.escape_ascii());
        assert!(dead.last_error.unwrap().contains("refused the "), "{}", says.escape_ascii());
        app.wait(Duration::from_hours(1));
        deliver(&app).await;
        assert_eq!(server.heard("RCPT"), 1, "{}", says.escape_ascii());
    }
}

#[tokio::test]
async fn a_refusal_for_now_is_tried_again_and_holds_up_no_other() {
    for (step, says) in [
        ("RCPT TO:<ann", &b"451 4.3.0 not well\r\n"[..]),
        ("RCPT TO:<ann", b"450\r\n"),
        ("RCPT TO:<ann", b"421 5.1.1 closing\r\n"),
        ("RCPT TO:<ann", b"530 authentication required\r\n"),
    ] {
        let server =
            SmtpServer::start(move |heard| heard.starts_with(step).then_some(Does::Says(says))).await;
        let app = shop(&server).await;
        app.sign_up(ANN).await;
        app.sign_up(BOB).await;
        deliver(&app).await;
        assert_eq!(server.handed_to(BOB).len(), 1, "{}", says.escape_ascii());
        assert_eq!(left(&app, ANN).await.state, MessageState::Waiting, "{}", says.escape_ascii());
        server.recovers();
        app.wait(Duration::from_secs(5));
        deliver(&app).await;
        assert_eq!((server.handed_to(ANN).len(), posted(&app).await.len()), (1, 0));
    }
}

#[tokio::test]
async fn an_error_of_one_recipient_delays_no_other() {
    for does in [Does::Silent, Does::Closes, Does::Says(b"nonsense\r\n"), Does::Says(b"354 go on\r\n")] {
        let server = SmtpServer::start(move |heard| heard.starts_with("RCPT TO:<ann").then_some(does)).await;
        let app = shop(&server).await;
        app.sign_up(ANN).await;
        app.sign_up(BOB).await;
        deliver(&app).await;
        assert_eq!(server.handed_to(BOB).len(), 1, "{does:?}");
        let waiting = left(&app, ANN).await;
        assert!(waiting.state == MessageState::Waiting && pause(&app, &waiting) <= Duration::from_secs(5));
    }
}

#[tokio::test]
async fn what_concerns_the_connection_or_the_sender_puts_off_everything() {
    for (step, says) in [
        ("greeting", &b"554 no\r\n"[..]),
        ("EHLO", b"421\r\n"),
        ("EHLO", b"550 no\r\n"),
        ("MAIL", b"451 2.0.0 ok\r\n"),
        ("MAIL", b"553 not yours\r\n"),
    ] {
        let server =
            SmtpServer::start(move |heard| heard.starts_with(step).then_some(Does::Says(says))).await;
        let app = shop(&server).await;
        app.sign_up(ANN).await;
        app.sign_up(BOB).await;
        deliver(&app).await;
        assert_eq!((server.connections(), server.heard("RCPT")), (1, 0), "{}", says.escape_ascii());
        for message in posted(&app).await {
            assert_eq!(message.state, MessageState::Waiting);
            assert!(pause(&app, &message) > Duration::ZERO, "{}", says.escape_ascii());
        }
        server.recovers();
        app.wait(Duration::from_secs(5));
        deliver(&app).await;
        assert_eq!(server.handed().len(), 2, "{}", says.escape_ascii());
    }
}

#[tokio::test]
async fn a_mail_that_was_taken_is_sent_whatever_follows() {
    let server =
        SmtpServer::start(|step| (step == ".").then_some(Does::SaysAndCloses(b"250 taken\r\n"))).await;
    let app = shop(&server).await;
    for number in 0..3 {
        app.sign_up(&format!("guest{number}@example.com")).await;
    }
    deliver(&app).await;
    assert_eq!((posted(&app).await.len(), server.handed().len()), (0, 3));
}

#[tokio::test]
async fn a_mail_whose_receipt_is_lost_is_not_sent_again_at_once() {
    for does in [Does::Closes, Does::Silent, Does::Says(b"hm\r\n"), Does::Says(b"354 and now?\r\n")] {
        let server = SmtpServer::start(move |step| (step == ".").then_some(does)).await;
        let app = shop(&server).await;
        app.sign_up(ANN).await;
        deliver(&app).await;
        let waiting = left(&app, ANN).await;
        assert_eq!(waiting.state, MessageState::Waiting, "{does:?}");
        assert!(pause(&app, &waiting) >= Duration::from_mins(7), "{does:?}: {:?}", pause(&app, &waiting));
        server.recovers();
        app.wait(Duration::from_mins(15));
        deliver(&app).await;
        let handed = server.handed_to(ANN);
        assert_eq!((handed.len(), posted(&app).await.len()), (2, 0), "{does:?}");
        assert_eq!(handed[0].message_id(), handed[1].message_id());
    }
}

#[tokio::test]
async fn an_answer_that_was_not_asked_for_is_no_receipt() {
    let twice = Does::Says(b"250 ok\r\n250 ok\r\n");
    let server = SmtpServer::start(move |step| match step {
        "." => Some(Does::Says(b"452 no room\r\n")),
        _ => step.starts_with("RCPT").then_some(twice),
    })
    .await;
    let app = shop(&server).await;
    app.sign_up(ANN).await;
    deliver(&app).await;
    assert_eq!(left(&app, ANN).await.state, MessageState::Waiting);
}

#[tokio::test]
async fn characters_that_the_server_rejects_are_a_final_refusal() {
    let scripts: [(&str, &[u8]); 2] =
        [("EHLO", b"250 mail.example\r\n"), ("MAIL FROM:<no-reply@shop.example> SMTPUTF8", b"555 no\r\n")];
    for (step, says) in scripts {
        let server =
            SmtpServer::start(move |heard| heard.starts_with(step).then_some(Does::Says(says))).await;
        let app = shop(&server).await;
        app.sign_up("jörg@example.com").await;
        app.sign_up(ANN).await;
        deliver(&app).await;
        let dead = left(&app, "jörg@example.com").await;
        assert_eq!((dead.state, dead.attempts), (MessageState::Dead, 1), "{step}");
        assert_eq!((server.handed_to(ANN).len(), server.heard("RCPT")), (1, 1), "{step}");
    }
}

#[tokio::test]
async fn a_refused_sender_is_not_blamed_on_characters() {
    for says in [&b"501 no\r\n"[..], b"550 no\r\n", b"553 5.7.1 not owned\r\n"] {
        let letters = "MAIL FROM:<no-reply@shop.example> SMTPUTF8";
        let server =
            SmtpServer::start(move |heard| heard.starts_with(letters).then_some(Does::Says(says))).await;
        let app = shop(&server).await;
        app.sign_up("jörg@example.com").await;
        app.sign_up(ANN).await;
        deliver(&app).await;
        let waiting = left(&app, "jörg@example.com").await;
        assert_eq!(waiting.state, MessageState::Waiting, "{}", says.escape_ascii());
        assert!(waiting.last_error.unwrap().contains("check messages.from"), "{}", says.escape_ascii());
        assert_eq!(server.handed_to(ANN).len(), 1, "it holds up no other");
    }
}

#[tokio::test]
async fn mails_come_from_an_address_in_ascii() {
    let mut config = Config::default();
    config.messages.transport = Transport::Smtp;
    "127.0.0.1".clone_into(&mut config.smtp.host);
    for (from, is_good) in [("Café <bar@café.example>", true), ("Shop <café@shop.example>", false)] {
        from.clone_into(&mut config.messages.from);
        let made = ConfiguredTransport::new(&config).err();
        assert_eq!(made.is_none(), is_good, "{made:?}");
        assert!(made.is_none_or(|error| error.starts_with("messages.from: ") && error.lines().count() == 1));
    }
}

#[tokio::test]
async fn a_login_depends_on_codes_alone() {
    for (offer, asked, says) in [
        (&b"250-mail\r\n250 AUTH PLAIN LOGIN\r\n"[..], "AUTH PLAIN ", &b"235\r\n"[..]),
        (b"250-mail\r\n250 auth plain\r\n", "AUTH PLAIN ", b"235 5.7.8 no\r\n"),
        (b"250-mail\r\n250 AUTH=LOGIN\r\n", "AUTH LOGIN", b"334\r\n"),
    ] {
        let server = SmtpServer::start(move |step| match step {
            "c2hvcA==" => Some(Does::Says(b"334 \xff\r\n")),
            "Y2FuYXJ5" => Some(Does::Says(b"235\r\n")),
            _ if step.starts_with("EHLO") => Some(Does::Says(offer)),
            _ => step.starts_with(asked).then_some(Does::Says(says)),
        })
        .await;
        let app = shop_with(&server, |config| {
            config.smtp.username = "shop".to_owned();
            config.smtp.password = serde_json::from_value(json!("canary")).unwrap();
        })
        .await;
        app.sign_up(ANN).await;
        deliver(&app).await;
        assert_eq!((server.heard(asked), server.handed_to(ANN).len()), (1, 1), "{}", offer.escape_ascii());
    }
}

#[tokio::test]
async fn a_connection_that_is_too_old_for_another_mail_is_replaced() {
    let server = SmtpServer::start(|step| match step {
        "RSET" => Some(Does::Says(b"421 too old\r\n")),
        _ => None,
    })
    .await;
    let app = shop(&server).await;
    for email in [ANN, BOB] {
        app.sign_up(email).await;
    }
    deliver(&app).await;
    assert_eq!((server.handed().len(), posted(&app).await.len()), (2, 0));
}

#[tokio::test]
async fn a_planted_message_delays_nothing_to_the_same_person() {
    let server = SmtpServer::start(|step| {
        let spelling = "RCPT TO:<VICTIM@example.com>";
        (step == spelling).then_some(Does::Says(b"451 4.3.0 try again later\r\n"))
    })
    .await;
    let app = shop(&server).await;
    let victim = app.signed_in("victim@example.com").await;
    let mallory = app.signed_in("mallory@example.com").await;
    let body = json!({ "new_email": "VICTIM@example.com", "current_password": PASSWORD });
    mallory.post("/me/email", body).await.is(202);
    deliver(&app).await;
    assert_eq!(left(&app, "VICTIM@example.com").await.attempts, 1);
    let body = json!({ "current_password": PASSWORD, "new_password": "lungo hums at dawn" });
    victim.post("/me/password", body).await.is(204);
    app.anyone().post("/auth/password/forgot", json!({ "email": "victim@example.com" })).await.is(202);
    deliver(&app).await;
    let subjects: Vec<_> =
        server.handed_to("victim@example.com").iter().map(|handed| handed.subject().to_owned()).collect();
    assert_eq!(subjects, ["Your password was changed", "Choose a new password"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dozen_slow_or_refused_recipients_hold_up_no_other() {
    for does in [
        Does::Silent,
        Does::SaysAfter(15_000, b"250 at last\r\n"),
        Does::Says(b"550 5.7.1 not here\r\n"),
        Does::Says(b"451 4.3.0 not well\r\n"),
        Does::Closes,
    ] {
        let server = SmtpServer::start(move |heard| heard.starts_with("RCPT TO:<slow").then_some(does)).await;
        let app = shop_with(&server, |config| config.smtp.timeout = Period::seconds(20)).await;
        for number in 0..12 {
            app.sign_up(&format!("slow{number}@example.com")).await;
        }
        app.sign_up(ANN).await;
        let _worker = delivering(&app);
        let took = until_handed(&server, ANN, 1).await;
        assert!(took < Duration::from_secs(10), "{does:?}: behind a dozen it took {took:?}");
        // Those are on their way, or wait for another try.
        app.wait(Duration::from_secs(10));
        app.anyone().post("/auth/password/forgot", json!({ "email": ANN })).await.is(202);
        let took = until_handed(&server, ANN, 2).await;
        assert!(took < Duration::from_secs(5), "{does:?}: beside a dozen it took {took:?}");
        assert!(server.most_open() <= 16, "{does:?}: {} connections", server.most_open());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_slow_recipients_give_way() {
    let server = SmtpServer::start(|heard| heard.starts_with("RCPT TO:<slow").then_some(Does::Silent)).await;
    let app = shop_with(&server, |config| config.smtp.timeout = Period::seconds(20)).await;
    for number in 0..40 {
        app.sign_up(&format!("slow{number}@example.com")).await;
    }
    app.sign_up(ANN).await;
    let _worker = delivering(&app);
    let took = until_handed(&server, ANN, 1).await;
    assert!(took < Duration::from_secs(25), "behind forty it took {took:?}");
    assert_eq!(server.most_open(), 16);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quick_server_is_asked_for_a_few_connections() {
    let server = SmtpServer::start(|_| None).await;
    let app = shop(&server).await;
    for number in 0..30 {
        app.sign_up(&format!("guest{number}@example.com")).await;
    }
    deliver(&app).await;
    assert_eq!(server.handed().len(), 30);
    assert!(server.most_open() <= 4 && server.connections() <= 4, "{} connections", server.connections());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_takes_few_connections_gets_every_mail() {
    let server =
        SmtpServer::start(|step| step.starts_with("RCPT").then_some(Does::SaysAfter(300, b"250 ok\r\n")))
            .await;
    server.limits_connections(2);
    let app = shop(&server).await;
    for number in 0..20 {
        app.sign_up(&format!("guest{number}@example.com")).await;
    }
    deliver(&app).await;
    assert_eq!((server.handed().len(), posted(&app).await.len()), (20, 0));
    assert!(server.connections() <= 6, "it connected {} times", server.connections());
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_heard_over_a_few_connections() {
    let server =
        SmtpServer::start(|step| step.starts_with("RCPT").then_some(Does::Says(b"550 no such user\r\n")))
            .await;
    let app = shop(&server).await;
    for number in 0..40 {
        app.sign_up(&format!("guest{number}@example.com")).await;
    }
    deliver(&app).await;
    assert_eq!(server.heard("RCPT"), 40);
    assert!((8..=12).contains(&server.connections()), "{} connections", server.connections());
}

#[tokio::test]
async fn one_connection_is_enough_to_know_that_nothing_answers() {
    let server = SmtpServer::start(|step| (step == "greeting").then_some(Does::Closes)).await;
    let app = shop(&server).await;
    for number in 0..8 {
        app.sign_up(&format!("guest{number}@example.com")).await;
    }
    deliver(&app).await;
    assert_eq!(server.connections(), 1);
}
