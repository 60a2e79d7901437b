//! Sign-up: what creates an account, what is refused, and what an answer reveals about taken addresses.

use std::time::Duration;

use poem::http::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::app::{Answer, App, MOMENT, PASSWORD};

const TWO_DAYS: Duration = Duration::from_hours(48);

async fn sign_up(app: &App, body: Value) -> Answer {
    app.anyone().post("/auth/signup", body).await
}

async fn with_email(app: &App, email: &str) -> Answer {
    sign_up(app, json!({ "email": email, "password": PASSWORD })).await
}

async fn with_password(app: &App, password: &str) -> Answer {
    let profile = json!({
        "email": "theodora.lark@roastery.example", "first_name": "Theodora", "last_name": "Larkspur",
        "password": password,
    });
    sign_up(app, profile).await
}

fn field(name: &str, code: &str) -> (String, String) {
    (name.to_owned(), code.to_owned())
}

#[tokio::test]
async fn a_sign_up_answers_every_field_of_the_new_user() {
    let app = App::start().await;
    app.wait(Duration::from_millis(7));
    let body = json!({ "email": " Ann@Example.com ", "password": PASSWORD, "first_name": " Ann " });
    let user = sign_up(&app, body).await.is(201).body;
    let expected = json!({
        "id": user["id"],
        "email": "Ann@Example.com",
        "first_name": "Ann",
        "last_name": null,
        "role": "user",
        "status": "unverified",
        "disabled": false,
        "created_at": "2026-11-22T09:30:00.007Z",
        "updated_at": "2026-11-22T09:30:00.007Z",
        "verified_at": null,
        "last_login_at": null,
        "expires_at": "2026-11-24T09:30:00.007Z",
    });
    assert_eq!(user, expected);
    let id: Uuid = user["id"].as_str().unwrap().parse().unwrap();
    assert_eq!(id.get_version_num(), 7);
    assert_eq!(user["id"], id.to_string());
}

#[tokio::test]
async fn a_sign_up_sends_a_code_and_a_link_to_the_address_as_typed() {
    let app = App::start().await;
    app.sign_up("Ann@Example.com").await;
    let [mail] = &app.mails("Ann@Example.com").await[..] else { panic!("one message") };
    assert_eq!(mail.code.len(), 6);
    assert!(mail.code.bytes().all(|b| b.is_ascii_digit()));
    assert_eq!(mail.token().len(), 43, "256 bits in base64url");
    assert!(mail.link.starts_with("http://localhost:8080/verify?token="));
}

#[tokio::test]
async fn neither_password_nor_link_nor_refresh_token_is_stored_as_it_is() {
    let app = App::start().await;
    app.sign_up("ann@example.com").await;
    let link = app.mail("ann@example.com").await.token().to_owned();
    let tokens = app.tokens("ann@example.com").await;
    let refresh_token = tokens["refresh_token"].as_str().unwrap();
    let stored = app.sql.dump();
    let holds = |text: &str| stored.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(holds("ann@example.com"), "it looks in the right place");
    for secret in [PASSWORD, &link, refresh_token] {
        assert!(!holds(secret), "{secret}");
    }
}

#[tokio::test]
async fn names_may_be_null_or_left_out() {
    let app = App::start().await;
    let body = json!({ "email": "a@example.com", "password": PASSWORD, "first_name": null });
    let user = sign_up(&app, body).await.is(201).body;
    assert_eq!((&user["first_name"], &user["last_name"]), (&Value::Null, &Value::Null));
}

#[tokio::test]
async fn an_address_in_another_spelling_is_taken() {
    let app = App::start().await;
    for (first, others) in [
        ("ann@example.com", &["ANN@example.com", " ann@EXAMPLE.COM\t", "ann@ＥXAMPLE.com"][..]),
        ("bob@bücher.example", &["bob@xn--bcher-kva.example", "Bob@BÜCHER.example"]),
        ("josé@example.com", &["jose\u{301}@example.com", "JOSÉ@example.com"]),
    ] {
        with_email(&app, first).await.is(201);
        for other in others {
            with_email(&app, other).await.refused(409, "email_taken");
        }
    }
}

#[tokio::test]
async fn greek_addresses_are_compared_without_regard_to_case() {
    let app = App::start().await;
    with_email(&app, "νίκος@example.com").await.is(201);
    with_email(&app, "ΝΊΚΟΣ@example.com").await.refused(409, "email_taken");
}

#[tokio::test]
async fn addresses_with_another_local_part_or_tag_are_other_addresses() {
    let app = App::start().await;
    for email in ["ann@example.com", "ann+shop@example.com", "a.nn@example.com", "ann@example.org"] {
        with_email(&app, email).await.is(201);
    }
}

#[tokio::test]
async fn what_is_no_plain_address_is_refused() {
    let app = App::start().await;
    let long_local = format!("{}@example.com", "a".repeat(65));
    let long_in_bytes = format!("{}@{}.example.com", "é".repeat(30), ["b".repeat(46).as_str(); 4].join("."));
    for email in [
        "",
        "ann",
        "@example.com",
        "ann@",
        "ann@localhost",
        "Ann <ann@example.com>",
        "\"a b\"@example.com",
        "a@[127.0.0.1]",
        "a@127.0.0.1",
        "a b@example.com",
        "a@b@example.com",
        "a..b@example.com",
        "ann@example..com",
        "a\u{0}b@example.com",
        "a\u{200b}b@example.com",
        "a\u{ad}b@example.com",
        "ann@example.com\r\nBcc: eve@example.com",
        &long_local,
        &long_in_bytes,
    ] {
        assert_eq!(
            with_email(&app, email).await.invalid_fields(),
            [field("email", "invalid_email")],
            "{email}"
        );
    }
}

#[tokio::test]
async fn the_longest_address_is_accepted() {
    let app = App::start().await;
    let local = "a".repeat(64);
    let domain = format!("{}.{}.{}.com", "b".repeat(63), "c".repeat(63), "d".repeat(57));
    let email = format!("{local}@{domain}");
    assert_eq!(email.len(), 254);
    with_email(&app, &email).await.is(201);
}

#[tokio::test]
async fn everything_that_is_wrong_is_named_at_once() {
    let app = App::start().await;
    let long = "é".repeat(101);
    let body = format!(
        r#"{{"email":5,"password":"short","first_name":"A","first_name":"B","last_name":"{long}","role":"admin"}}"#
    );
    let answer =
        app.anyone().send_bytes(Method::POST, "/auth/signup", "application/json", body.into_bytes()).await;
    assert_eq!(
        answer.invalid_fields(),
        [
            field("email", "wrong_type"),
            field("first_name", "duplicate_field"),
            field("last_name", "too_long"),
            field("password", "too_short"),
            field("role", "unknown_field"),
        ]
    );
}

#[tokio::test]
async fn what_is_missing_or_null_is_named() {
    let app = App::start().await;
    let missing = sign_up(&app, json!({})).await.invalid_fields();
    assert_eq!(missing, [field("email", "required"), field("password", "required")]);
    let null = sign_up(&app, json!({ "email": null, "password": null })).await.invalid_fields();
    assert_eq!(null, [field("email", "wrong_type"), field("password", "wrong_type")]);
}

#[tokio::test]
async fn a_sign_up_always_makes_a_plain_user() {
    let app = App::start().await;
    for (name, value) in [
        ("role", json!("admin")),
        ("status", json!("verified")),
        ("disabled", json!(false)),
        ("id", json!(Uuid::now_v7().to_string())),
        ("verified_at", json!("2026-11-22T09:30:00.000Z")),
        ("expires_at", json!(null)),
        ("Email", json!("other@example.com")),
    ] {
        let mut body = json!({ "email": "ann@example.com", "password": PASSWORD });
        body[name] = value;
        assert_eq!(sign_up(&app, body).await.invalid_fields(), [field(name, "unknown_field")]);
    }
    assert_eq!(app.stored::<i64>("SELECT count(*) FROM users"), 0);
}

#[tokio::test]
async fn a_password_has_8_to_256_characters() {
    let app = App::start().await;
    let text = "mocha stirs slowly beside the Ω window, ".repeat(7);
    let long = |count| text.chars().take(count).collect::<String>();
    for (password, code) in [("x7#Kp2m", "too_short"), (&long(257), "too_long")] {
        assert_eq!(with_password(&app, password).await.invalid_fields(), [field("password", code)]);
    }
    for (number, password) in ["x7#Kp2mQ", &long(256)].into_iter().enumerate() {
        let body = json!({ "email": format!("a{number}@example.com"), "password": password });
        sign_up(&app, body.clone()).await.is(201);
        app.anyone().post("/auth/login", body).await.is(200);
    }
}

#[tokio::test]
async fn a_password_is_the_same_however_its_accents_are_typed() {
    let app = App::start().await;
    let body = |password| json!({ "email": "ann@example.com", "password": password });
    sign_up(&app, body("cafe\u{301} stirs slowly")).await.is(201);
    app.anyone().post("/auth/login", body("café stirs slowly")).await.is(200);
}

#[tokio::test]
async fn passwords_that_are_easy_to_guess_are_refused() {
    let app = App::start().await;
    for password in [
        "password",
        "Password1",
        "12345678",
        "qwertyuiop",
        "theodora.lark@roastery.example",
        "theodora.lark",
        "Theodora1",
        "larkspur",
        "TheodoraLarkspur",
        "Coffee Shop",
        "coffeeshop1",
    ] {
        let fields = with_password(&app, password).await.invalid_fields();
        assert_eq!(fields, [field("password", "too_common")], "{password}");
    }
}

#[tokio::test]
async fn a_name_has_1_to_100_characters_in_which_nothing_hides() {
    let app = App::start().await;
    for (name, code) in [
        ("", "empty"),
        (" ", "empty"),
        ("a\nb", "forbidden_character"),
        ("a\u{202e}b", "forbidden_character"),
    ] {
        let body = json!({ "email": "ann@example.com", "password": PASSWORD, "first_name": name });
        assert_eq!(sign_up(&app, body).await.invalid_fields(), [field("first_name", code)]);
    }
    let body = json!({ "email": "ann@example.com", "password": PASSWORD, "first_name": "é".repeat(100) });
    sign_up(&app, body).await.is(201);
}

#[tokio::test]
async fn a_refused_sign_up_leaves_nothing_behind() {
    let app = App::start().await;
    with_email(&app, "ann@example.com").await.is(201);
    app.printed().await;
    with_email(&app, "Ann@example.com").await.refused(409, "email_taken");
    assert_eq!(app.stored::<i64>("SELECT count(*) FROM users"), 1);
    assert_eq!(app.mails("Ann@example.com").await, []);
}

#[tokio::test]
async fn an_expired_account_gives_its_address_free_before_any_clean_up() {
    let app = App::start().await;
    let old = app.sign_up("ann@example.com").await;
    let old_mail = app.mail("ann@example.com").await;
    app.wait_nearly(TWO_DAYS);
    with_email(&app, "ann@example.com").await.refused(409, "email_taken");
    app.wait(MOMENT);
    let new = app.sign_up("ANN@example.com").await;
    assert_ne!(old["id"], new["id"]);
    for proof in
        [json!({ "token": old_mail.token() }), json!({ "email": "ann@example.com", "code": old_mail.code })]
    {
        app.anyone().post("/auth/verify", proof).await.refused(400, "verification_failed");
    }
    assert_eq!(app.stored::<i64>("SELECT count(*) FROM users"), 1);
}

#[tokio::test]
async fn a_shop_can_hide_whether_an_address_is_taken() {
    let app = App::with(|config| config.auth.hide_taken_emails = true).await;
    let free = with_email(&app, "ann@example.com").await.is(202);
    assert!(free.bytes.is_empty());
    app.verify("ann@example.com").await;
    let taken = with_email(&app, "ANN@example.com").await.is(202);
    assert_eq!(free.look(), taken.look());
    let mails = app.mails("ann@example.com").await;
    assert_eq!(mails.len(), 2);
    assert_eq!(mails[1].subject, "You already have an account at Coffee Shop");
    assert_eq!((mails[1].code.as_str(), mails[1].link.as_str()), ("", "http://localhost:8080/reset"));
    assert_eq!(app.mails("ANN@example.com").await, []);
    assert_eq!(app.stored::<i64>("SELECT count(*) FROM users"), 1);
}

#[tokio::test]
async fn repeated_sign_ups_send_twenty_messages_and_then_one_an_hour() {
    let app = App::with(|config| config.auth.hide_taken_emails = true).await;
    with_email(&app, "ann@example.com").await.is(202);
    for told in [20, 21] {
        for _ in 0..22 {
            with_email(&app, "ann@example.com").await.is(202);
        }
        assert_eq!(app.mails("ann@example.com").await.len(), 1 + told, "and the first one");
        app.wait(std::time::Duration::from_hours(1));
    }
}
