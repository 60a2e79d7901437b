//! Refusals: each is a problem with a code for programs and a sentence for people.

use std::time::Duration;

use poem::http::Method;
use serde_json::{Value, json};

use crate::app::{Answer, App, PASSWORD};

const ANN: &str = "ann@example.com";
const JSON: &str = "application/json";

async fn post_bytes(app: &App, media_type: &str, body: impl Into<Vec<u8>>) -> Answer {
    app.anyone().send_bytes(Method::POST, "/auth/signup", media_type, body.into()).await
}

const SHOP: &str = "https://shop.example";

async fn with_origin() -> App {
    App::with(|config| config.server.cors_origins = vec![SHOP.parse().unwrap()]).await
}

fn padded(bytes: usize) -> Vec<u8> {
    let body = json!({ "email": ANN, "password": PASSWORD }).to_string();
    format!("{body}{}", " ".repeat(bytes - body.len())).into_bytes()
}

#[tokio::test]
async fn a_body_that_is_no_json_object_is_malformed() {
    let app = App::start().await;
    for body in [
        "",
        " ",
        "{",
        "null",
        "5",
        "\"text\"",
        "[]",
        "[{\"email\":\"ann@example.com\"}]",
        "{\"email\":\"ann@example.com\",}",
        "{'email':'ann@example.com'}",
        "{\"email\":\"ann@example.com\"} {}",
        "{\"email\":\"\\ud800\"}",
        "{\"email\":1e999}",
        "email=ann@example.com",
        "\u{feff}{}",
    ] {
        post_bytes(&app, JSON, body).await.refused(400, "malformed_request");
    }
}

#[tokio::test]
async fn a_body_that_is_not_utf_8_is_malformed() {
    let app = App::start().await;
    let latin = [b"{\"email\":\"jos".as_slice(), &[0xe9], b"@example.com\",\"password\":\"x\"}"].concat();
    post_bytes(&app, JSON, latin).await.refused(400, "malformed_request");
    let wide: Vec<u8> = "{}".encode_utf16().flat_map(u16::to_le_bytes).collect();
    post_bytes(&app, JSON, wide).await.refused(400, "malformed_request");
}

#[tokio::test]
async fn a_body_that_is_nested_without_end_is_refused() {
    let app = App::start().await;
    let nested = |depth: usize| format!("{{\"email\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
    post_bytes(&app, JSON, nested(8_000)).await.refused(400, "malformed_request");
    post_bytes(&app, JSON, nested(32)).await.refused(400, "malformed_request");
    post_bytes(&app, JSON, nested(31)).await.refused(422, "validation_failed");
}

#[tokio::test]
async fn a_body_with_two_media_types_is_refused() {
    let app = App::start().await;
    for (first, second) in [
        ("application/json", "application/json"),
        ("application/json", "text/plain"),
        ("text/plain", "application/json"),
    ] {
        let twice = app.anyone().header("content-type", second);
        let body = json!({ "email": "ann@example.com", "password": PASSWORD }).to_string().into_bytes();
        let answer = twice.send_bytes(Method::POST, "/auth/signup", first, body).await;
        answer.refused(415, "unsupported_media_type");
    }
    let form = "application/x-www-form-urlencoded";
    let twice = app.anyone().header("content-type", form);
    twice.form("/verify", &[("do", "ask")]).await.refused(415, "unsupported_media_type");
}

#[tokio::test]
async fn a_field_of_a_page_that_comes_twice_is_refused() {
    let app = App::start().await;
    for page in ["/verify", "/reset"] {
        let twice = [("do", "ask"), ("email", "ann@example.com"), ("email", "eve@example.com")];
        app.anyone().form(page, &twice).await.refused(400, "malformed_request");
        app.anyone().get(&format!("{page}?token=a&token=b")).await.refused(400, "malformed_request");
    }
}

#[tokio::test]
async fn a_body_of_another_media_type_is_refused() {
    let app = App::start().await;
    let body = json!({ "email": ANN, "password": PASSWORD }).to_string();
    for media_type in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/xml",
        "application/jsonp",
        "application/octet-stream",
        "json",
    ] {
        post_bytes(&app, media_type, body.clone()).await.refused(415, "unsupported_media_type");
    }
    app.anyone().post("/auth/signup", None).await.refused(415, "unsupported_media_type");
    for media_type in ["application/json; charset=utf-8", "Application/JSON"] {
        post_bytes(&app, media_type, "{}").await.refused(422, "validation_failed");
    }
}

#[tokio::test]
async fn a_body_has_16_kib_at_most() {
    let app = App::start().await;
    post_bytes(&app, JSON, padded(16 * 1024 + 1)).await.refused(413, "payload_too_large");
    post_bytes(&app, JSON, padded(1_000_000)).await.refused(413, "payload_too_large");
    let announced = app.anyone().header("content-length", "1000000");
    let announced = announced.send_bytes(Method::POST, "/auth/signup", JSON, padded(1_000_000)).await;
    announced.refused(413, "payload_too_large");
    assert_eq!(app.stored::<i64>("SELECT count(*) FROM users"), 0);
    post_bytes(&app, JSON, padded(16 * 1024)).await.is(201);
}

#[tokio::test]
async fn validation_errors_are_reported_by_field() {
    let app = App::start().await;
    let answer = post_bytes(&app, JSON, "{\"email\":\"ann\"}").await.refused(422, "validation_failed");
    let errors = answer.body["errors"].as_array().unwrap();
    assert_eq!(errors.len(), 2);
    for error in errors {
        assert_eq!(error.as_object().unwrap().len(), 3, "{error}");
        assert!(error["message"].as_str().unwrap().contains(error["field"].as_str().unwrap()), "{error}");
    }
}

#[tokio::test]
async fn a_refused_name_is_not_echoed_at_length() {
    let app = App::start().await;
    let body = format!("{{\"{}\":1}}", "x".repeat(10_000));
    let answer = post_bytes(&app, JSON, body).await.refused(422, "validation_failed");
    assert!(answer.bytes.len() < 2_000, "{}", answer.bytes.len());
}

#[tokio::test]
async fn a_path_that_is_nowhere_is_not_found() {
    let app = App::start().await;
    for path in [
        "/",
        "/nope",
        "/auth",
        "/auth/login/",
        "/me/",
        "/users/",
        "/v1/me",
        "/AUTH/LOGIN",
        "/users/1/2",
        "/auth//login",
        "/%00",
        "/docs/",
        "/..%2f..%2fetc%2fpasswd",
    ] {
        app.anyone().get(path).await.refused(404, "not_found");
        app.anyone().post(path, json!({})).await.refused(404, "not_found");
    }
}

#[tokio::test]
async fn a_405_lists_the_methods_of_the_path() {
    let app = App::start().await;
    for (path, allowed) in [
        ("/auth/signup", "POST"),
        ("/auth/verify", "POST"),
        ("/auth/verify/resend", "POST"),
        ("/auth/login", "POST"),
        ("/auth/refresh", "POST"),
        ("/auth/logout", "POST"),
        ("/auth/logout-all", "POST"),
        ("/auth/password/forgot", "POST"),
        ("/auth/password/reset", "POST"),
        ("/me", "DELETE, GET, HEAD, PATCH"),
        ("/me/password", "POST"),
        ("/me/email", "POST"),
        ("/me/export", "GET, HEAD"),
        ("/me/sessions", "GET, HEAD"),
        ("/me/sessions/01a20484-5510-7459-83e3-5aa42d102753", "DELETE"),
        ("/audit", "GET, HEAD"),
        ("/verify", "GET, HEAD, POST"),
        ("/reset", "GET, HEAD, POST"),
        ("/pages.css", "GET, HEAD"),
        ("/users", "GET, HEAD, POST"),
        ("/users/01a20484-5510-7459-83e3-5aa42d102753/sessions", "DELETE, GET, HEAD"),
        ("/users/01a20484-5510-7459-83e3-5aa42d102753", "DELETE, GET, HEAD, PATCH"),
        ("/users/nope", "DELETE, GET, HEAD, PATCH"),
        ("/healthz", "GET, HEAD"),
        ("/readyz", "GET, HEAD"),
        ("/docs", "GET, HEAD"),
        ("/docs/docs.css", "GET, HEAD"),
        ("/docs/docs.js", "GET, HEAD"),
        ("/openapi.json", "GET, HEAD"),
        ("/.well-known/jwks.json", "GET, HEAD"),
    ] {
        for method in [
            Method::GET,
            Method::POST,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
            Method::OPTIONS,
            Method::TRACE,
        ] {
            if allowed.split(", ").any(|allowed| allowed == method.as_str()) {
                continue;
            }
            let answer = app.anyone().send(method.clone(), path, None).await;
            let answer = answer.refused(405, "method_not_allowed");
            assert_eq!(answer.header("allow"), allowed, "{method} {path}");
        }
    }
}

#[tokio::test]
async fn a_401_names_the_authentication_scheme() {
    let app = App::start().await;
    for (method, path) in [
        (Method::GET, "/me"),
        (Method::PATCH, "/me"),
        (Method::POST, "/auth/logout-all"),
        (Method::GET, "/users"),
        (Method::GET, "/users/01a20484-5510-7459-83e3-5aa42d102753"),
        (Method::PATCH, "/users/01a20484-5510-7459-83e3-5aa42d102753"),
        (Method::DELETE, "/users/01a20484-5510-7459-83e3-5aa42d102753"),
    ] {
        let answer = app.anyone().send(method, path, None).await.refused(401, "invalid_token");
        assert!(answer.header("www-authenticate").starts_with("Bearer"));
    }
}

#[tokio::test]
async fn a_sane_request_id_is_echoed_and_another_replaced() {
    let app = App::start().await;
    let long = "a".repeat(64);
    for id in ["a", "req-1_2.3", "019aaf6e-5040-7b52-8f4e-2d1b93c6a7d0", &long] {
        let answer = app.anyone().header("x-request-id", id).get("/me").await.refused(401, "invalid_token");
        assert_eq!(answer.header("x-request-id"), id);
    }
    for id in ["", "a b", "a;b", "<script>", "a\"b", &"a".repeat(65), "a/b"] {
        let answer = app.anyone().header("x-request-id", id).get("/healthz").await.is(200);
        let given = answer.header("x-request-id");
        assert_ne!(given, id);
        given.parse::<uuid::Uuid>().unwrap();
    }
    let ids = [app.anyone().get("/healthz").await, app.anyone().get("/healthz").await];
    assert_ne!(ids[0].header("x-request-id"), ids[1].header("x-request-id"));
}

#[tokio::test]
async fn a_problem_has_these_members_and_no_others() {
    let app = App::start().await;
    let answer = app.anyone().header("x-request-id", "r1").get("/me").await.refused(401, "invalid_token");
    let expected = json!({
        "type": "about:blank",
        "title": "Invalid access token",
        "status": 401,
        "detail": answer.body["detail"],
        "code": "invalid_token",
        "request_id": "r1",
    });
    assert_eq!(answer.body, expected);
    assert_eq!(answer.header("cache-control"), "no-store");
}

#[tokio::test]
async fn a_healthy_server_says_so() {
    let app = App::start().await;
    for path in ["/healthz", "/readyz"] {
        assert_eq!(app.anyone().get(path).await.is(200).body, json!({ "status": "ok" }));
    }
}

#[tokio::test]
async fn a_server_whose_store_cannot_be_read_is_alive_and_not_ready() {
    let app = App::start().await;
    app.execute(&format!("ALTER TABLE {} RENAME TO lost", app.sql.either("users", "store_info")));
    app.anyone().get("/healthz").await.is(200);
    app.anyone().get("/readyz").await.refused(503, "unavailable");
}

#[tokio::test]
async fn a_panic_is_internal_and_reveals_no_internals() {
    let app = App::start().await;
    app.sign_up(ANN).await;
    // A rule that the program does not know of.
    app.execute("CREATE UNIQUE INDEX one_each ON sessions (user_id)");
    app.log_in(ANN).await;
    let answer = app.anyone().post("/auth/login", json!({ "email": ANN, "password": PASSWORD })).await;
    let text = answer.refused(500, "internal").body.to_string().to_lowercase();
    for word in ["unique", "taken", "sql", "sessions", "panic", "src/"] {
        assert!(!text.contains(word), "{text}");
    }
}

#[tokio::test]
async fn an_impossible_value_is_unavailable_and_reveals_no_internals() {
    let app = App::start().await;
    app.sign_up(ANN).await;
    app.execute("UPDATE users SET password_hash = 'nonsense'");
    let answer = app.anyone().post("/auth/login", json!({ "email": ANN, "password": PASSWORD })).await;
    let text = answer.refused(503, "unavailable").body.to_string().to_lowercase();
    for word in ["nonsense", "sql", "argon", "hash", "phc", "panic", "src/"] {
        assert!(!text.contains(word), "{text}");
    }
}

#[tokio::test]
async fn a_store_that_is_locked_is_unavailable_and_nothing_was_changed() {
    let app = App::start().await;
    let lock = app.sql.lock();
    let answer = app.anyone().post("/auth/signup", json!({ "email": ANN, "password": PASSWORD })).await;
    let answer = answer.refused(503, "unavailable");
    assert!(answer.header("retry-after").parse::<u32>().unwrap() > 0);
    let text = answer.body.to_string().to_lowercase();
    assert!(!text.contains("sql") && !text.contains("lock") && !text.contains(".db"), "{text}");
    lock.release();
    assert_eq!(app.stored::<i64>("SELECT count(*) FROM users"), 0);
    app.sign_up(ANN).await;
}

#[tokio::test]
async fn a_server_with_too_many_passwords_to_check_asks_to_come_back() {
    let app = App::with(|config| {
        config.password.max_concurrent_hashes = 1;
        config.password.memory_kib = 2_048;
    })
    .await;
    let log_in = async |number| {
        let body = json!({ "email": format!("guest{number}@example.com"), "password": PASSWORD });
        app.anyone().post("/auth/login", body).await
    };
    let answers = futures_util::future::join_all((0..200).map(log_in)).await;
    let busy = answers.iter().filter(|answer| answer.status == 503).collect::<Vec<_>>();
    assert!(!busy.is_empty() && busy.len() < 200, "{}", busy.len());
    for answer in busy {
        let answer = answer.clone().refused(503, "unavailable");
        assert!(answer.header("retry-after").parse::<u32>().unwrap() > 0);
    }
    log_in(0).await.refused(401, "invalid_credentials");
}

#[tokio::test]
async fn pages_of_other_origins_may_read_only_if_the_shop_says_so() {
    let closed = App::start().await.anyone().header("origin", SHOP).get("/healthz").await.is(200);
    assert_eq!(closed.header("access-control-allow-origin"), "");
    let app = with_origin().await;
    let open = app.anyone().header("origin", SHOP).get("/healthz").await.is(200);
    assert_eq!(open.header("access-control-allow-origin"), SHOP);
    assert_eq!(open.header("access-control-allow-credentials"), "");
}

#[tokio::test]
async fn a_page_may_ask_first_what_it_may_send() {
    let app = with_origin().await;
    let asked = app.anyone().header("origin", SHOP).header("access-control-request-method", "POST");
    let asked = asked.header("access-control-request-headers", "authorization,content-type");
    let answer = asked.send(Method::OPTIONS, "/auth/login", None).await.is(204);
    assert_eq!(answer.header("access-control-allow-origin"), SHOP);
    let allowed = |name| answer.header(name).to_lowercase();
    assert!(allowed("access-control-allow-methods").contains("post"));
    assert!(allowed("access-control-allow-headers").contains("authorization"));
    assert!(allowed("access-control-allow-headers").contains("content-type"));
}

#[tokio::test]
async fn a_page_of_an_origin_that_was_not_named_may_not_read() {
    let app = with_origin().await;
    let answer = app.anyone().header("origin", "https://evil.example").get("/healthz").await;
    assert_eq!(answer.header("access-control-allow-origin"), "");
}

#[tokio::test]
async fn apps_and_subdomains_can_be_named_as_origins() {
    let named =
        ["capacitor://localhost", "tauri://localhost", "https://*.shop.example", "https://bücher.example"];
    let app = App::with(|config| {
        config.server.cors_origins = named.iter().map(|origin| origin.parse().unwrap()).collect();
    })
    .await;
    for origin in [
        "capacitor://localhost",
        "tauri://localhost",
        "https://www.shop.example",
        "https://a.b.shop.example",
        "https://xn--bcher-kva.example",
    ] {
        let answer = app.anyone().header("origin", origin).get("/healthz").await.is(200);
        assert_eq!(answer.header("access-control-allow-origin"), origin);
    }
    for origin in
        ["ionic://localhost", "capacitor://evil", "https://shop.example", "https://evilshop.example", "null"]
    {
        let answer = app.anyone().header("origin", origin).get("/healthz").await.is(200);
        assert_eq!(answer.header("access-control-allow-origin"), "", "{origin}");
    }
}

#[tokio::test]
async fn our_own_pages_work_whatever_other_origins_may() {
    let app = with_origin().await;
    app.sign_up(ANN).await;
    let own = app.anyone().header("origin", app.config.server.public_url.as_str());
    own.post("/auth/login", json!({ "email": ANN, "password": PASSWORD })).await.is(200);
}

#[tokio::test]
async fn a_head_request_is_a_get_without_a_body() {
    let app = App::start().await;
    let boss = app.admin().await;
    for path in ["/healthz", "/docs", "/openapi.json", "/me", "/users", "/.well-known/jwks.json"] {
        let answer = boss.send(Method::HEAD, path, None).await.is(200);
        assert_eq!((answer.bytes.len(), &answer.body), (0, &Value::Null), "{path}");
    }
}

#[tokio::test]
async fn an_answer_to_one_person_is_kept_in_no_cache() {
    let app = App::start().await;
    let ann = app.signed_in(ANN).await;
    app.wait(Duration::from_secs(1));
    assert_eq!(ann.get("/me").await.is(200).header("cache-control"), "no-store");
}

#[tokio::test]
async fn every_answer_tells_browsers_to_keep_guess_and_frame_nothing() {
    let app = App::start().await;
    let boss = app.admin().await;
    let answers = [
        app.anyone().get("/healthz").await.is(200),
        app.anyone().get("/me").await.is(401),
        app.anyone().get("/nowhere").await.is(404),
        app.anyone().delete("/healthz").await.is(405),
        app.anyone().post("/auth/signup", json!({})).await.is(422),
        app.anyone().post("/auth/password/forgot", json!({ "email": "ann@example.com" })).await.is(202),
        app.anyone().get("/docs").await.is(200),
        app.anyone().get("/verify").await.is(200),
        app.anyone().get("/pages.css").await.is(200),
        boss.get("/me").await.is(200),
        boss.post("/auth/logout-all", None).await.is(204),
    ];
    for answer in answers {
        assert_eq!(answer.header("cache-control"), "no-store", "{answer:?}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{answer:?}");
        assert_eq!(answer.header("referrer-policy"), "no-referrer", "{answer:?}");
        assert_eq!(answer.header("x-frame-options"), "DENY", "{answer:?}");
        let policy = answer.header("content-security-policy");
        assert!(
            policy.starts_with("default-src 'none'") && policy.contains("frame-ancestors 'none'"),
            "{answer:?}"
        );
        assert_eq!(answer.header("strict-transport-security"), "", "people come by http: {answer:?}");
        assert_eq!((answer.header("server"), answer.header("x-powered-by")), ("", ""), "{answer:?}");
    }
    let secure = App::with(|config| config.server.public_url = "https://shop.example".to_owned()).await;
    let answer = secure.anyone().get("/healthz").await.is(200);
    assert_eq!(answer.header("strict-transport-security"), "max-age=31536000");
}
