//! Races between two processes, each run `RACE_ROUNDS` times: whatever the order, no rule is broken.

use std::collections::{BTreeMap, HashSet};

use serde_json::json;

use crate::{
    Visitor, is_calm, is_sound, new_shop,
    processes::{at_once, code_of, count, token_of},
    rounds, settled,
    shop::{PASSWORD, Server, Shop},
    text, token,
};

fn two_servers(shop: &Shop) -> [Server; 2] {
    [shop.serve(), shop.serve()]
}

#[test]
#[ignore = "needs PostgreSQL: .ci/run has one"]
fn one_of_those_who_sign_up_with_one_address_gets_it() {
    let (database, shop) = new_shop();
    let servers = two_servers(&shop);
    for round in 0..rounds(15) {
        let statuses = at_once(4, |number| {
            let email = [format!("ann{round}@example.com"), format!("ANN{round}@Example.COM")];
            settled(|| servers[number % 2].sign_up(&email[number / 2])).status
        });
        assert_eq!(count(&statuses), BTreeMap::from([(201, 1), (409, 3)]));
    }
    assert_eq!(database.number("SELECT count(*) FROM users"), i64::try_from(rounds(15)).unwrap());
    is_sound(database);
    for server in servers {
        is_calm(&server.logged());
    }
}

#[test]
#[ignore = "needs PostgreSQL: .ci/run has one"]
fn two_admins_who_take_each_others_rights_leave_one() {
    let (database, shop) = new_shop();
    let emails = ["boss@example.com", "other@example.com"];
    for email in emails {
        shop.create_admin(email).is(0);
    }
    let servers = two_servers(&shop);
    for _ in 0..rounds(12) {
        let admins = [0, 1].map(|number| {
            let access = token(&servers[number], emails[number]);
            let id = text(&settled(|| servers[number].get_as(&access, "/me")).is(200).json(), "id");
            (format!("Authorization: Bearer {access}\r\n"), format!("/users/{id}"))
        });
        let statuses = at_once(2, |number| {
            let body = json!({ "role": "user" });
            let (headers, path) = (&admins[number].0, &admins[1 - number].1);
            settled(|| servers[number].ask("PATCH", path, headers, Some(&body)).unwrap()).status
        });
        assert_eq!(count(&statuses).get(&200), Some(&1), "{statuses:?}");
        assert!(statuses.iter().all(|status| [200, 403, 409].contains(status)), "{statuses:?}");
        assert_eq!(database.number("SELECT count(*) FROM users WHERE role = 'admin'"), 1);
        for email in emails {
            shop.run(&["users", "set-role", email, "admin"]);
        }
    }
}

#[test]
#[ignore = "needs PostgreSQL: .ci/run has one"]
fn the_last_two_admins_who_leave_at_once_leave_one() {
    let (database, shop) = new_shop();
    shop.create_admin("admin-0@example.com").is(0);
    let servers = two_servers(&shop);
    let mut stays = "admin-0@example.com".to_owned();
    for round in 1..=rounds(10) {
        let comes = format!("admin-{round}@example.com");
        shop.create_admin(&comes).is(0);
        let emails = [&stays, &comes];
        let tokens = [0, 1].map(|number| token(&servers[number], emails[number]));
        let statuses = at_once(2, |number| {
            let headers = format!("Authorization: Bearer {}\r\n", tokens[number]);
            let body = json!({ "current_password": PASSWORD });
            settled(|| servers[number].ask("DELETE", "/me", &headers, Some(&body)).unwrap()).status
        });
        assert_eq!(count(&statuses), BTreeMap::from([(204, 1), (409, 1)]));
        assert_eq!(database.number("SELECT count(*) FROM users"), 1);
        stays = database.sql("SELECT email FROM users");
    }
}

#[test]
#[ignore = "needs PostgreSQL: .ci/run has one"]
fn one_refresh_token_at_both_has_one_successor() {
    let (_, shop) = new_shop();
    let servers = two_servers(&shop);
    settled(|| servers[0].sign_up("ann@example.com")).is(201);
    for _ in 0..rounds(12) {
        let tokens = settled(|| servers[0].log_in("ann@example.com")).is(200).json();
        let body = json!({ "refresh_token": text(&tokens, "refresh_token") });
        let replies = at_once(6, |number| settled(|| servers[number % 2].post("/auth/refresh", &body)));
        let good = replies.iter().filter(|reply| reply.status == 200);
        let successors: HashSet<_> = good.map(|reply| text(&reply.json(), "refresh_token")).collect();
        assert_eq!(successors.len(), 1, "{replies:?}");
        let successor = successors.into_iter().next().unwrap();
        settled(|| servers[1].post("/auth/refresh", &json!({ "refresh_token": successor }))).is(200);
    }
}

#[test]
#[ignore = "needs PostgreSQL: .ci/run has one"]
fn a_session_that_is_ended_at_one_as_it_is_renewed_at_the_other_is_over() {
    let (database, shop) = new_shop();
    let servers = two_servers(&shop);
    settled(|| servers[0].sign_up("ann@example.com")).is(201);
    for _ in 0..rounds(20) {
        let tokens = settled(|| servers[0].log_in("ann@example.com")).is(200).json();
        let body = json!({ "refresh_token": text(&tokens, "refresh_token") });
        let paths = ["/auth/logout", "/auth/refresh"];
        let replies = at_once(2, |number| settled(|| servers[number].post(paths[number], &body)));
        for reply in &replies {
            assert!([200, 204, 401].contains(&reply.status), "{reply:?}");
        }
        assert_eq!(database.number("SELECT count(*) FROM sessions"), 0, "{replies:?}");
        if replies[1].status == 200 {
            let access = text(&replies[1].json(), "access_token");
            settled(|| servers[0].get_as(&access, "/me")).is(401);
        }
    }
}

#[test]
#[ignore = "needs PostgreSQL: .ci/run has one"]
fn a_code_or_link_sent_to_both_counts_once() {
    let (database, shop) = new_shop();
    let servers = two_servers(&shop);
    for round in 0..rounds(10) {
        let email = format!("ann{round}@example.com");
        settled(|| servers[0].sign_up(&email)).is(201);
        let (code, token) = (code_of(&servers, &email), token_of(&servers, &email));
        let statuses = at_once(4, |number| {
            let body = if number / 2 == 0 {
                json!({ "email": email, "code": code })
            } else {
                json!({ "token": token })
            };
            settled(|| servers[number % 2].post("/auth/verify", &body)).status
        });
        assert_eq!(count(&statuses), BTreeMap::from([(200, 1), (400, 3)]));
    }
    let events = "SELECT count(*) FROM audit_events WHERE action = 'user.verified'";
    assert_eq!(database.number(events), i64::try_from(rounds(10)).unwrap());
    is_sound(database);
}

#[test]
#[ignore = "needs PostgreSQL: .ci/run has one"]
fn an_invitation_sent_to_both_is_accepted_once() {
    let (_, shop) = new_shop();
    shop.create_admin("boss@example.com").is(0);
    let servers = two_servers(&shop);
    let admin = format!("Authorization: Bearer {}\r\n", token(&servers[0], "boss@example.com"));
    for round in 0..rounds(8) {
        let email = format!("bob{round}@example.com");
        settled(|| servers[0].post_with(&admin, "/users", &json!({ "email": email }))).is(201);
        let token = token_of(&servers, &email);
        let statuses = at_once(4, |number| {
            let body = json!({ "token": token, "new_password": format!("lungo hums at dawn {number}") });
            settled(|| servers[number % 2].post("/auth/password/reset", &body)).status
        });
        assert_eq!(count(&statuses), BTreeMap::from([(204, 1), (400, 3)]));
    }
}

#[test]
#[ignore = "needs PostgreSQL: .ci/run has one"]
fn no_login_at_one_with_the_old_password_outlives_a_new_one_at_the_other() {
    let (database, shop) = new_shop();
    let servers = two_servers(&shop);
    for round in 0..rounds(8) {
        let ann = Visitor::arrive(&servers[0], &format!("ann{round}@example.com"));
        let replies = at_once(4, |number| {
            if number == 0 {
                let body = json!({ "current_password": PASSWORD, "new_password": "lungo hums at dawn" });
                settled(|| ann.send(&servers[0], "POST", "/me/password", Some(&body)))
            } else {
                settled(|| servers[number % 2].log_in(&ann.email))
            }
        });
        assert_eq!(replies[0].status, 204, "{replies:?}");
        for login in replies.iter().skip(1).filter(|login| login.status == 200) {
            let access = text(&login.json(), "access_token");
            settled(|| servers[1].get_as(&access, "/me")).is(401);
        }
        let open = format!("SELECT count(*) FROM sessions WHERE user_id = '{}'", ann.id);
        assert_eq!(database.number(&open), 1, "that of the user who changed it");
    }
}
