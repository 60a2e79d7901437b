//! What happens by the clock, and what does not happen when the clock is perhaps wrong.

use std::time::{Duration, Instant};

use coffeeshop::timers::Brake;

use crate::app::App;

const HOUR: Duration = Duration::from_hours(1);

#[tokio::test]
async fn the_clean_up_waits_an_hour_after_the_clock_leapt() {
    let app = App::start().await;
    let mut brake = Brake::default();
    let start = Instant::now();
    assert!(brake.lets_go(&app.accounts, start).await, "nothing is known of the clock yet");
    app.wait(HOUR);
    assert!(brake.lets_go(&app.accounts, start + HOUR).await, "time has passed by both clocks");
    app.wait(Duration::from_mins(59));
    assert!(brake.lets_go(&app.accounts, start + HOUR).await, "so much may be a correction");
    app.wait(72 * HOUR);
    let leap = start + HOUR;
    assert!(!brake.lets_go(&app.accounts, leap).await);
    app.wait(Duration::from_secs(2));
    assert!(!brake.lets_go(&app.accounts, leap + Duration::from_secs(2)).await, "the next turn is soon");
    app.wait(HOUR);
    assert!(brake.lets_go(&app.accounts, leap + HOUR).await, "an hour later it goes on");
    assert!(brake.lets_go(&app.accounts, leap + HOUR).await);
}

#[tokio::test]
async fn a_clock_that_leaps_again_has_the_clean_up_wait_again() {
    let app = App::start().await;
    let mut brake = Brake::default();
    let start = Instant::now();
    assert!(brake.lets_go(&app.accounts, start).await);
    app.wait(72 * HOUR);
    assert!(!brake.lets_go(&app.accounts, start).await);
    app.wait(72 * HOUR);
    assert!(!brake.lets_go(&app.accounts, start + HOUR).await, "an hour, and two days more");
    app.wait(HOUR);
    assert!(brake.lets_go(&app.accounts, start + 2 * HOUR).await);
}

#[tokio::test]
async fn the_clean_up_waits_if_nobody_knows_whether_most_users_would_go() {
    let app = App::start().await;
    let start = Instant::now();
    let mut brake = Brake::default();
    let store = app.opened();
    store.execute_batch("ALTER TABLE user_counts RENAME TO lost").unwrap();
    assert!(!brake.lets_go(&app.accounts, start).await);
    store.execute_batch("ALTER TABLE lost RENAME TO user_counts").unwrap();
    assert!(brake.lets_go(&app.accounts, start).await, "it is not held for an hour");
}

#[tokio::test]
async fn the_clean_up_waits_an_hour_if_most_users_would_go() {
    let app = App::start().await;
    for number in 0..20 {
        app.sign_up(&format!("user{number}@example.com")).await;
    }
    app.wait(Duration::from_hours(48));
    let start = Instant::now();
    assert!(Brake::default().lets_go(&app.accounts, start).await, "so few may always go");
    app.sign_up("user20@example.com").await;
    app.wait(Duration::from_hours(48));
    let mut brake = Brake::default();
    assert!(!brake.lets_go(&app.accounts, start).await);
    app.wait(HOUR / 2);
    assert!(!brake.lets_go(&app.accounts, start + HOUR / 2).await);
    app.wait(HOUR / 2);
    assert!(brake.lets_go(&app.accounts, start + HOUR).await);
}
