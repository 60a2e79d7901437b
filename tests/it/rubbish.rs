//! Arbitrary input: whatever bytes come, every operation answers as its document says, and nothing panics.
//! `RUBBISH_ROUNDS` multiplies the number of cases, with other ones each time.

use std::{cell::RefCell, collections::BTreeMap};

use coffeeshop::{
    config::{Config, Period},
    domain::{Email, Name, Password, PlainCode, UserCursor, UserSort, fold},
};
use poem::http::{HeaderValue, Method, Uri};
use proptest::{
    collection::vec,
    prelude::*,
    sample::select,
    test_runner::{Config as Runs, RngSeed, TestCaseError, TestError, TestRunner},
};
use serde_json::{Map, Number, Value, json};

use crate::{
    app::{App, encoded},
    document::openapi,
};

/// What headers are tried.
const HEADERS: [&str; 12] = [
    "authorization",
    "x-forwarded-for",
    "content-type",
    "user-agent",
    "x-request-id",
    "cookie",
    "origin",
    "accept",
    "content-length",
    "transfer-encoding",
    "access-control-request-method",
    "forwarded",
];

/// An operation of the document: method, path, the names of the fields of its body and of its query.
type Operation = (Method, String, Vec<String>, Vec<String>);

/// A request before it is sent.
#[derive(Clone, Debug)]
struct Rubbish {
    operation: Operation,
    id: String,
    query: String,
    headers: Vec<(&'static str, Vec<u8>)>,
    media_type: String,
    body: Vec<u8>,
    who: usize,
}

fn operations() -> Vec<Operation> {
    let document = openapi();
    let mut operations = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let schema = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].as_str();
            let schema =
                schema.map(|name| &document["components"]["schemas"][name.rsplit('/').next().unwrap()]);
            let fields = schema.and_then(|schema| schema["properties"].as_object()).into_iter().flatten();
            let query =
                operation["parameters"].as_array().into_iter().flatten().filter(|p| p["in"] == "query");
            operations.push((
                method.to_uppercase().parse().unwrap(),
                path.clone(),
                fields.map(|(name, _)| name.clone()).collect(),
                query.map(|p| p["name"].as_str().unwrap().to_owned()).collect(),
            ));
        }
    }
    operations
}

/// Texts that have broken other programs, and any.
fn text() -> impl Strategy<Value = String> {
    let known = [
        "",
        " ",
        "ann@example.com",
        "ANN@EXAMPLE.COM ",
        "a@b",
        "@",
        "\"a b\"@example.com",
        "ａ@ｅxample.com",
        "a@xn--",
        "a@xn--0.com",
        "\u{0}",
        "\u{200b}\u{202e}",
        "\u{feff}",
        "e\u{301}".repeat(200).leak(),
        "mocha stirs slowly",
        "null",
        "-1",
        "1e999",
        "9223372036854775808",
        "' OR 1=1--",
        "../../etc/passwd",
        "{{7*7}}",
        "%00",
        "%zz",
        "☕".repeat(300).leak(),
        "admin",
        "verified",
        "eyJhbGciOiJub25lIn0..",
        "eyJhbGciOiJub25lIn0.e30.",
        "2026-11-22T09:30:00Z",
        "01a20484-5510-7459-83e3-5aa42d102753",
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "123456",
        "１２３４５６",
        "\r\nSet-Cookie: x=1",
        "<script>",
        "a".repeat(5_000).leak(),
    ];
    prop_oneof![3 => select(known.to_vec()).prop_map(str::to_owned), 1 => any::<String>(), 1 => ".{0,40}"]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        1 => Just(Value::Null),
        1 => any::<bool>().prop_map(Value::from),
        1 => any::<i64>().prop_map(Value::from),
        1 => any::<f64>().prop_map(|f| Number::from_f64(f).map_or(Value::Null, Value::Number)),
        8 => text().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec((text(), inner), 0..4).prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// Bodies: objects with the right names, with wrong ones, any JSON, any bytes, and JSON that is cut off.
fn body(fields: Vec<String>) -> impl Strategy<Value = Vec<u8>> {
    let length = fields.len();
    let object =
        vec(prop_oneof![4 => text().prop_map(Value::from), 1 => value()], length).prop_map(move |values| {
            Value::Object(fields.iter().cloned().zip(values).collect::<Map<_, _>>()).to_string().into_bytes()
        });
    prop_oneof![
        6 => object.clone(),
        1 => (object, any::<prop::sample::Index>(), any::<u8>()).prop_map(|(mut bytes, at, byte)| {
            let at = at.index(bytes.len());
            bytes[at] = byte;
            bytes
        }),
        1 => value().prop_map(|value| value.to_string().into_bytes()),
        1 => vec(any::<u8>(), 0..200),
        1 => Just(vec![b'['; 16_000]),
    ]
}

fn header() -> impl Strategy<Value = (&'static str, Vec<u8>)> {
    let bytes = prop_oneof![
        vec(any::<u8>(), 0..60),
        vec(128_u8.., 1..20),
        text().prop_map(String::into_bytes),
        text().prop_map(|text| format!("Bearer {text}").into_bytes()),
        vec(text(), 0..20).prop_map(|hops| hops.join(",").into_bytes()),
        select(vec![
            &b"https://shop.example"[..],
            b"null",
            b"application/json; charset=\xff",
            b"::1, 10.0.0.1",
            b"1.2.3.4:80"
        ])
        .prop_map(<[u8]>::to_vec),
    ];
    (select(HEADERS.to_vec()), bytes)
        .prop_filter("no header", |(_, bytes)| HeaderValue::from_bytes(bytes).is_ok())
}

fn rubbish() -> impl Strategy<Value = Rubbish> {
    select(operations()).prop_flat_map(|operation| {
        let mut names = operation.3.clone();
        names.push("access_token".to_owned());
        let pair = (select(names), text()).prop_map(|(name, text)| format!("{name}={}", encoded(&text)));
        let query = prop_oneof![
            2 => Just(String::new()),
            4 => vec(pair, 0..5).prop_map(|pairs| pairs.join("&")),
            1 => "[!-~]{0,60}",
        ];
        let media_type = prop_oneof![
            8 => Just("application/json".to_owned()),
            1 => select(vec!["", "text/plain", "APPLICATION/JSON ;x", "application/json,text/html"]).prop_map(str::to_owned),
        ];
        let id = prop_oneof![text().prop_map(|text| encoded(&text)), Just("x".to_owned())];
        let fields = operation.2.clone();
        (Just(operation), id, query, vec(header(), 0..4), media_type, body(fields), 0..3_usize).prop_map(
            |(operation, id, query, headers, media_type, body, who)| Rubbish {
                operation,
                id,
                query,
                headers,
                media_type,
                body,
                who,
            },
        )
    })
}

/// Runs a check over many cases: the same ones each time, unless the environment asks for rounds of them.
fn check<T: std::fmt::Debug>(
    cases: u32,
    strategy: impl Strategy<Value = T>,
    test: impl Fn(T) -> Result<(), TestCaseError>,
) {
    #[expect(clippy::disallowed_methods, reason = "the one setting of these tests")]
    let rounds = std::env::var("RUBBISH_ROUNDS").ok().map(|rounds| rounds.parse::<u32>().unwrap());
    let runs = Runs {
        cases: cases * rounds.unwrap_or(1),
        rng_seed: if rounds.is_some() { RngSeed::Random } else { RngSeed::Fixed(1) },
        failure_persistence: None,
        max_shrink_iters: 2_000,
        max_global_rejects: u32::MAX,
        ..Runs::default()
    };
    match TestRunner::new(runs).run(&strategy, test) {
        Ok(()) => {}
        Err(TestError::Fail(why, case)) => panic!("{why}: {case:?}"),
        Err(TestError::Abort(why)) => panic!("{why}"),
    }
}

#[test]
fn every_operation_takes_anything() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let app = runtime.block_on(App::with(|config| {
        config.server.trusted_proxies = serde_json::from_value(json!(["10.0.0.0/8", "::1"])).unwrap();
        config.server.cors_origins = vec!["https://shop.example".parse().unwrap()];
    }));
    let boss = runtime.block_on(app.admin());
    // A user who logged out, was deleted, or has another password, is replaced by another one.
    let ann = RefCell::new((0, app.anyone(), String::new()));
    let next = || {
        let number = ann.borrow().0 + 1;
        let (next, id) = runtime.block_on(async {
            let next = app.signed_in(&format!("ann{number}@example.com")).await;
            let id = next.id().await;
            (next, id)
        });
        *ann.borrow_mut() = (number, next, id);
    };
    next();
    let boss = RefCell::new(boss);
    let answered = RefCell::new(BTreeMap::<u16, u32>::new());
    check(1_500, rubbish(), |request| {
        let (method, template, _, _) = &request.operation;
        // Every other one is about a user who exists.
        let about = if request.id.len() % 2 == 0 { request.id.clone() } else { ann.borrow().2.clone() };
        let path = template.replace("{id}", &about);
        let path = if request.query.is_empty() { path } else { format!("{path}?{}", request.query) };
        prop_assume!(path.parse::<Uri>().is_ok());
        let mut who = [app.anyone(), ann.borrow().1.clone(), boss.borrow().clone()][request.who]
            .clone()
            .from("10.0.0.1");
        for (name, bytes) in &request.headers {
            who = who.header(name, bytes.clone());
        }
        // The caller holds every answer against the document.
        let answer = runtime.block_on(who.send_bytes(
            method.clone(),
            &path,
            &request.media_type,
            request.body.clone(),
        ));
        *answered.borrow_mut().entry(answer.status).or_default() += 1;
        prop_assert!(answer.status < 500, "{}: {}", answer.status, answer.text());
        if answer.status >= 400 {
            prop_assert_eq!(answer.header("content-type"), "application/problem+json");
            prop_assert_eq!(&answer.body["status"], answer.status);
        }
        prop_assert_eq!(answer.header("cache-control"), "no-store");
        prop_assert_eq!(answer.header("x-content-type-options"), "nosniff");
        let allowed = answer.headers.get("access-control-allow-origin");
        prop_assert!(allowed.is_none_or(|origin| origin == "https://shop.example"));
        if runtime.block_on(ann.borrow().1.get("/me")).status == 401 {
            next();
        }
        if runtime.block_on(boss.borrow().get("/me")).status == 401 {
            let another = format!("boss{}@example.com", ann.borrow().0);
            next();
            boss.replace(runtime.block_on(app.another_admin(&another)));
        }
        Ok(())
    });
    // Not every request was refused before it reached a handler.
    let answered = answered.into_inner();
    for status in [200, 204, 400, 401, 403, 404, 415, 422] {
        assert!(answered.contains_key(&status), "never {status}: {answered:?}");
    }
    runtime.block_on(boss.borrow().get("/users")).is(200);
}

#[test]
fn values_take_anything() {
    check(8_000, prop_oneof![text(), ".{0,300}", "[ -~]{0,80}@[a-z0-9.-]{0,80}"], |typed| {
        if let Ok(email) = Email::parse("email", &typed) {
            prop_assert!(email.as_str().len() <= 254 && email.as_str().contains('@'));
            let again =
                Email::parse("email", email.key()).map_err(|e| TestCaseError::fail(format!("{e:?}")))?;
            prop_assert_eq!(again.key(), email.key(), "the compared form is its own");
            prop_assert!(!email.as_str().chars().any(char::is_control));
        }
        if let Ok(name) = Name::parse("first_name", &typed) {
            prop_assert!(!name.as_str().trim().is_empty() && !name.as_str().chars().any(char::is_control));
        }
        if let Ok(password) = Password::parse("password", &typed) {
            prop_assert!(password.as_bytes().len() <= 4 * 4 * 256);
        }
        if let Some(code) = PlainCode::typed(&typed) {
            prop_assert!(code.as_str().len() == 6 && code.as_str().bytes().all(|b| b.is_ascii_digit()));
        }
        for sort in [UserSort::NewestFirst, UserSort::Email] {
            if let Some(cursor) = UserCursor::decode(&typed, sort) {
                prop_assert!(UserCursor::decode(&cursor.encode(sort), sort).is_some());
            }
        }
        if let Ok(period) = typed.parse::<Period>() {
            prop_assert_eq!(period.to_string().parse::<Period>().ok(), Some(period));
        }
        let _ = fold(&typed);
        Ok(())
    });
}

#[test]
fn a_forged_cursor_only_moves_along_the_list() {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let app = runtime.block_on(App::start());
    let boss = runtime.block_on(app.admin());
    let sorts = select(vec!["created_at", "-created_at", "email", "-email", "x"]);
    let made = (sorts.clone(), sorts, any::<Option<i64>>(), proptest::option::of(text()), value()).prop_map(
        |(asked, sort, at, key, more)| {
            let at = at.map(|at| json!([at, "01a20484-5510-7459-83e3-5aa42d102753"]));
            (
                asked,
                [json!({ "sort": sort, "at": at, "key": key }), json!({ "sort": sort, "at": more }), more],
            )
        },
    );
    check(200, made, |(asked, cursors)| {
        for cursor in cursors {
            let cursor = URL_SAFE_NO_PAD.encode(cursor.to_string());
            for path in [format!("/users?sort={asked}&cursor={cursor}"), format!("/audit?cursor={cursor}")] {
                if path.len() > 8_000 {
                    continue;
                }
                let answer = runtime.block_on(boss.get(&path));
                prop_assert!(
                    answer.status == 200 || answer.status == 400,
                    "{}: {}",
                    answer.status,
                    answer.body
                );
            }
        }
        Ok(())
    });
}

#[test]
fn settings_take_anything_and_say_in_one_line_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    let whole = include_str!("../../config.toml");
    let keys: Vec<String> = {
        let table: toml::Table = whole.parse().unwrap();
        table
            .iter()
            .flat_map(|(section, keys)| {
                keys.as_table()
                    .unwrap()
                    .keys()
                    .map(move |key| format!("COFFEESHOP_{section}__{key}").to_uppercase())
            })
            .collect()
    };
    let broken = (any::<prop::sample::Index>(), vec(any::<u8>(), 0..6), 0..20_usize).prop_map(
        move |(at, new, cut)| {
            let mut bytes = whole.as_bytes().to_vec();
            let at = at.index(bytes.len());
            let end = (at + cut).min(bytes.len());
            bytes.splice(at..end, new);
            bytes
        },
    );
    let file = prop_oneof![2 => broken, 1 => vec(any::<u8>(), 0..200), 1 => Just(whole.as_bytes().to_vec())];
    let variables = vec((select(keys), text()), 0..3);
    check(700, (file, variables), |(file, variables)| {
        std::fs::write(&path, file).unwrap();
        let variables = variables.into_iter().map(|(name, text)| (name.into(), text.into()));
        if let Err(error) = Config::load(Some(&path), variables) {
            let line = error.to_string();
            prop_assert!(!line.is_empty() && !line.contains('\n'), "{line:?}");
        }
        Ok(())
    });
}
