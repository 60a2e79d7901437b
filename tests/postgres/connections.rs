//! Connections that break at each point of a transaction: what is done then is done once and whole, and the answer says so.

use serde_json::json;

use crate::{
    Visitor,
    cluster::Database,
    is_calm, is_put_off, is_sound, new_shop,
    proxy::{Point, Proxy},
    say, settled,
    shop::{PASSWORD, Reply, Server},
    shop_at,
};

/// A write, and a statement that it alone has.
struct Write {
    name: &'static str,
    statement: &'static str,
    ask: fn(&Server, &Visitor) -> Reply,
    /// How often it was done, `{email}` and `{id}` being its user's.
    done: &'static str,
}

const SIGN_UP: Write = Write {
    name: "sign-up",
    statement: "INSERT INTO users",
    ask: |server, user| server.sign_up(&format!("new-{}", user.email)),
    done: "SELECT count(*) FROM users WHERE email = 'new-{email}'",
};

const WRITES: [Write; 6] = [
    SIGN_UP,
    Write {
        name: "login",
        statement: "INSERT INTO sessions",
        ask: |server, user| server.log_in(&user.email),
        done: "SELECT count(*) - 1 FROM sessions WHERE user_id = '{id}'",
    },
    Write {
        name: "refresh",
        statement: "UPDATE sessions SET last_used_at",
        ask: |server, user| user.renew(server),
        done: "SELECT count(previous_hash) FROM sessions WHERE user_id = '{id}'",
    },
    Write {
        name: "edit",
        statement: "UPDATE users SET email",
        ask: |server, user| user.rename(server, "Ann"),
        done: "SELECT count(*) FROM audit_events WHERE user_id = '{id}' AND action = 'user.edited'",
    },
    Write {
        name: "logout",
        statement: "DELETE FROM sessions",
        ask: |server, user| user.log_out(server),
        done: "SELECT 1 - count(*) FROM sessions WHERE user_id = '{id}'",
    },
    Write {
        name: "deletion",
        statement: "DELETE FROM users",
        ask: |server, user| user.delete(server),
        done: "SELECT 1 - count(*) FROM users WHERE id = '{id}'",
    },
];

impl Write {
    fn done(&self, database: Database<'_>, user: &Visitor) -> i64 {
        database.number(&self.done.replace("{email}", &user.email).replace("{id}", &user.id))
    }
}

/// A write is sent, and its connection cut; answers the answer, and how often it was done.
fn cut(write: &Write, point: Point, server: &Server, proxy: &Proxy, database: Database<'_>) -> (Reply, i64) {
    let user = Visitor::arrive(server, &format!("{}-{point:?}@example.com", write.name).to_lowercase());
    let events = || database.number("SELECT count(*) FROM audit_events");
    let (cuts, before) = (proxy.cuts(), events());
    proxy.arm(write.statement, point);
    let reply = (write.ask)(server, &user);
    assert_eq!(proxy.cuts() - cuts, 1, "{} {point:?} was not cut: {reply:?}", write.name);
    let done = write.done(database, &user);
    // Each leaves one event, but for a refresh, and so does never being done.
    let wanted = if write.name == "refresh" { 0 } else { done };
    assert_eq!(events() - before, wanted, "{} {point:?}: {reply:?}", write.name);
    (reply, done)
}

#[test]
#[ignore = "needs PostgreSQL: .ci/run has one"]
fn only_a_connection_lost_in_the_commit_leaves_the_outcome_unknown() {
    let (database, _) = new_shop();
    let proxy = Proxy::start(database.cluster.port);
    let shop = shop_at(&database.url_at(&format!("127.0.0.1:{}", proxy.port())));
    let server = shop.serve();
    for write in &WRITES {
        for point in [Point::Statement, Point::StatementAnswer] {
            let (reply, done) = cut(write, point, &server, &proxy, database);
            assert!((200..300).contains(&reply.status), "{} {point:?}: {reply:?}", write.name);
            assert_eq!(done, 1, "{} {point:?}", write.name);
        }
        for (point, times) in [(Point::Commit, 0), (Point::CommitAnswer, 1)] {
            let (reply, done) = cut(write, point, &server, &proxy, database);
            is_put_off(&reply, 503, "outcome_unknown");
            assert_eq!(done, times, "{} {point:?}", write.name);
        }
    }
    is_sound(database);
    is_calm(&server.logged());
    say(format_args!("{} writes, each cut at 4 points", WRITES.len()));
}

#[test]
#[ignore = "needs PostgreSQL: .ci/run has one"]
fn a_read_whose_connection_is_lost_is_not_noticed() {
    let (database, _) = new_shop();
    let proxy = Proxy::start(database.cluster.port);
    let server = shop_at(&database.url_at(&format!("127.0.0.1:{}", proxy.port()))).serve();
    let user = Visitor::arrive(&server, "ann@example.com");
    for (number, point) in [Point::Statement, Point::StatementAnswer].repeat(3).into_iter().enumerate() {
        proxy.arm("WHERE s.id = ANY", point);
        server.get_as(&user.access, "/me").is(200);
        assert_eq!(proxy.cuts(), number + 1, "{point:?}");
    }
    is_calm(&server.logged());
}

#[test]
#[ignore = "needs PostgreSQL: .ci/run has one"]
fn a_commit_that_is_not_answered_is_given_up_at_the_deadline() {
    let (database, _) = new_shop();
    let proxy = Proxy::start(database.cluster.port);
    let server = shop_at(&database.url_at(&format!("127.0.0.1:{}", proxy.port()))).serve();
    let (reply, done) = cut(&SIGN_UP, Point::SilentCommit, &server, &proxy, database);
    is_put_off(&reply, 503, "outcome_unknown");
    assert_eq!(done, 0);
    // What held the transaction open is gone with its connection.
    settled(|| server.sign_up("new-sign-up-silentcommit@example.com")).is(201);
}

#[test]
#[ignore = "needs PostgreSQL: .ci/run has one"]
fn a_command_whose_commit_is_not_answered_says_so() {
    let (database, direct) = new_shop();
    direct.run(&["migrate"]).is(0);
    let proxy = Proxy::start(database.cluster.port);
    let shop = shop_at(&database.url_at(&format!("127.0.0.1:{}", proxy.port())));
    for (point, times) in [(Point::Commit, 0), (Point::CommitAnswer, 1)] {
        proxy.arm("INSERT INTO users", point);
        let email = format!("{point:?}@example.com");
        let ran = shop.run_with_input(&["create-admin", "--email", &email, "--password-stdin"], PASSWORD);
        let ran = ran.refused("The change may have been made. Look before you try again");
        let query = format!("SELECT count(*) FROM users WHERE email = '{email}'");
        assert_eq!(database.number(&query), times, "{ran:?}");
    }
}

#[test]
#[ignore = "needs PostgreSQL: .ci/run has one"]
fn a_guess_is_counted_whatever_becomes_of_the_connection() {
    let (database, _) = new_shop();
    let proxy = Proxy::start(database.cluster.port);
    let shop = shop_at(&database.url_at(&format!("127.0.0.1:{}", proxy.port())));
    let shop = shop.with("RATE_LIMIT__ENABLED", "true").with("RATE_LIMIT__LOGIN_BURST", "12");
    let server = shop.with("RATE_LIMIT__LOGIN_REFILL", "1h").serve();
    server.sign_up("ann@example.com").is(201);
    let wrong = json!({ "email": "ann@example.com", "password": "no such password" });
    let mut refused = 0;
    for point in [Point::Statement, Point::StatementAnswer, Point::Commit, Point::CommitAnswer].repeat(3) {
        for statement in ["INSERT INTO rate_limits", "UPDATE rate_limits"] {
            proxy.arm(statement, point);
            match server.post("/auth/login", &wrong) {
                reply if reply.status == 503 => is_put_off(&reply, 503, "outcome_unknown"),
                reply if reply.status == 429 => {}
                reply => {
                    reply.is(401);
                    refused += 1;
                }
            }
        }
    }
    assert!(refused <= 12, "{refused} guesses of 12");
    assert!(proxy.cuts() >= 4, "only {} cuts", proxy.cuts());
    is_calm(&server.logged());
}
