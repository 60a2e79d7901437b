//! Refused queries: each answer names the parameter, its rule and a valid value.

use poem::http::Method;
use serde_json::json;

use crate::app::{Answer, App};

const ID: &str = "019aaf6e-5040-7b52-8f4e-2d1b93c6a7d0";

/// The one problem of a refused query, as `[field, code, message]`; its sentence is the detail, too.
#[track_caller]
fn only_problem(answer: Answer) -> [String; 3] {
    let body = answer.refused(400, "malformed_request").body;
    let [problem] = &body["errors"].as_array().unwrap()[..] else { panic!("{body}") };
    assert_eq!(problem["message"], body["detail"]);
    ["field", "code", "message"].map(|member| problem[member].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_refused_query_names_the_parameter_and_its_rule() {
    let app = App::start().await;
    let boss = app.admin().await;
    let number = "must be a whole number from 1 to 200.";
    let boolean = "must be true or false.";
    let id = "must be a UUID such as 019aaf6e-5040-7b52-8f4e-2d1b93c6a7d0.";
    for (path, field, code, rule) in [
        ("/users?limit=201", "limit", "out_of_range", number),
        ("/users?limit=0", "limit", "out_of_range", number),
        ("/users?limit=ten", "limit", "wrong_type", number),
        ("/users?limit=", "limit", "wrong_type", number),
        ("/users?limit=5.5", "limit", "wrong_type", number),
        ("/users?limit=99999999999999999999", "limit", "wrong_type", number),
        ("/users?role=Admin", "role", "unknown_value", "must be one of: user, admin."),
        ("/users?status=", "status", "unknown_value", "must be one of: unverified, verified."),
        (
            "/users?sort=name",
            "sort",
            "unknown_value",
            "must be one of: -created_at, created_at, email, -email.",
        ),
        ("/users?disabled=1", "disabled", "wrong_type", boolean),
        ("/users?include_total=True", "include_total", "wrong_type", boolean),
        ("/users?cursor=abc", "cursor", "invalid_cursor", "must be a next_cursor of a list in this sort."),
        ("/audit?limit=201", "limit", "out_of_range", number),
        ("/audit?user_id=ann@example.com", "user_id", "wrong_type", id),
        ("/audit?actor_id=1", "actor_id", "wrong_type", id),
        ("/audit?cursor=abc", "cursor", "invalid_cursor", "must be a next_cursor of this list."),
    ] {
        let [named, kind, message] = only_problem(boss.get(path).await);
        assert_eq!((&*named, &*kind), (field, code), "{path}");
        assert_eq!(message, format!("The query parameter {field} {rule}"), "{path}");
    }
    let [field, code, message] = only_problem(boss.get("/audit?action=user.baptised").await);
    assert_eq!((&*field, &*code), ("action", "unknown_value"));
    assert!(message.contains("one of: user.signed_up, user.invited, "), "{message}");
    let [field, code, message] = only_problem(boss.get(&format!("/users?q={}", "x".repeat(255))).await);
    assert_eq!((&*field, &*code), ("q", "too_long"));
    assert_eq!(message, "The query parameter q must have at most 254 characters.");
}

#[tokio::test]
async fn all_errors_of_a_query_are_reported_at_once() {
    let app = App::start().await;
    let boss = app.admin().await;
    let body = boss.get("/users?limit=0&role=king&page=2").await.refused(400, "malformed_request").body;
    let fields: Vec<_> = body["errors"].as_array().unwrap().iter().map(|error| &error["field"]).collect();
    assert_eq!(fields, ["limit", "role", "page"]);
    assert_eq!(body["detail"], "3 query parameters are invalid; errors names each one.");
}

#[tokio::test]
async fn a_query_parameter_that_does_not_exist_is_refused_by_name() {
    let app = App::start().await;
    let boss = app.admin().await;
    let [field, code, message] = only_problem(boss.get("/audit?since=yesterday").await);
    assert_eq!((&*field, &*code), ("since", "unknown_parameter"));
    let rest = "This operation has the query parameters: limit, cursor, user_id, actor_id, action.";
    assert_eq!(message, format!("Unknown query parameter since. {rest}"));
    for (method, path) in [
        (Method::GET, "/me".to_owned()),
        (Method::DELETE, "/me/sessions/".to_owned() + ID),
        (Method::GET, "/users/".to_owned() + ID),
        (Method::PATCH, "/users/".to_owned() + ID),
        (Method::POST, "/auth/login".to_owned()),
        (Method::GET, "/healthz".to_owned()),
        (Method::GET, "/.well-known/jwks.json".to_owned()),
    ] {
        let answer = boss.send(method.clone(), &format!("{path}?Limit=5"), None).await;
        let [field, code, message] = only_problem(answer);
        assert_eq!((&*field, &*code), ("Limit", "unknown_parameter"), "{method} {path}");
        assert_eq!(message, "Unknown query parameter Limit. This operation has no query parameters.");
    }
}

#[tokio::test]
async fn a_query_parameter_that_comes_twice_is_refused_by_name() {
    let app = App::start().await;
    let boss = app.admin().await;
    let [field, code, message] = only_problem(boss.get("/users?role=user&limit=5&role=admin").await);
    assert_eq!((&*field, &*code), ("role", "duplicate_parameter"));
    assert_eq!(message, "The query parameter role is repeated. Send it once.");
}

#[tokio::test]
async fn a_query_is_judged_after_the_rights_of_its_sender() {
    let app = App::start().await;
    let ann = app.signed_in("ann@example.com").await;
    ann.get("/users?page=2").await.refused(403, "forbidden");
    app.anyone().get("/users?page=2").await.refused(401, "invalid_token");
    app.anyone().get("/me?page=2").await.refused(401, "invalid_token");
    ann.get("/nowhere?page=2").await.refused(404, "not_found");
    ann.send(Method::PUT, "/me?page=2", None).await.refused(405, "method_not_allowed");
}

#[tokio::test]
async fn pages_take_a_query_that_they_do_not_know() {
    let app = App::start().await;
    for path in ["/verify?token=x&utm_source=mail", "/reset?fbclid=1", "/docs?q=1", "/openapi.json?v=2"] {
        app.anyone().get(path).await.is(200);
    }
}

#[tokio::test]
async fn a_refused_query_is_not_echoed_at_length() {
    let app = App::start().await;
    let many: Vec<_> = (0..1_000).map(|number| format!("a{number}=1")).collect();
    let answer = app.anyone().get(&format!("/healthz?{}", many.join("&"))).await;
    let answer = answer.refused(400, "malformed_request");
    assert_eq!(answer.body["errors"].as_array().map(Vec::len), Some(20));
    let long = "x".repeat(8_000);
    let answer = app.anyone().get(&format!("/healthz?{long}=1")).await.refused(400, "malformed_request");
    assert!(answer.bytes.len() < 1_000, "{}", answer.bytes.len());
}

#[tokio::test]
async fn what_a_query_may_say_is_taken() {
    let app = App::start().await;
    let boss = app.admin().await;
    for query in [
        "",
        "limit=1",
        "limit=200",
        "q=",
        "q=a%20b&role=admin&status=verified&disabled=false&sort=-email&include_total=true",
    ] {
        boss.get(&format!("/users?{query}")).await.is(200);
    }
    boss.get(&format!("/audit?user_id={ID}&actor_id={ID}&action=user.created")).await.is(200);
    let head = boss.send(Method::HEAD, "/users?limit=1", None).await;
    assert_eq!((head.status, head.body), (200, json!(null)));
}
