//! Pasted text: with spaces, separators and invisible characters.

use serde_json::{Value, json};

use crate::app::{App, Caller, PASSWORD, encoded};

const ANN: &str = "ann@example.com";
const NEXT_PASSWORD: &str = "lungo hums at dawn";

/// A code in groups, in other digits, and with what comes along when it is copied.
fn spellings(code: &str) -> Vec<String> {
    let (left, right) = code.split_at(3);
    let from = |zero: char| -> String {
        let digit = |c: char| char::from_u32(u32::from(zero) + c.to_digit(10).unwrap()).unwrap();
        code.chars().map(digit).collect()
    };
    let mut spellings: Vec<_> = [
        "\u{a0}", "\u{2009}", "-", "\u{2010}", "\u{2212}", ".", "\u{b7}", "_", "\n", "\t", "\u{200b}",
        "\u{2028}", "\u{2060}",
    ]
    .map(|between| format!("{left}{between}{right}"))
    .into();
    spellings.extend(['\u{ff10}', '٠', '۰', '०', '๐', '𝟎'].map(from));
    spellings.extend([
        format!(" {code}\r\n"),
        format!("\u{202a}{code}\u{202c}"),
        format!("\u{feff}{code}."),
        format!("*{code}*"),
        format!("\u{201c}{code}\u{201d}"),
        format!("{left} \u{200f}– {right}"),
    ]);
    spellings
}

#[tokio::test]
async fn a_code_is_right_however_it_is_grouped_or_written() {
    let app = App::start().await;
    for number in 0..spellings("123456").len() {
        let email = format!("ann{number}@example.com");
        app.sign_up(&email).await;
        let code = spellings(&app.mail(&email).await.code).swap_remove(number);
        app.anyone().post("/auth/verify", json!({ "email": email, "code": code })).await.is(200);
        app.anyone().post("/auth/password/forgot", json!({ "email": email })).await.is(202);
        let code = spellings(&app.mail(&email).await.code).swap_remove(number);
        let body = json!({ "email": email, "code": code, "new_password": NEXT_PASSWORD });
        app.anyone().post("/auth/password/reset", body).await.is(204);
    }
}

#[tokio::test]
async fn what_is_left_of_a_code_must_be_six_digits() {
    let app = App::start().await;
    app.sign_up(ANN).await;
    let code = app.mail(ANN).await.code;
    for typed in
        ["", " - ", &code[1..], &format!("{code}0"), &format!("{code}a"), &format!("²{}", &code[1..])]
    {
        let body = json!({ "email": ANN, "code": typed });
        app.anyone().post("/auth/verify", body).await.refused(400, "verification_failed");
    }
    app.anyone().post("/auth/verify", json!({ "email": ANN, "code": code })).await.is(200);
}

/// A token as it may be pasted: with what stands around it in a mail, or as part of the link.
fn pasted(token: &str, link: &str) -> Vec<String> {
    let (start, end) = token.split_at(20);
    let escaped = link.replace(':', "%3A").replace('/', "%2F").replace('?', "%3F").replace('=', "%3D");
    vec![
        format!(" {token}\n"),
        format!("{token}."),
        format!("{token}),"),
        format!("<{token}>"),
        format!("\u{201c}{token}\u{201d}"),
        format!("{start}\r\n {end}"),
        format!("{start}\u{200b}{end}\u{feff}"),
        link.to_owned(),
        format!("<{link}>."),
        format!("{link}&utm_source=mail#top"),
        format!("token={token}"),
        format!("https://redirect.example/?url={escaped}"),
    ]
}

#[tokio::test]
async fn a_token_is_taken_out_of_what_was_pasted() {
    let app = App::start().await;
    for number in 0..pasted(&"A".repeat(43), "").len() {
        let email = format!("ann{number}@example.com");
        app.sign_up(&email).await;
        let mail = app.mail(&email).await;
        let token = pasted(mail.token(), &mail.link).swap_remove(number);
        app.anyone().post("/auth/verify", json!({ "token": token })).await.is(200);
        app.anyone().post("/auth/password/forgot", json!({ "email": email })).await.is(202);
        let mail = app.mail(&email).await;
        let token = pasted(mail.token(), &mail.link).swap_remove(number);
        let body = json!({ "token": token, "new_password": NEXT_PASSWORD });
        app.anyone().post("/auth/password/reset", body).await.is(204);
    }
}

#[tokio::test]
async fn a_link_with_a_full_stop_behind_it_opens_its_page() {
    let app = App::start().await;
    for number in 0..pasted(&"A".repeat(43), "").len() {
        let email = format!("ann{number}@example.com");
        app.sign_up(&email).await;
        let mail = app.mail(&email).await;
        let token = pasted(mail.token(), &mail.link).swap_remove(number);
        let page = app.anyone().get(&format!("/verify?token={}", encoded(&token))).await.is(200).text();
        assert!(page.contains(&format!("value=\"{}\"", mail.token())), "{token:?}: {page}");
        let fields = [("do", "confirm"), ("token", token.as_str())];
        let page = app.anyone().form("/verify", &fields).await.is(200).text();
        assert!(page.contains("Your address is confirmed"), "{token:?}: {page}");
    }
}

#[tokio::test]
async fn a_refresh_token_may_come_with_spaces_and_line_ends() {
    let app = App::start().await;
    app.sign_up(ANN).await;
    for path in ["/auth/refresh", "/auth/logout"] {
        let token = app.tokens(ANN).await["refresh_token"].as_str().unwrap().to_owned();
        let (start, end) = token.split_at(70);
        let sessions = "SELECT count(*) FROM sessions";
        let before: i64 = app.stored(sessions);
        let body = json!({ "refresh_token": format!("\u{feff} {start}\r\n{end}\u{200b}\n") });
        let status = if path == "/auth/refresh" { 200 } else { 204 };
        app.anyone().post(path, body).await.is(status);
        assert_eq!(app.stored::<i64>(sessions), before - i64::from(status == 204), "{path}");
    }
}

async fn rename(ann: &Caller<'_>, name: &str) -> crate::app::Answer {
    ann.patch("/me", json!({ "first_name": name })).await
}

#[tokio::test]
async fn a_name_keeps_what_its_script_needs_and_loses_what_hides_around_it() {
    let app = App::start().await;
    let ann = app.signed_in(ANN).await;
    for name in
        ["نرگس\u{200c}خاتون", "ශ්\u{200d}රී", "അവന്\u{200d}", "葛\u{e0100}城", "Kim 👩🏽\u{200d}🚀 ❤\u{fe0f}"]
    {
        for typed in [name.to_owned(), format!("\u{feff} {name}\u{200b}\u{202c}\n")] {
            assert_eq!(rename(&ann, &typed).await.is(200).body["first_name"], name, "{typed:?}");
        }
    }
    for nothing in ["", " ", "\u{200b}", "\u{feff} \u{2800}", "\u{3164}", "\u{200d}"] {
        let fields = rename(&ann, nothing).await.invalid_fields();
        assert_eq!(fields, [("first_name".to_owned(), "empty".to_owned())], "{nothing:?}");
    }
}

#[tokio::test]
async fn what_hides_within_a_name_is_refused_and_named() {
    let app = App::start().await;
    let ann = app.signed_in(ANN).await;
    for (name, hidden) in [
        ("An\u{200b}n", "U+200B"),
        ("An\u{202e}n", "U+202E"),
        ("An\nn", "U+000A"),
        ("An\u{ad}n", "U+00AD"),
        ("An\u{200d}n", "U+200D"),
        ("An\u{e0041}n", "U+E0041"),
        ("An\u{3164}n", "U+3164"),
    ] {
        let refused = rename(&ann, name).await.refused(422, "validation_failed");
        let error: &Value = &refused.body["errors"][0];
        assert_eq!(error["code"], "forbidden_character", "{name:?}");
        assert!(error["message"].as_str().unwrap().contains(hidden), "{error}");
    }
}

#[tokio::test]
async fn a_password_is_exactly_what_was_typed() {
    let app = App::start().await;
    let password = format!(" {PASSWORD}\u{200b}\u{a0}");
    let body = json!({ "email": ANN, "password": password });
    app.anyone().post("/auth/signup", body).await.is(201);
    for (typed, status) in [(PASSWORD, 401), (password.trim(), 401), (password.as_str(), 200)] {
        let body = json!({ "email": ANN, "password": typed });
        app.anyone().post("/auth/login", body).await.is(status);
    }
}
