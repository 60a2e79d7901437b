//! A user's own profile: read and edited by its user, within limits.

use std::time::Duration;

use serde_json::{Value, json};

use crate::app::App;

const ANN: &str = "ann@example.com";

fn names(user: &Value) -> (&Value, &Value) {
    (&user["first_name"], &user["last_name"])
}

#[tokio::test]
async fn what_is_left_out_stays_and_null_clears() {
    let app = App::start().await;
    let ann = app.signed_in(ANN).await;
    let both = ann.patch("/me", json!({ "first_name": " Ann ", "last_name": "Smith" })).await.is(200).body;
    assert_eq!(names(&both), (&json!("Ann"), &json!("Smith")));
    let one = ann.patch("/me", json!({ "first_name": "Anna" })).await.is(200).body;
    assert_eq!(names(&one), (&json!("Anna"), &json!("Smith")));
    let none = ann.patch("/me", json!({ "last_name": null })).await.is(200).body;
    assert_eq!(names(&none), (&json!("Anna"), &Value::Null));
    assert_eq!(ann.me().await, none);
}

#[tokio::test]
async fn an_edit_is_dated_if_it_changes_anything() {
    let app = App::start().await;
    let ann = app.signed_in(ANN).await;
    let before = ann.me().await;
    app.wait(Duration::from_secs(5));
    assert_eq!(ann.patch("/me", json!({})).await.is(200).body, before);
    assert_eq!(ann.patch("/me", json!({ "first_name": null })).await.is(200).body, before);
    let after = ann.patch("/me", json!({ "first_name": "Ann" })).await.is(200).body;
    assert_eq!(after["updated_at"], "2026-11-22T09:30:05.000Z");
    assert_eq!(after["created_at"], before["created_at"]);
}

#[tokio::test]
async fn names_that_are_none_are_refused() {
    let app = App::start().await;
    let ann = app.signed_in(ANN).await;
    ann.patch("/me", json!({ "first_name": "Ann" })).await.is(200);
    for (value, code) in [
        (json!(""), "empty"),
        (json!("  "), "empty"),
        (json!("a\u{7}b"), "forbidden_character"),
        (json!("é".repeat(101)), "too_long"),
        (json!(5), "wrong_type"),
        (json!(["Ann"]), "wrong_type"),
        (json!({ "name": "Ann" }), "wrong_type"),
    ] {
        let fields =
            ann.patch("/me", json!({ "first_name": value, "last_name": value })).await.invalid_fields();
        let expected = ["first_name", "last_name"].map(|field| (field.to_owned(), code.to_owned()));
        assert_eq!(fields, expected, "{value}");
    }
    assert_eq!(ann.me().await["first_name"], "Ann");
}

#[tokio::test]
async fn nothing_else_can_be_edited_there() {
    let app = App::start().await;
    let ann = app.signed_in(ANN).await;
    let before = ann.me().await;
    for field in
        ["email", "role", "status", "disabled", "id", "created_at", "expires_at", "password", "nickname"]
    {
        let fields = ann.patch("/me", json!({ "first_name": "Eve", field: "admin" })).await.invalid_fields();
        assert_eq!(fields, [(field.to_owned(), "unknown_field".to_owned())]);
    }
    assert_eq!(ann.me().await, before);
}

#[tokio::test]
async fn a_user_edits_their_own_names_under_their_id_too() {
    let app = App::start().await;
    let ann = app.signed_in(ANN).await;
    let path = format!("/users/{}", ann.id().await);
    let edited = ann.patch(&path, json!({ "first_name": "Ann", "last_name": "Smith" })).await.is(200).body;
    assert_eq!(names(&edited), (&json!("Ann"), &json!("Smith")));
    let cleared = ann.patch(&path, json!({ "first_name": null })).await.is(200).body;
    assert_eq!(names(&cleared), (&Value::Null, &json!("Smith")));
}

#[tokio::test]
async fn a_user_changes_nothing_but_names_under_their_id() {
    let app = App::start().await;
    let ann = app.signed_in(ANN).await;
    let before = ann.me().await;
    let path = format!("/users/{}", ann.id().await);
    for change in [
        json!({ "role": "admin" }),
        json!({ "role": "user" }),
        json!({ "status": "verified" }),
        json!({ "disabled": false }),
        json!({ "email": "other@example.com" }),
        json!({ "first_name": "Eve", "role": "admin" }),
    ] {
        ann.patch(&path, change).await.refused(403, "forbidden");
    }
    assert_eq!(ann.me().await, before);
}

#[tokio::test]
async fn no_answer_shows_a_password_or_a_hash() {
    let app = App::start().await;
    let (ann, boss) = (app.signed_in(ANN).await, app.admin().await);
    let path = format!("/users/{}", ann.id().await);
    for answer in [ann.get("/me").await, boss.get("/users").await, boss.get(&path).await] {
        let text = String::from_utf8(answer.is(200).bytes).unwrap();
        assert!(!text.contains("argon2") && !text.contains("password") && !text.contains("hash"), "{text}");
    }
}
