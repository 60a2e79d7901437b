//! What happens by the clock, and what does not happen when the clock is perhaps wrong.

use std::time::Duration;

use coffeeshop::timers::Brake;

use crate::app::App;

#[tokio::test]
async fn the_clean_up_waits_one_turn_after_the_clock_leapt() {
    let app = App::start().await;
    let mut brake = Brake::default();
    assert!(brake.lets_go(&app.accounts).await, "nothing is known of the clock yet");
    assert!(brake.lets_go(&app.accounts).await);
    app.wait(Duration::from_mins(59));
    assert!(brake.lets_go(&app.accounts).await);
    app.wait(Duration::from_hours(72));
    assert!(!brake.lets_go(&app.accounts).await);
    assert!(brake.lets_go(&app.accounts).await, "a turn later it goes on");
}

#[tokio::test]
async fn the_clean_up_waits_one_turn_if_most_users_would_go() {
    let app = App::start().await;
    for number in 0..20 {
        app.sign_up(&format!("user{number}@example.com")).await;
    }
    app.wait(Duration::from_hours(48));
    assert!(Brake::default().lets_go(&app.accounts).await, "so few may always go");
    app.sign_up("user20@example.com").await;
    app.wait(Duration::from_hours(48));
    let mut brake = Brake::default();
    assert!(!brake.lets_go(&app.accounts).await);
    assert!(brake.lets_go(&app.accounts).await);
}
