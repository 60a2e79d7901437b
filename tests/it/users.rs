//! Users: found, listed, changed and deleted by admins only.

use std::{collections::HashSet, time::Duration};

use coffeeshop::{
    core::Error,
    domain::{Origin, UserId},
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::app::{Answer, App, Caller, PASSWORD, encoded};
use crate::sqlite_only::sqlite_only;

const ANN: &str = "ann@example.com";
const SORTS: [&str; 4] = ["created_at", "-created_at", "email", "-email"];

fn emails(page: &Value) -> Vec<String> {
    page["items"].as_array().unwrap().iter().map(|user| user["email"].as_str().unwrap().to_owned()).collect()
}

/// The addresses in a list, in order of address.
async fn found(boss: &Caller<'_>, query: &str) -> Vec<String> {
    emails(&boss.get(&format!("/users?sort=email&{query}")).await.is(200).body)
}

fn path(user: &Value) -> String {
    format!("/users/{}", user["id"].as_str().unwrap())
}

async fn sign_up(app: &App, email: &str, first_name: &str, last_name: &str) -> Value {
    let body =
        json!({ "email": email, "password": PASSWORD, "first_name": first_name, "last_name": last_name });
    app.anyone().post("/auth/signup", body).await.is(201).body
}

async fn send(caller: &Caller<'_>, method: &str, path: &str) -> Answer {
    match method {
        "GET" => caller.get(path).await,
        "PATCH" => caller.patch(path, json!({ "first_name": "Eve" })).await,
        _ => caller.delete(path).await,
    }
}

#[tokio::test]
async fn only_admins_see_other_users() {
    let app = App::start().await;
    let ann = app.signed_in(ANN).await;
    let other = path(&app.sign_up("bob@example.com").await);
    let unknown = format!("/users/{}", Uuid::now_v7());
    for method in ["GET", "PATCH", "DELETE"] {
        let one = send(&ann, method, &other).await.refused(403, "forbidden");
        assert_eq!(one.look(), send(&ann, method, &unknown).await.look(), "{method}");
    }
    let own = format!("/users/{}", ann.id().await);
    ann.delete(&own).await.refused(403, "forbidden");
    ann.get(&own).await.refused(403, "forbidden");
    ann.get("/users").await.refused(403, "forbidden");
    ann.get("/users?limit=0").await.refused(403, "forbidden");
}

#[tokio::test]
async fn an_anonymous_caller_sees_no_users() {
    let app = App::start().await;
    let ann = path(&app.sign_up(ANN).await);
    for path in [&ann, "/users", &format!("/users/{}", Uuid::now_v7())] {
        app.anyone().get(path).await.refused(401, "invalid_token");
    }
    for method in ["PATCH", "DELETE"] {
        send(&app.anyone(), method, &ann).await.refused(401, "invalid_token");
    }
}

#[tokio::test]
async fn an_admin_sees_a_user_as_the_user_does() {
    let app = App::start().await;
    let (boss, ann) = (app.admin().await, app.signed_in(ANN).await);
    let me = ann.me().await;
    assert_eq!(boss.get(&path(&me)).await.is(200).body, me);
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let app = App::start().await;
    let boss = app.admin().await;
    let gone = app.sign_up(ANN).await;
    boss.delete(&path(&gone)).await.is(204);
    let unknown = format!("/users/{}", Uuid::now_v7());
    for path in
        [&path(&gone), &unknown, "/users/nope", "/users/1", "/users/00000000-0000-0000-0000-000000000000"]
    {
        for method in ["GET", "PATCH", "DELETE"] {
            send(&boss, method, path).await.refused(404, "not_found");
        }
    }
}

#[tokio::test]
async fn pages_neither_skip_nor_repeat_while_users_come_and_go() {
    for sort in SORTS {
        let app = App::start().await;
        let boss = app.admin().await;
        let (mut staying, mut leaving) = (HashSet::from(["boss@example.com".to_owned()]), Vec::new());
        for number in 0..14 {
            let email = format!("{}{number}@example.com", if number % 2 == 0 { 'a' } else { 'm' });
            let user = app.sign_up(&email).await;
            match number % 4 {
                3 => leaving.push(user),
                _ => _ = staying.insert(email),
            }
            if number % 3 == 0 {
                app.wait(Duration::from_millis(1));
            }
        }
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        for round in 0.. {
            let page = boss.get(&format!("/users?limit=3&sort={sort}{cursor}")).await.is(200).body;
            assert!(page["items"].as_array().unwrap().len() <= 3);
            seen.extend(page["items"].as_array().unwrap().iter().cloned());
            let Some(next) = page["next_cursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
            if let Some(user) = leaving.pop() {
                boss.delete(&path(&user)).await.is(204);
            }
            if round < 4 {
                app.sign_up(&format!("g{round}@example.com")).await;
            }
        }
        let key = |user: &Value| match sort.trim_start_matches('-') {
            "email" => user["email"].to_string(),
            _ => format!("{}{}", user["created_at"], user["id"]),
        };
        let mut sorted = seen.clone();
        sorted.sort_by_key(key);
        if sort.starts_with('-') {
            sorted.reverse();
        }
        assert_eq!(seen, sorted, "{sort}");
        let emails: Vec<_> = seen.iter().map(|user| user["email"].as_str().unwrap().to_owned()).collect();
        let different: HashSet<_> = emails.iter().cloned().collect();
        assert_eq!(different.len(), emails.len(), "{sort} repeats: {emails:?}");
        assert!(staying.is_subset(&different), "{sort} skips: {emails:?}");
    }
}

#[tokio::test]
async fn the_newest_come_first_and_the_last_page_has_no_next() {
    let app = App::start().await;
    let boss = app.admin().await;
    for email in ["a@example.com", "b@example.com", "c@example.com"] {
        app.wait(Duration::from_millis(1));
        app.sign_up(email).await;
    }
    let all = boss.get("/users").await.is(200).body;
    assert_eq!(emails(&all), ["c@example.com", "b@example.com", "a@example.com", "boss@example.com"]);
    assert_eq!((&all["next_cursor"], all.get("total")), (&Value::Null, None));
    let full = boss.get("/users?limit=4").await.is(200).body;
    assert_eq!(full["next_cursor"], Value::Null, "a last page that is full");
    let first = boss.get("/users?limit=3").await.is(200).body;
    let next = first["next_cursor"].as_str().unwrap();
    assert_eq!(emails(&boss.get(&format!("/users?cursor={next}")).await.is(200).body), ["boss@example.com"]);
}

#[tokio::test]
async fn a_page_has_1_to_200_users_and_50_if_nothing_is_said() {
    let app = App::start().await;
    let boss = app.admin().await;
    for number in 0..50 {
        app.sign_up(&format!("a{number}@example.com")).await;
    }
    for (query, count) in [("", 50), ("?limit=1", 1), ("?limit=200", 51)] {
        let page = boss.get(&format!("/users{query}")).await.is(200).body;
        assert_eq!(page["items"].as_array().unwrap().len(), count, "{query}");
    }
    for limit in ["0", "201", "-1", "abc", "1.5", "", "99999999999999999999"] {
        boss.get(&format!("/users?limit={limit}")).await.refused(400, "malformed_request");
    }
}

#[tokio::test]
async fn a_query_that_is_not_as_documented_is_malformed() {
    let app = App::start().await;
    let boss = app.admin().await;
    let long = "a".repeat(255);
    for query in [
        "sort=name",
        "sort=",
        "role=king",
        "status=open",
        "disabled=maybe",
        "include_total=2",
        &format!("q={long}"),
    ] {
        boss.get(&format!("/users?{query}")).await.refused(400, "malformed_request");
    }
}

#[tokio::test]
async fn a_cursor_that_we_did_not_give_is_malformed() {
    let app = App::start().await;
    let boss = app.admin().await;
    app.sign_up(ANN).await;
    let mut cursors: Vec<_> =
        ["", "x", "null", "bm9uc2Vuc2U", "e30", "W10", "'%20OR%201=1--"].map(str::to_owned).to_vec();
    cursors.push("a".repeat(2_000));
    for cursor in cursors {
        boss.get(&format!("/users?cursor={cursor}")).await.refused(400, "malformed_request");
    }
    for sort in SORTS {
        let page = boss.get(&format!("/users?limit=1&sort={sort}")).await.is(200).body;
        let next = page["next_cursor"].as_str().unwrap();
        for other in SORTS {
            let answer = boss.get(&format!("/users?sort={other}&cursor={next}")).await;
            if other == sort {
                answer.is(200);
            } else {
                answer.refused(400, "malformed_request");
            }
        }
    }
}

#[tokio::test]
async fn a_search_finds_parts_of_addresses_and_names() {
    let app = App::start().await;
    let boss = app.admin().await;
    sign_up(&app, "Anna.Berg@example.com", "Anna", "Berg").await;
    sign_up(&app, "x@example.com", "Łukasz", "Żółć").await;
    sign_up(&app, "y@bücher.example", "山田", "O'Neill").await;
    sign_up(&app, "z@example.com", "Fifty % \"Off\"", "Under_score").await;
    for (q, expected) in [
        ("anna", &["Anna.Berg@example.com"][..]),
        ("ANNA.BERG", &["Anna.Berg@example.com"]),
        ("a.b", &["Anna.Berg@example.com"]),
        ("łukasz", &["x@example.com"]),
        ("ŻÓŁĆ", &["x@example.com"]),
        ("z\u{307}o\u{301}ł", &["x@example.com"]),
        ("山", &["y@bücher.example"]),
        ("山田", &["y@bücher.example"]),
        ("o'n", &["y@bücher.example"]),
        ("'", &["y@bücher.example"]),
        ("BÜCHER", &["y@bücher.example"]),
        ("%", &["z@example.com"]),
        ("y %", &["z@example.com"]),
        ("_", &["z@example.com"]),
        ("r_s", &["z@example.com"]),
        ("\"", &["z@example.com"]),
        ("\"of", &["z@example.com"]),
        ("\"off\"", &["z@example.com"]),
        ("be", &["Anna.Berg@example.com"]),
        (" berg ", &["Anna.Berg@example.com"]),
        ("missing", &[]),
        ("a%g", &[]),
        ("a_g", &[]),
        ("\\", &[]),
        ("' OR 1=1 --", &[]),
        ("an* OR be*", &[]),
        ("NEAR(anna berg)", &[]),
    ] {
        assert_eq!(found(&boss, &format!("q={}", encoded(q))).await, expected, "{q}");
    }
    assert_eq!(found(&boss, "q=example").await.len(), 5);
    assert_eq!(found(&boss, "q=").await.len(), 5);
}

#[tokio::test]
async fn a_search_for_unused_characters_finds_no_user() {
    let app = App::start().await;
    let boss = app.admin().await;
    for q in ["\0", "ab\0", "boss\0@example", "\u{1}", "boss\n", "\u{feff}boss", "🥐🥐🥐", "\u{10ffff}"]
    {
        let answer = boss.get(&format!("/users?q={}", encoded(q))).await;
        assert!([200, 400].contains(&answer.status), "{q:?}: {}", answer.body);
    }
}

#[tokio::test]
async fn a_search_finds_greek_names_in_capitals() {
    let app = App::start().await;
    let boss = app.admin().await;
    sign_up(&app, ANN, "Νίκος", "Παππάς").await;
    for q in ["Νίκος", "νίκος", "ΝΊΚΟΣ", "ΠΑΠΠΆΣ"] {
        assert_eq!(found(&boss, &format!("q={}", encoded(q))).await, [ANN], "{q}");
    }
}

#[tokio::test]
async fn a_search_may_be_as_long_as_documented() {
    let app = App::start().await;
    let boss = app.admin().await;
    let distinct: String = ('\u{4e00}'..).take(254).collect();
    for q in ["a".repeat(254), distinct, "\u{fdfa}".repeat(254), "\"".repeat(254)] {
        assert_eq!(found(&boss, &format!("q={}", encoded(&q))).await, [""; 0]);
    }
}

#[tokio::test]
async fn a_search_that_finds_thousands_pages_through_them_all() {
    let app = App::start().await;
    let boss = app.admin().await;
    let email = app
        .sql
        .either("format('many%04d@example.com', i)", "'many' || lpad(i::text, 4, '0') || '@example.com'");
    app.execute(&format!("WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2100), e (email) AS \
             (SELECT {email} FROM n) \
             INSERT INTO users (id, email, email_key, search_text, role, status, disabled, created_at, updated_at, \
             verified_at) SELECT {}, email, email, email, 'user', 'verified', FALSE, 0, 0, 0 FROM e", app.sql.random_id()));
    for sort in SORTS {
        let (mut seen, mut cursor) = (HashSet::new(), String::new());
        loop {
            let path = format!("/users?limit=200&include_total=true&q=MANY&sort={sort}{cursor}");
            let page = boss.get(&path).await.is(200).body;
            assert_eq!(page["total"], 2_100);
            assert!(emails(&page).into_iter().all(|email| seen.insert(email)), "{sort} repeats");
            let Some(next) = page["next_cursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!(seen.len(), 2_100, "{sort}");
    }
    assert_eq!(found(&boss, "q=many2099").await, ["many2099@example.com"]);
}

#[tokio::test]
async fn a_search_follows_what_is_changed() {
    let app = App::start().await;
    let boss = app.admin().await;
    let ann = sign_up(&app, ANN, "Annabel", "Smith").await;
    boss.patch(&path(&ann), json!({ "first_name": "Beatrice", "last_name": null })).await.is(200);
    assert_eq!(found(&boss, "q=annabel").await, [""; 0]);
    assert_eq!(found(&boss, "q=smith").await, [""; 0]);
    assert_eq!(found(&boss, "q=beatr").await, [ANN]);
    boss.delete(&path(&ann)).await.is(204);
    assert_eq!(found(&boss, "q=beatr").await, [""; 0]);
}

#[tokio::test]
async fn filters_combine() {
    let app = App::start().await;
    let boss = app.admin().await;
    app.sign_up("new@example.com").await;
    app.signed_in("good@example.com").await;
    let shut = app.sign_up("shut@example.com").await;
    boss.patch(&path(&shut), json!({ "disabled": true })).await.is(200);
    let idle = app.sign_up("idle@example.com").await;
    boss.patch(&path(&idle), json!({ "role": "admin" })).await.is(200);
    for (query, expected) in [
        ("role=admin", &["boss", "idle"][..]),
        ("role=user", &["good", "new", "shut"]),
        ("status=verified", &["boss", "good"]),
        ("status=unverified", &["idle", "new", "shut"]),
        ("disabled=true", &["shut"]),
        ("disabled=false", &["boss", "good", "idle", "new"]),
        ("role=admin&status=unverified", &["idle"]),
        ("role=user&status=verified&disabled=false", &["good"]),
        ("role=admin&disabled=true", &[]),
        ("status=unverified&q=SH", &["shut"]),
        ("status=unverified&q=example&role=user", &["new", "shut"]),
        ("q=example.com&disabled=true&role=user&status=unverified", &["shut"]),
    ] {
        let expected: Vec<_> = expected.iter().map(|name| format!("{name}@example.com")).collect();
        assert_eq!(found(&boss, query).await, expected, "{query}");
        let page = boss.get(&format!("/users?limit=1&include_total=true&{query}")).await.is(200).body;
        assert_eq!(page["total"], expected.len(), "{query}");
        assert_eq!(page["next_cursor"].is_null(), expected.len() < 2, "{query}");
    }
    assert_eq!(boss.get("/users?include_total=false").await.is(200).body.get("total"), None);
}

#[tokio::test]
async fn pages_of_a_filtered_list_hold_together() {
    let app = App::start().await;
    let boss = app.admin().await;
    for number in 0..7 {
        app.sign_up(&format!("cup{number}@example.com")).await;
        app.sign_up(&format!("pot{number}@example.com")).await;
    }
    for query in ["q=cup", "q=cu", "q=cup&role=user&status=unverified"] {
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = boss.get(&format!("/users?limit=2&{query}{cursor}")).await.is(200).body;
            seen.extend(emails(&page));
            let Some(next) = page["next_cursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        let expected: Vec<_> = (0..7).rev().map(|number| format!("cup{number}@example.com")).collect();
        assert_eq!(seen, expected, "{query}");
    }
}

#[tokio::test]
async fn expired_users_are_nowhere() {
    let app = App::start().await;
    let ann = app.sign_up(ANN).await;
    app.wait(Duration::from_hours(48));
    let boss = app.admin().await;
    let page = boss.get("/users?include_total=true").await.is(200).body;
    assert_eq!((emails(&page), &page["total"]), (vec!["boss@example.com".to_owned()], &json!(1)));
    for query in ["q=ann", "q=an", "status=unverified", "role=user"] {
        assert_eq!(found(&boss, query).await, [""; 0], "{query}");
    }
    for method in ["GET", "PATCH", "DELETE"] {
        send(&boss, method, &path(&ann)).await.refused(404, "not_found");
    }
}

#[tokio::test]
async fn an_admin_who_is_unverified_or_disabled_has_no_power() {
    let app = App::start().await;
    let (boss, other) = (app.admin().await, app.another_admin("other@example.com").await);
    let me = other.me().await;
    boss.patch(&path(&me), json!({ "status": "unverified" })).await.is(200);
    other.get("/users").await.refused(403, "forbidden");
    other.delete(&path(&me)).await.refused(403, "forbidden");
    other.patch(&path(&boss.me().await), json!({ "role": "user" })).await.refused(403, "forbidden");
    let token = json!({ "token": app.mail("other@example.com").await.token() });
    other.post("/auth/verify", token).await.is(200);
    other.get("/users").await.is(200);
    boss.patch(&path(&me), json!({ "disabled": true })).await.is(200);
    other.get("/users").await.refused(401, "invalid_token");
}

#[tokio::test]
async fn an_admin_changes_everything_at_once() {
    let app = App::start().await;
    let boss = app.admin().await;
    let ann = app.sign_up(ANN).await;
    app.wait(Duration::from_secs(5));
    let change = json!({
        "first_name": "Ann", "last_name": "Smith", "email": "Smith@example.com",
        "role": "admin", "status": "verified", "disabled": true,
    });
    let changed = boss.patch(&path(&ann), change.clone()).await.is(200).body;
    for (name, value) in change.as_object().unwrap() {
        assert_eq!(&changed[name], value, "{name}");
    }
    let now = json!("2026-11-22T09:30:05.000Z");
    assert_eq!((&changed["verified_at"], &changed["updated_at"]), (&now, &now));
    assert_eq!((&changed["expires_at"], &changed["id"]), (&Value::Null, &ann["id"]));
    assert_eq!(boss.get(&path(&ann)).await.body, changed);
}

#[tokio::test]
async fn a_change_of_nothing_changes_nothing() {
    let app = App::start().await;
    let boss = app.admin().await;
    let ann = app.signed_in(ANN).await;
    let before = ann.me().await;
    app.wait(Duration::from_secs(5));
    let same =
        json!({ "role": "user", "status": "verified", "disabled": false, "email": ANN, "first_name": null });
    for change in [json!({}), same] {
        assert_eq!(boss.patch(&path(&before), change).await.is(200).body, before);
    }
    ann.get("/me").await.is(200);
}

#[tokio::test]
async fn a_change_that_has_not_its_form_is_named_field_by_field() {
    let app = App::start().await;
    let boss = app.admin().await;
    let ann = app.sign_up(ANN).await;
    let change = json!({
        "first_name": "", "email": "ann", "role": "king", "status": null, "disabled": "yes", "nickname": "A",
    });
    let fields = boss.patch(&path(&ann), change).await.invalid_fields();
    let expected = [
        ("disabled", "wrong_type"),
        ("email", "invalid_email"),
        ("first_name", "empty"),
        ("nickname", "unknown_field"),
        ("role", "unknown_value"),
        ("status", "wrong_type"),
    ];
    assert_eq!(fields, expected.map(|(field, code)| (field.to_owned(), code.to_owned())));
    for field in ["email", "role", "status", "disabled"] {
        let fields = boss.patch(&path(&ann), json!({ field: null })).await.invalid_fields();
        assert_eq!(fields, [(field.to_owned(), "wrong_type".to_owned())]);
    }
}

#[tokio::test]
async fn who_is_disabled_is_sent_nothing_that_works() {
    let app = App::start().await;
    let boss = app.admin().await;
    let ann = app.signed_in(ANN).await.me().await;
    let before = app.mails(ANN).await.len();
    boss.patch(&path(&ann), json!({ "disabled": true, "status": "unverified" })).await.is(200);
    boss.patch(&path(&ann), json!({ "email": "new@example.com" })).await.is(200);
    assert_eq!((app.mails(ANN).await.len(), app.mails("new@example.com").await.len()), (before, 0));
    assert_eq!(app.stored::<i64>("SELECT count(*) FROM codes"), 0);
    boss.patch(&path(&ann), json!({ "disabled": false })).await.is(200);
    app.anyone().post("/auth/verify/resend", json!({ "email": "new@example.com" })).await.is(202);
    app.verify("new@example.com").await;
}

#[tokio::test]
async fn the_last_admin_stays_on_every_channel() {
    let app = App::start().await;
    let boss = app.admin().await;
    let idle = app.another_admin("idle@example.com").await.me().await;
    boss.patch(&path(&idle), json!({ "status": "unverified" })).await.is(200);
    let shut = app.another_admin("shut@example.com").await.me().await;
    boss.patch(&path(&shut), json!({ "disabled": true })).await.is(200);
    let before = boss.me().await;
    for change in [
        json!({ "role": "user" }),
        json!({ "disabled": true }),
        json!({ "status": "unverified" }),
        json!({ "role": "user", "first_name": "Eve" }),
    ] {
        boss.patch(&path(&before), change).await.refused(409, "last_admin");
    }
    boss.delete(&path(&before)).await.refused(409, "last_admin");
    assert_eq!(boss.me().await, before);
    boss.patch(&path(&before), json!({ "email": "chief@example.com", "first_name": "Bo" })).await.is(200);
    app.log_in("chief@example.com").await.get("/users").await.is(200);
}

#[tokio::test]
async fn an_admin_who_is_not_the_last_may_go() {
    for change in [
        Some(json!({ "role": "user" })),
        Some(json!({ "disabled": true })),
        Some(json!({ "status": "unverified" })),
        None,
    ] {
        for on_self in [true, false] {
            let app = App::start().await;
            let (boss, other) = (app.admin().await, app.another_admin("other@example.com").await);
            let (by, left) = if on_self { (&other, &boss) } else { (&boss, &boss) };
            let path = path(&other.me().await);
            match &change {
                Some(change) => by.patch(&path, change.clone()).await.is(200),
                None => by.delete(&path).await.is(204),
            };
            left.delete(&self::path(&left.me().await)).await.refused(409, "last_admin");
        }
    }
}

#[tokio::test]
async fn an_address_that_an_admin_sets_is_in_force_at_once() {
    let app = App::start().await;
    let (boss, ann) = (app.admin().await, app.signed_in(ANN).await);
    app.anyone().post("/auth/password/forgot", json!({ "email": ANN })).await.is(202);
    let mail = app.mail(ANN).await;
    let tokens = app.tokens(ANN).await;
    let changed =
        boss.patch(&path(&ann.me().await), json!({ "email": "Smith@Example.com" })).await.is(200).body;
    assert_eq!((&changed["email"], &changed["status"]), (&json!("Smith@Example.com"), &json!("verified")));
    ann.get("/me").await.refused(401, "invalid_token");
    let refresh = json!({ "refresh_token": tokens["refresh_token"] });
    app.anyone().post("/auth/refresh", refresh).await.refused(401, "invalid_refresh_token");
    for proof in [
        json!({ "token": mail.token() }),
        json!({ "email": ANN, "code": mail.code }),
        json!({ "email": "smith@example.com", "code": mail.code }),
    ] {
        let mut proof = proof;
        proof["new_password"] = json!("lungo hums at dawn");
        app.anyone().post("/auth/password/reset", proof).await.refused(400, "verification_failed");
    }
    app.log_in("smith@example.com").await.get("/me").await.is(200);
    app.sign_up(ANN).await;
}

#[tokio::test]
async fn an_unverified_user_whose_address_is_changed_verifies_the_new_one() {
    let app = App::start().await;
    let boss = app.admin().await;
    let ann = app.sign_up(ANN).await;
    let old = app.mail(ANN).await;
    boss.patch(&path(&ann), json!({ "email": "smith@example.com" })).await.is(200);
    let stale = json!({ "token": old.token() });
    app.anyone().post("/auth/verify", stale).await.refused(400, "verification_failed");
    assert_eq!(app.verify("smith@example.com").await["id"], ann["id"]);
}

#[tokio::test]
async fn an_address_that_is_taken_cannot_be_set() {
    let app = App::start().await;
    let boss = app.admin().await;
    let ann = app.sign_up(ANN).await;
    boss.patch(&path(&ann), json!({ "email": "BOSS@example.com", "first_name": "Eve" }))
        .await
        .refused(409, "email_taken");
    assert_eq!(boss.get(&path(&ann)).await.body, ann);
    app.wait(Duration::from_hours(48));
    let boss = app.log_in("boss@example.com").await;
    let changed = boss.patch(&path(&boss.me().await), json!({ "email": ANN })).await.is(200).body;
    assert_eq!(changed["email"], ANN, "an expired account gives its address free");
}

#[tokio::test]
async fn an_admin_can_change_how_an_address_is_spelled() {
    let app = App::start().await;
    let boss = app.admin().await;
    let ann = app.sign_up(ANN).await;
    let changed = boss.patch(&path(&ann), json!({ "email": "Ann@Example.com" })).await.is(200).body;
    assert_eq!(changed["email"], "Ann@Example.com");
    let both = boss
        .patch(&path(&ann), json!({ "email": "ANN@example.com", "first_name": "Ann" }))
        .await
        .is(200)
        .body;
    assert_eq!((&both["email"], &both["first_name"]), (&json!("ANN@example.com"), &json!("Ann")));
}

#[tokio::test]
async fn a_user_made_unverified_gets_time_and_a_message() {
    let app = App::start().await;
    let (boss, ann) = (app.admin().await, app.signed_in(ANN).await);
    app.wait(Duration::from_mins(10));
    let changed = boss.patch(&path(&ann.me().await), json!({ "status": "unverified" })).await.is(200).body;
    assert_eq!(changed["expires_at"], "2026-11-24T09:40:00.000Z");
    assert_eq!((&changed["verified_at"], &changed["status"]), (&Value::Null, &json!("unverified")));
    assert_eq!(app.mails(ANN).await.len(), 2);
    assert_eq!(app.verify(ANN).await["status"], "verified");
}

#[tokio::test]
async fn who_is_unverified_already_gets_no_more_time() {
    let app = App::start().await;
    let boss = app.admin().await;
    let ann = app.sign_up(ANN).await;
    app.wait(Duration::from_mins(10));
    let same = boss.patch(&path(&ann), json!({ "status": "unverified" })).await.is(200).body;
    assert_eq!(same, ann);
    assert_eq!(app.mails(ANN).await.len(), 1);
}

#[tokio::test]
async fn an_edit_that_keeps_the_address_keeps_it_verified() {
    let app = App::start().await;
    let boss = app.admin().await;
    let ann = app.sign_up(ANN).await;
    app.wait(Duration::from_mins(10));
    boss.patch(&path(&ann), json!({ "first_name": "Ann" })).await.is(200);
    assert_eq!(app.mails(ANN).await.len(), 1);
}

#[tokio::test]
async fn an_admin_who_was_dismissed_in_between_changes_nothing_any_more() {
    let app = App::start().await;
    let (boss, other) = (app.admin().await, app.another_admin("carol@example.com").await);
    let ann = app.sign_up(ANN).await;
    let token = app.tokens("carol@example.com").await["access_token"].as_str().unwrap().to_owned();
    let actor = app.sessions.authenticate(&token, Origin::default()).await.unwrap();
    let admin = actor.admin().unwrap();
    boss.patch(&path(&other.me().await), json!({ "role": "user" })).await.is(200);
    let id = UserId::from_uuid(ann["id"].as_str().unwrap().parse().unwrap());
    let deleted = app.users.delete(&admin, id).await;
    assert!(matches!(deleted, Err(Error::Forbidden)), "{deleted:?}");
    boss.get(&path(&ann)).await.is(200);
}

#[tokio::test]
async fn a_user_made_verified_needs_no_code_any_more() {
    let app = App::start().await;
    let boss = app.admin().await;
    let ann = app.sign_up(ANN).await;
    boss.patch(&path(&ann), json!({ "status": "verified" })).await.is(200);
    let token = app.mail(ANN).await.token().to_owned();
    app.anyone().post("/auth/verify", json!({ "token": token })).await.refused(400, "verification_failed");
    app.wait(Duration::from_hours(49));
    app.log_in(ANN).await.get("/me").await.is(200);
}

#[tokio::test]
async fn nothing_of_a_deleted_user_is_left() {
    let app = App::start().await;
    let boss = app.admin().await;
    let ann = app.sign_up(ANN).await;
    app.tokens(ANN).await;
    app.anyone().post("/auth/password/forgot", json!({ "email": ANN })).await.is(202);
    let of_ann = |table| {
        app.stored::<i64>(&format!(
            "SELECT count(*) FROM {table} WHERE user_id IN (SELECT id FROM users WHERE email = '{ANN}')"
        ))
    };
    assert_eq!(["sessions", "codes", "outbox"].map(of_ann), [1, 2, 2]);
    boss.delete(&path(&ann)).await.is(204);
    let all = |table| app.stored::<i64>(&format!("SELECT count(*) FROM {table}"));
    assert_eq!(["users", "sessions", "codes", "outbox"].map(all), [1, 1, 0, 0], "the admin's own");
    let searched = app
        .sql
        .either("users_search WHERE users_search MATCH '\"ann\"'", "users WHERE search_text LIKE '%ann%'");
    assert_eq!(app.sql.count(searched), 0);
    assert_eq!(app.printed().await, "");
    assert_ne!(app.sign_up(ANN).await["id"], ann["id"]);
}

#[tokio::test]
async fn the_file_of_the_store_holds_nothing_of_a_deleted_user() {
    if sqlite_only() {
        return;
    }
    let app = App::start().await;
    let boss = app.admin().await;
    let names = ["unmistakable@example.com", "Unmistakablefirst", "Unmistakablelast"];
    let user = sign_up(&app, names[0], names[1], names[2]).await;
    app.tokens(names[0]).await;
    let found = || {
        app.execute("PRAGMA wal_checkpoint(TRUNCATE)");
        let file = std::fs::read(&app.config.database.path).unwrap();
        names.map(|name| file.windows(name.len()).any(|bytes| bytes == name.as_bytes()))
    };
    assert_eq!(found(), [true; 3]);
    boss.delete(&path(&user)).await.is(204);
    assert_eq!(found(), [false; 3]);
}

#[tokio::test]
async fn a_refused_edit_reveals_nothing_about_the_user() {
    let app = App::start().await;
    let (ann, boss) = (app.signed_in("ann@example.com").await, app.admin().await);
    let other = format!("/users/{}", boss.id().await);
    for (path, body) in
        [(other.as_str(), json!({ "role": "boss" })), (&other, json!([])), ("/users/abc", json!({}))]
    {
        ann.patch(path, body).await.refused(403, "forbidden");
    }
    boss.patch("/users/abc", json!({})).await.refused(404, "not_found");
}

#[tokio::test]
async fn a_user_made_unverified_counts_as_a_newcomer_for_the_clean_up() {
    let app = App::start().await;
    let boss = app.admin().await;
    app.signed_in("ann@example.com").await;
    app.wait(std::time::Duration::from_hours(24 * 30));
    let boss = {
        drop(boss);
        app.log_in("boss@example.com").await
    };
    let ann = boss.get("/users?q=ann").await.is(200).body["items"][0]["id"].as_str().unwrap().to_owned();
    boss.patch(&format!("/users/{ann}"), json!({ "status": "unverified" })).await.is(200);
    let older = coffeeshop::operations::PurgeScope::OlderThan(std::time::Duration::from_hours(1));
    let plan = app.purge.plan(older, Origin::job());
    assert_eq!(app.purge.run(&plan, |_| {}).await.unwrap().users, 0);
}
