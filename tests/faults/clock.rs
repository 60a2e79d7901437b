//! Clocks that jump.

use std::{fs, path::Path, thread, time::Duration};

use rustix::process::Signal;
use serde_json::json;

use crate::{
    connection,
    crowd::{ask, guests, verify_at_once},
    has, is_calm, is_sound, number, say, shop,
    shop::{PASSWORD, wait_for},
};

#[test]
#[ignore = "needs root and a disk to break: .ci/run has one"]
fn a_clock_that_leaps_ends_nothing() {
    if !has(&["faketime"]) {
        return;
    }
    for leap in [
        "-1h",
        "-1d",
        "+1h",
        "+3d",
        "@1970-01-01 00:00:01",
        "@2038-01-19 03:14:06",
        "@2100-02-28 12:30:00",
        "@2100-02-28 23:59:58", // the next turn of the clean-up is two seconds away
    ] {
        leap_to(leap);
    }
}

/// Has the clock leap and leap back; looks at what is left of the service and of the users in between.
fn leap_to(leap: &str) {
    let Some(library) = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu"]
        .map(|folder| format!("{folder}/faketime/libfaketimeMT.so.1"))
        .into_iter()
        .find(|library| Path::new(library).exists())
    else {
        return say("skipped: there is no libfaketime");
    };
    let shop = shop();
    let clock = shop.path("clock");
    fs::write(&clock, "+0").unwrap();
    let server = shop
        .start_in_shell(&format!(
            "export LD_PRELOAD={library} FAKETIME_TIMESTAMP_FILE={} FAKETIME_NO_CACHE=1 \
                 FAKETIME_DONT_FAKE_MONOTONIC=1 TZ=UTC; exec \"$0\" serve",
            clock.display()
        ))
        .wait_until_it_listens();
    let mut guests = guests(&server, 2);
    // More than the few who may always go.
    let more = "INSERT INTO users (id, email, email_key, search_text, role, status, disabled, created_at, updated_at, expires_at) \
                    WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i + 1 FROM n WHERE i < 30) \
                    SELECT randomblob(16), 'u' || i || '@example.com', 'u' || i || '@example.com', 'u' || i, 'user', \
                    'unverified', 0, u.created_at, u.updated_at, u.expires_at FROM n, users u \
                    WHERE u.email = 'guest-0@example.com'";
    connection(&shop).execute(more, []).unwrap();
    verify_at_once(&mut guests[1], &server);

    fs::write(&clock, leap).unwrap();
    thread::sleep(Duration::from_secs(3));
    server.get("/readyz").is(200);
    let me = server.get_as(&guests[1].access, "/me");
    assert!(matches!(me.status, 200 | 401), "{leap}: {me:?}");
    let token = json!({ "refresh_token": guests[1].refresh });
    let refreshed = ask(server.address, "POST", "/auth/refresh", "", Some(&token)).unwrap();
    assert!(matches!(refreshed.status, 200 | 401), "{leap}: {refreshed:?}");
    let body = json!({ "email": guests[1].email, "password": PASSWORD });
    let login = ask(server.address, "POST", "/auth/login", "", Some(&body)).unwrap();
    assert_eq!(login.status, 200, "{leap}: {login:?}");
    let access = login.json()["access_token"].as_str().unwrap().to_owned();
    server.get_as(&access, "/me").is(200);
    let name = json!({ "first_name": "Ann" });
    ask(server.address, "PATCH", "/me", &access, Some(&name)).unwrap().is(200);
    server.sign_up("late@example.com").is(201);
    let users = number(&connection(&shop), "SELECT count(*) FROM users WHERE status = 'unverified'");
    assert!(users >= 31, "{leap}: {users} are left");

    fs::write(&clock, "+0").unwrap();
    wait_for("the right time", || {
        let body = json!({ "email": guests[1].email, "password": PASSWORD });
        let login = ask(server.address, "POST", "/auth/login", "", Some(&body)).unwrap().is(200).json();
        let access = login["access_token"].as_str().unwrap().to_owned();
        (server.get_as(&access, "/me").status == 200).then_some(())
    });
    if refreshed.status == 401 && !leap.starts_with('@') {
        // It was not taken, and not ended either.
        guests[1].renew(&server);
    }
    say(format_args!("{leap}: /me {}, refresh {}, {users} users left", me.status, refreshed.status));
    let ran = server.stop(Signal::TERM).is(0);
    is_calm(&ran.err);
    let sql = connection(&shop);
    sql.execute("DELETE FROM users WHERE email LIKE 'u%'", []).unwrap();
    is_sound(&sql);
}
