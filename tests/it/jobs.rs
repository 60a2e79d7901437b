//! Scheduled jobs: what they do, and what they leave when the clock may be wrong.

use std::time::{Duration, Instant};

use coffeeshop::{
    domain::Origin,
    jobs::PurgeGuard,
    operations::{ClockCheck, HoldReason, PurgePlan, PurgeScope},
};
use rustix::process::Signal;
use serde_json::json;

use crate::sqlite_only::sqlite_only;
use crate::{
    app::App,
    interrupted::interrupted,
    shop::{Shop, wait_for},
};

const ANN: &str = "ann@example.com";
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

/// A run of the job: a clean-up, if it is not held. Answers whether it was.
async fn turn(guard: &mut PurgeGuard, app: &App, tick: Instant) -> bool {
    let is_held = !guard.allows(&app.purge, &plan(app), tick).await;
    if !is_held {
        clean_up(app).await;
    }
    is_held
}

fn plan(app: &App) -> PurgePlan {
    app.purge.plan(PurgeScope::Expired, Origin::job())
}

async fn clean_up(app: &App) {
    app.purge.run(&plan(app), |_| {}).await.unwrap();
}

/// Why a clean-up would be held now, by a server that has just started.
async fn why(app: &App) -> Option<HoldReason> {
    let held = app.purge.held(&plan(app), ClockCheck::Steady(Duration::ZERO)).await.unwrap();
    held.map(|held| held.why)
}

#[tokio::test]
async fn the_clean_up_waits_an_hour_after_the_clock_jumped() {
    let app = App::start().await;
    let mut guard = PurgeGuard::default();
    let start = Instant::now();
    assert!(guard.allows(&app.purge, &plan(&app), start).await, "nothing is known of the clock yet");
    app.wait(HOUR);
    assert!(guard.allows(&app.purge, &plan(&app), start + HOUR).await, "time has passed by both clocks");
    app.wait(Duration::from_mins(59));
    assert!(guard.allows(&app.purge, &plan(&app), start + HOUR).await, "so much may be a correction");
    app.wait(72 * HOUR);
    let leap = start + HOUR;
    assert!(!guard.allows(&app.purge, &plan(&app), leap).await);
    app.wait(Duration::from_secs(2));
    assert!(
        !guard.allows(&app.purge, &plan(&app), leap + Duration::from_secs(2)).await,
        "the next turn is soon"
    );
    app.wait(HOUR);
    assert!(guard.allows(&app.purge, &plan(&app), leap + HOUR).await, "an hour later it goes on");
    assert!(guard.allows(&app.purge, &plan(&app), leap + HOUR).await);
}

#[tokio::test]
async fn a_clock_that_leaps_again_has_the_clean_up_wait_again() {
    let app = App::start().await;
    let mut guard = PurgeGuard::default();
    let start = Instant::now();
    assert!(guard.allows(&app.purge, &plan(&app), start).await);
    app.wait(72 * HOUR);
    assert!(!guard.allows(&app.purge, &plan(&app), start).await);
    app.wait(72 * HOUR);
    assert!(!guard.allows(&app.purge, &plan(&app), start + HOUR).await, "an hour, and two days more");
    app.wait(HOUR);
    assert!(guard.allows(&app.purge, &plan(&app), start + 2 * HOUR).await);
}

#[tokio::test]
async fn the_clean_up_waits_if_the_store_cannot_say_when_the_last_one_was() {
    let app = App::start().await;
    let start = Instant::now();
    let mut guard = PurgeGuard::default();
    app.execute("ALTER TABLE clean_up RENAME TO lost");
    assert!(!guard.allows(&app.purge, &plan(&app), start).await);
    app.execute("ALTER TABLE lost RENAME TO clean_up");
    assert!(guard.allows(&app.purge, &plan(&app), start).await, "it is not held for an hour");
}

#[tokio::test]
async fn a_leap_is_remembered_until_the_store_has_noted_it() {
    let app = App::start().await;
    let start = Instant::now();
    let mut guard = PurgeGuard::default();
    assert!(guard.allows(&app.purge, &plan(&app), start).await);
    app.wait(3 * DAY);
    app.execute("ALTER TABLE clean_up RENAME TO lost");
    assert!(!guard.allows(&app.purge, &plan(&app), start).await);
    app.execute("ALTER TABLE lost RENAME TO clean_up");
    assert!(!guard.allows(&app.purge, &plan(&app), start).await);
    assert_eq!(why(&app).await, Some(HoldReason::Jumped));
}

#[tokio::test]
async fn a_purge_ends_the_hold_whenever_it_comes() {
    for at in 0.. {
        let app = App::start().await;
        clean_up(&app).await;
        let plan = app.purge.plan(PurgeScope::Expired, Origin::job());
        app.purge.held(&plan, ClockCheck::Jumped).await.unwrap();
        assert_eq!(why(&app).await, Some(HoldReason::Jumped));
        let look = app.purge.held(&plan, ClockCheck::Steady(Duration::ZERO));
        if !interrupted(look, at, clean_up(&app)).await.in_time {
            assert!(at >= 1, "it waits for the store");
            break;
        }
        assert_eq!(why(&app).await, None, "step {at}");
    }
}

#[tokio::test]
async fn the_clean_up_waits_an_hour_if_most_users_would_go() {
    let app = App::start().await;
    for number in 0..20 {
        app.sign_up(&format!("user{number}@example.com")).await;
    }
    app.wait(Duration::from_hours(48));
    let start = Instant::now();
    assert!(PurgeGuard::default().allows(&app.purge, &plan(&app), start).await, "so few may always go");
    app.sign_up("user20@example.com").await;
    app.wait(Duration::from_hours(48));
    let mut guard = PurgeGuard::default();
    assert!(!guard.allows(&app.purge, &plan(&app), start).await);
    app.wait(HOUR / 2);
    assert!(!guard.allows(&app.purge, &plan(&app), start + HOUR / 2).await);
    app.wait(HOUR / 2);
    assert!(guard.allows(&app.purge, &plan(&app), start + HOUR).await);
}

#[tokio::test]
async fn a_clean_up_of_most_users_sessions_or_events_is_held() {
    let users = "INSERT INTO users (id, email, email_key, search_text, role, status, disabled, created_at, updated_at, expires_at) \
                 SELECT RANDOM, i, i, i, 'user', 'unverified', FALSE, 1, 1, at FROM n";
    let sessions = "INSERT INTO sessions (id, user_id, refresh_hash, created_at, last_used_at, expires_at) \
                    SELECT RANDOM, (SELECT id FROM users), HASH, 1, 1, at FROM n";
    let events = "INSERT INTO audit_events (id, at, action, user_id, channel, changes) \
                  SELECT RANDOM, at, 'user.edited', RANDOM, 'api', '[]' FROM n";
    for (sql, most) in [
        (users, HoldReason::MostUsers),
        (sessions, HoldReason::MostSessions),
        (events, HoldReason::MostEvents),
    ] {
        for (due, all, is_held) in
            [(0, 0, false), (20, 20, false), (21, 21, true), (21, 42, false), (22, 43, true)]
        {
            let app = App::start().await;
            if most != HoldReason::MostUsers {
                app.make_admin(ANN).await;
            }
            app.execute("DELETE FROM audit_events");
            if all > 0 {
                let hash = app.sql.either("randomblob(32)", "sha256(i::bytea)");
                app.execute(&format!(
                    "WITH RECURSIVE numbers (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM numbers WHERE i < {all}), \
                     n (i, at) AS (SELECT CAST(i AS TEXT), CASE WHEN i <= {due} THEN 1 ELSE 9000000000000000 END FROM numbers) {}",
                    sql.replace("RANDOM", app.sql.random_id()).replace("HASH", hash)
                ));
            }
            assert_eq!(why(&app).await, is_held.then_some(most), "{due} of {all}");
        }
    }
}

#[tokio::test]
async fn a_start_under_a_clock_that_is_far_ahead_deletes_nothing() {
    let app = App::start().await;
    let boss = app.admin().await;
    let tokens = app.tokens("boss@example.com").await;
    app.sign_up(ANN).await;
    let events = app.stored::<i64>("SELECT count(*) FROM audit_events");
    clean_up(&app).await;
    app.wait(400 * DAY);
    for _ in 0..3 {
        let (mut guard, start) = (PurgeGuard::default(), Instant::now());
        assert!(turn(&mut guard, &app, start).await);
        boss.get("/me").await.refused(401, "invalid_token");
        assert!(turn(&mut guard, &app, start + Duration::from_mins(1)).await);
    }
    app.clock.set_back(400 * DAY);
    boss.get("/me").await.is(200);
    let body = json!({ "refresh_token": tokens["refresh_token"] });
    app.anyone().post("/auth/refresh", body).await.is(200);
    app.verify(ANN).await;
    assert!(app.stored::<i64>("SELECT count(*) FROM audit_events") > events);
    assert!(!turn(&mut PurgeGuard::default(), &app, Instant::now()).await, "the clock is right");
}

#[tokio::test]
async fn a_server_that_was_off_for_a_weekend_cleans_up_at_once() {
    let app = App::start().await;
    clean_up(&app).await;
    app.wait(7 * DAY);
    assert!(!turn(&mut PurgeGuard::default(), &app, Instant::now()).await);
    app.wait(7 * DAY + Duration::from_secs(1));
    assert_eq!(why(&app).await, Some(HoldReason::FarAhead));
}

#[tokio::test]
async fn a_clock_far_ahead_holds_the_clean_up_for_a_day_over_restarts() {
    let app = App::start().await;
    clean_up(&app).await;
    app.wait(30 * DAY);
    for hours in 0..4 {
        // Seven hours at a time, with an hour between two turns.
        let (mut guard, start) = (PurgeGuard::default(), Instant::now());
        for hour in 0..=6 {
            let ran = hours * 6 + hour;
            assert_eq!(turn(&mut guard, &app, start + hour * HOUR).await, ran < 24, "after {ran} hours");
            app.wait(HOUR);
        }
    }
    assert_eq!(why(&app).await, None, "it has run");
}

#[tokio::test]
async fn the_wait_after_a_leap_goes_on_after_a_restart() {
    let app = App::start().await;
    clean_up(&app).await;
    let (mut guard, start) = (PurgeGuard::default(), Instant::now());
    assert!(!turn(&mut guard, &app, start).await);
    app.wait(3 * DAY);
    assert!(turn(&mut guard, &app, start).await);
    app.wait(HOUR / 2);
    assert!(turn(&mut guard, &app, start + HOUR / 2).await);
    let mut guard = PurgeGuard::default();
    assert_eq!(why(&app).await, Some(HoldReason::Jumped));
    assert!(turn(&mut guard, &app, start).await);
    app.wait(HOUR / 2);
    assert!(!turn(&mut guard, &app, start + HOUR / 2).await);
    assert_eq!(why(&app).await, None);
}

#[tokio::test]
async fn a_clean_up_under_a_clock_far_behind_the_last_one_waits_an_hour() {
    let app = App::start().await;
    app.wait(400 * DAY);
    clean_up(&app).await;
    app.clock.set_back(400 * DAY);
    let (mut guard, start) = (PurgeGuard::default(), Instant::now());
    assert_eq!(why(&app).await, Some(HoldReason::Behind));
    assert!(turn(&mut guard, &app, start).await);
    app.wait(HOUR);
    assert!(!turn(&mut guard, &app, start + HOUR).await);
    assert_eq!(why(&app).await, None, "the last one is measured by the clock of now");
}

#[tokio::test]
async fn a_store_of_an_earlier_version_knows_when_it_was_last_used() {
    if sqlite_only() {
        return;
    }
    let app = App::start().await;
    app.sign_up(ANN).await;
    app.execute("DROP TABLE clean_up");
    app.execute(include_str!("../../migrations/sqlite/V15__clean_up.sql"));
    app.execute("ALTER TABLE clean_up RENAME COLUMN leapt TO jumped");
    assert_eq!(why(&app).await, None);
    app.wait(8 * DAY);
    assert_eq!(why(&app).await, Some(HoldReason::FarAhead));
}

#[test]
fn a_server_says_why_it_does_not_clean_up_and_purge_overrides_it() {
    let shop = Shop::with_admin();
    let server = shop.serve();
    let token = server.token("boss@example.com");
    server.get_as(&token, "/me").is(200);
    let last_run = || {
        let [row] = &shop.sql.rows("SELECT last_run FROM clean_up")[..] else { return None };
        row[0].clone()
    };
    wait_for("a clean-up", last_run);
    server.stop(Signal::TERM).is(0);
    let year = "UPDATE clean_up SET last_run = last_run - 34560000000; UPDATE sessions SET expires_at = 1";
    shop.sql.execute(year);
    for _ in 0..2 {
        let server = shop.serve();
        wait_for("a warning", || server.logged().contains("is held: ").then_some(()));
        let ran = server.stop(Signal::TERM).is(0);
        let lines: Vec<_> = ran.err.lines().filter(|line| line.contains("is held: ")).collect();
        let [line] = lines[..] else { panic!("{}", ran.err) };
        for part in
            ["WARN", "the clock is 400 days ahead of the last clean-up", "coffeeshop purge", "sessions=1"]
        {
            assert!(line.contains(part), "{line}");
        }
        assert_eq!(shop.count("sessions"), 1);
    }
    shop.run(&["purge"]).is(0);
    assert_eq!(shop.count("sessions"), 0);
    let purged = last_run();
    let server = shop.serve();
    wait_for("a clean-up", || (last_run() != purged).then_some(()));
    let ran = server.stop(Signal::TERM).is(0);
    assert!(!ran.err.contains("is held: "), "{}", ran.err);
}
