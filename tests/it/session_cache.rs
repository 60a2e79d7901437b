//! The session cache is never older than the database, whichever process changed it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

use serde_json::json;

use crate::{
    app::App,
    interrupted::interrupted,
    shop::{PASSWORD, Shop, wait_for},
};

const ANN: &str = "ann@example.com";

#[tokio::test]
async fn a_change_by_another_process_counts_at_the_next_request() {
    for (change, status) in [
        ("UPDATE users SET disabled = TRUE WHERE email = 'ann@example.com'", 401),
        ("UPDATE users SET role = 'user' WHERE email = 'ann@example.com'", 403),
        (
            "UPDATE users SET status = 'unverified', verified_at = NULL, expires_at = 9000000000000000 WHERE email = 'ann@example.com'",
            403,
        ),
        ("DELETE FROM sessions", 401),
        ("DELETE FROM users WHERE email = 'ann@example.com'", 401),
    ] {
        for app in [App::start().await, App::forgetful(|_| {}).await] {
            let ann = app.another_admin(ANN).await;
            for _ in 0..3 {
                ann.get("/users").await.is(200);
            }
            app.execute(change);
            assert_eq!(ann.get("/users").await.status, status, "{change}");
        }
    }
}

/// Whatever a look at the store has found, and however long it takes to come back: a change that was committed meanwhile
/// is seen by the next request.
#[tokio::test]
async fn a_change_at_any_step_of_a_request_counts_at_the_next_one() {
    let mut was_late = false;
    for at in (0..2).cycle().take(40) {
        if was_late {
            return;
        }
        let app = App::start().await;
        let ann = app.signed_in(ANN).await;
        let change = async { app.execute("UPDATE users SET disabled = TRUE") };
        // The one thing that this request waits for is the look.
        if interrupted(ann.get("/me"), at, change).await.in_time {
            ann.get("/me").await.refused(401, "invalid_token");
            was_late |= at == 1;
        }
    }
    panic!("every look came back at once");
}

#[tokio::test]
async fn a_change_that_is_taken_back_is_seen_twice() {
    let app = App::start().await;
    let ann = app.signed_in(ANN).await;
    for _ in 0..100 {
        ann.get("/me").await.is(200);
        app.execute("UPDATE users SET disabled = TRUE");
        ann.get("/me").await.refused(401, "invalid_token");
        app.execute("UPDATE users SET disabled = FALSE");
    }
    ann.get("/me").await.is(200);
}

/// The command line is another process; eight clients ask without pause. Whatever they ask after it has ended is refused.
#[test]
fn the_cache_serves_no_user_that_the_cli_has_disabled() {
    let shop = Shop::with_admin().with("RATE_LIMIT__ENABLED", "false");
    let server = Arc::new(shop.serve());
    server.sign_up(ANN).is(201);
    for _ in 0..5 {
        let body = json!({ "email": ANN, "password": PASSWORD });
        let login = server.post("/auth/login", &body).is(200).json();
        let token = login["access_token"].as_str().unwrap().to_owned();
        let (disabled, ended) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (answered, late) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let clients: Vec<_> = (0..8)
            .map(|_| {
                let (server, token) = (Arc::clone(&server), token.clone());
                let (disabled, ended) = (Arc::clone(&disabled), Arc::clone(&ended));
                let (answered, late) = (Arc::clone(&answered), Arc::clone(&late));
                thread::spawn(move || {
                    while !ended.load(Ordering::SeqCst) {
                        let is_late = disabled.load(Ordering::SeqCst);
                        let status = server.get_as(&token, "/me").status;
                        assert!(matches!(status, 200 | 401), "{status}");
                        answered.fetch_add(usize::from(status == 200), Ordering::SeqCst);
                        if is_late {
                            assert_eq!(status, 401);
                            late.fetch_add(1, Ordering::SeqCst);
                        }
                    }
                })
            })
            .collect();
        wait_for("a request to be served", || (answered.load(Ordering::SeqCst) > 0).then_some(()));
        shop.run(&["users", "disable", ANN]).is(0);
        disabled.store(true, Ordering::SeqCst);
        while late.load(Ordering::SeqCst) < 20 && clients.iter().all(|client| !client.is_finished()) {
            thread::yield_now();
        }
        ended.store(true, Ordering::SeqCst);
        for client in clients {
            client.join().unwrap();
        }
        shop.run(&["users", "enable", ANN]).is(0);
    }
}
