//! The clean-up: it deletes what has expired with everything that belongs to it, and nothing else, however many there are.

use std::time::Duration;

use coffeeshop::{
    core::Error,
    domain::Origin,
    operations::{PurgeScope, Purged},
};
use serde_json::json;

use crate::app::{App, MOMENT};
use crate::sqlite_only::sqlite_only;

const ANN: &str = "ann@example.com";
const BOB: &str = "bob@example.com";
const TWO_DAYS: Duration = Duration::from_hours(48);

async fn purge(app: &App, which: PurgeScope) -> Purged {
    let plan = app.purge.plan(which, Origin::job());
    let due = app.purge.count_due(&plan).await.unwrap();
    let purged = app.purge.run(&plan, |_| {}).await.unwrap();
    assert_eq!(due.users, purged.users, "the plan counts the same users");
    purged
}

fn emails(app: &App) -> String {
    app.stored("SELECT coalesce(string_agg(email, ',' ORDER BY email), '') FROM users")
}

fn count(app: &App, table: &str) -> i64 {
    app.sql.count(table)
}

/// So many unverified users who expire a day after they were made.
fn add_unverified(app: &App, number: u32, created_at: i64) {
    let id = app.sql.random_id();
    app.execute(&format!(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {number})
         INSERT INTO users (id, email, email_key, search_text, role, status, disabled, created_at, updated_at, expires_at)
         SELECT {id}, 'many' || i || '@example.com', 'many' || i || '@example.com', 'many' || i || '@example.com',
                'user', 'unverified', FALSE, {created_at}, {created_at}, {created_at} + 86400000 FROM n"
    ));
}

#[tokio::test]
async fn exactly_those_go_whose_time_ran_out() {
    let app = App::start().await;
    app.sign_up(ANN).await;
    app.wait(Duration::from_hours(1));
    app.sign_up(BOB).await;
    app.signed_in("verified@example.com").await;
    app.make_admin("boss@example.com").await;
    app.wait_nearly(Duration::from_hours(47));
    assert_eq!(purge(&app, PurgeScope::Expired).await.users, 0);
    app.wait(MOMENT);
    assert_eq!(purge(&app, PurgeScope::Expired).await.users, 1);
    assert_eq!(emails(&app), "bob@example.com,boss@example.com,verified@example.com");
    app.wait_nearly(Duration::from_hours(1));
    assert_eq!(purge(&app, PurgeScope::Expired).await.users, 0);
    app.wait(MOMENT);
    assert_eq!(purge(&app, PurgeScope::Expired).await.users, 1);
    assert_eq!(emails(&app), "boss@example.com,verified@example.com");
}

#[tokio::test]
async fn a_verified_user_is_never_purged() {
    let app = App::start().await;
    let boss = app.admin().await;
    let ann = app.signed_in(ANN).await.id().await;
    boss.patch(&format!("/users/{ann}"), json!({ "disabled": true })).await.is(200);
    app.wait(Duration::from_hours(24 * 3650));
    for which in [
        PurgeScope::Expired,
        PurgeScope::OlderThan(Duration::ZERO),
        PurgeScope::OlderThan(Duration::from_secs(1)),
    ] {
        assert_eq!(purge(&app, which).await.users, 0);
    }
    assert_eq!(emails(&app), "ann@example.com,boss@example.com");
}

#[tokio::test]
async fn a_user_made_unverified_goes_when_the_new_time_has_run_out() {
    let app = App::start().await;
    let (boss, ann) = (app.admin().await, app.signed_in(ANN).await.id().await);
    app.wait(Duration::from_mins(10));
    boss.patch(&format!("/users/{ann}"), json!({ "status": "unverified" })).await.is(200);
    app.wait_nearly(TWO_DAYS);
    assert_eq!(purge(&app, PurgeScope::Expired).await.users, 0);
    app.wait(MOMENT);
    assert_eq!(purge(&app, PurgeScope::Expired).await.users, 1);
}

/// Without limits, of which the clean-up deletes what is left, too.
async fn unlimited() -> App {
    App::with(|config| config.rate_limit.enabled = false).await
}

#[tokio::test]
async fn everything_of_a_purged_user_goes_along() {
    let app = unlimited().await;
    app.unverified(ANN).await;
    app.anyone().post("/auth/password/forgot", json!({ "email": ANN })).await.is(202);
    assert_eq!(["sessions", "codes", "outbox"].map(|table| count(&app, table)), [1, 2, 2]);
    app.wait(TWO_DAYS);
    let purged = purge(&app, PurgeScope::Expired).await;
    assert_eq!(purged, Purged { users: 1, ..Purged::default() }, "the rest went along");
    assert_eq!(["users", "sessions", "codes", "outbox"].map(|table| count(&app, table)), [0; 4]);
    assert_eq!(app.sql.count(app.sql.either("users_search WHERE users_search MATCH '\"ann\"'", "users")), 0);
}

#[tokio::test]
async fn sessions_codes_and_messages_that_are_over_go_too() {
    let app = unlimited().await;
    let ann = app.signed_in(ANN).await;
    app.anyone().post("/auth/password/forgot", json!({ "email": ANN })).await.is(202);
    assert_eq!(purge(&app, PurgeScope::Expired).await, Purged::default());
    ann.get("/me").await.is(200);
    let step = async |time, gone: Purged, why: &str| {
        app.wait(time);
        assert_eq!(purge(&app, PurgeScope::Expired).await, gone, "{why}");
    };
    step(Duration::from_hours(1), Purged { codes: 1, ..Purged::default() }, "the code").await;
    app.wait_nearly(Duration::from_hours(7 * 24));
    step(Duration::ZERO, Purged { counts: 1, ..Purged::default() }, "counted for days").await;
    step(MOMENT, Purged { messages: 1, ..Purged::default() }, "a week").await;
    step(Duration::from_hours(24 * 24), Purged { sessions: 1, ..Purged::default() }, "a month").await;
    step(Duration::from_hours(366 * 24), Purged { events: 4, counts: 1, ..Purged::default() }, "a year")
        .await;
    assert_eq!(
        ["users", "sessions", "codes", "outbox", "audit_events"].map(|table| count(&app, table)),
        [1, 0, 0, 0, 0]
    );
}

#[tokio::test]
async fn a_second_clean_up_finds_nothing_left() {
    let app = App::start().await;
    app.unverified(ANN).await;
    app.wait(TWO_DAYS);
    assert_eq!(purge(&app, PurgeScope::Expired).await.users, 1);
    assert_eq!(purge(&app, PurgeScope::Expired).await, Purged::default());
}

#[tokio::test]
async fn many_are_deleted_in_batches_and_no_other_user() {
    let app = App::start().await;
    app.sign_up(ANN).await;
    add_unverified(&app, 3_000, 0);
    let mut steps = Vec::new();
    let plan = app.purge.plan(PurgeScope::Expired, Origin::job());
    let purged = app.purge.run(&plan, |so_far| steps.push(so_far.users)).await.unwrap();
    assert_eq!(purged.users, 3_000);
    assert!(steps.iter().filter(|users| **users < 3_000).count() > 1, "{steps:?}");
    assert!(steps.is_sorted());
    assert_eq!(emails(&app), ANN);
}

#[tokio::test]
async fn a_clean_up_that_is_cut_short_says_what_is_gone() {
    let app = App::start().await;
    app.signed_in(BOB).await;
    app.sign_up(ANN).await;
    app.wait(Duration::from_hours(24 * 100));
    app.sql.refuse("DELETE", "sessions", "kept");
    let plan = app.purge.plan(PurgeScope::Expired, Origin::job());
    let cut = app.purge.run(&plan, |_| {}).await.unwrap_err();
    assert_eq!(cut.purged, Purged { users: 1, ..Purged::default() });
    assert!(matches!(&cut.why, Error::Internal(why) if why.starts_with("kept")), "{cut:?}");
    assert_eq!(emails(&app), BOB);
}

#[tokio::test]
async fn a_purge_can_be_previewed() {
    let app = App::start().await;
    add_unverified(&app, 1_200, 0);
    let plan = app.purge.plan(PurgeScope::Expired, Origin::job());
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = app.purge.due_users(&plan, after).await.unwrap();
        seen.extend(page.items.into_iter().map(|user| user.id));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 1_200);
    assert_eq!(count(&app, "users"), 1_200);
}

#[tokio::test]
async fn the_cli_can_set_the_age_for_a_purge() {
    let app = App::start().await;
    app.sign_up(ANN).await;
    app.signed_in("verified@example.com").await;
    app.wait(Duration::from_hours(1));
    app.sign_up(BOB).await;
    assert_eq!(purge(&app, PurgeScope::OlderThan(Duration::from_hours(1) + MOMENT)).await.users, 0);
    assert_eq!(purge(&app, PurgeScope::OlderThan(Duration::from_hours(1))).await.users, 1);
    assert_eq!(emails(&app), "bob@example.com,verified@example.com");
}

#[tokio::test]
async fn an_expired_user_is_deleted_even_if_the_address_is_reused() {
    let app = App::start().await;
    app.sign_up(ANN).await;
    app.wait(TWO_DAYS);
    app.sign_up(ANN).await;
    assert_eq!(purge(&app, PurgeScope::Expired).await, Purged::default());
    app.verify(ANN).await;
}

#[tokio::test]
async fn a_shop_decides_how_long_an_account_may_stay_unverified() {
    let app = App::with(|config| config.cleanup.unverified_after = "1h".parse().unwrap()).await;
    assert_eq!(app.sign_up(ANN).await["expires_at"], "2026-11-22T10:30:00.000Z");
    app.wait(Duration::from_hours(1));
    assert_eq!(purge(&app, PurgeScope::Expired).await.users, 1);
}

#[tokio::test]
async fn a_plan_counts_everything_that_the_clean_up_deletes() {
    let app = App::start().await;
    app.signed_in(ANN).await;
    let client = app.anyone().from("192.0.2.1");
    client.post("/auth/password/forgot", json!({ "email": ANN })).await.is(202);
    app.log_in_with(ANN, "espresso rains upward").await.is(401);
    app.wait(Duration::from_hours(400 * 24));
    app.sign_up(BOB).await; // of whom nothing is old
    let plan = app.purge.plan(PurgeScope::Expired, Origin::job());
    let due = app.purge.count_due(&plan).await.unwrap();
    let purged = app.purge.run(&plan, |_| {}).await.unwrap();
    assert_eq!(due, purged);
    let Purged { sessions, codes, counts, messages, events, .. } = purged;
    assert_eq!((sessions, codes, counts, messages), (1, 1, 9, 1), "two of the counts are of codes");
    assert!(events > 0);
}

#[test]
fn all_that_went_is_added_up() {
    let purged = Purged { users: 1, sessions: 2, codes: 4, counts: 8, messages: 16, events: 32 };
    assert_eq!(purged.total(), 63);
}

#[tokio::test]
async fn a_disk_reserve_is_held_until_it_is_released() {
    if sqlite_only() {
        return;
    }
    let app = App::start().await;
    let file = app.config.database.path.with_extension("reserve");
    assert!(!app.purge.release_disk_reserve(), "there is none yet");
    app.purge.allocate_disk_reserve();
    assert!(file.exists());
    assert!(app.purge.release_disk_reserve());
    assert!(!file.exists());
}
