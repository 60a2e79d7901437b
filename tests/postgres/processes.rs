//! Two processes on one database: what one limits, ends, rotates, sends or deletes, the other does not do again.

use std::{
    collections::{BTreeMap, HashSet},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use rustix::process::Signal;
use serde_json::json;

use crate::{
    Visitor,
    cluster::{Cluster, Database},
    is_calm, is_sound, new_shop, rounds, say, settled,
    shop::{Reply, Server, Shop, wait_for},
    shop_at,
    smtp_server::{Does, SmtpServer},
    text, token,
};

#[test]
#[ignore = "needs PostgreSQL: .ci/run has one"]
fn guesses_at_two_processes_are_counted_together() {
    let (_, shop) = new_shop();
    let shop = shop
        .with("RATE_LIMIT__ENABLED", "true")
        .with("RATE_LIMIT__LOGIN_BURST", "10")
        .with("RATE_LIMIT__LOGIN_REFILL", "1h")
        .with("RATE_LIMIT__MAIL_BURST", "9")
        .with("RATE_LIMIT__MAIL_REFILL", "1h");
    let servers = [shop.serve(), shop.serve()];
    let put_off = AtomicUsize::new(0);
    let asked = |ask: &dyn Fn() -> Reply| {
        settled(|| {
            let reply = ask();
            put_off.fetch_add(usize::from(reply.status == 503), Ordering::SeqCst);
            reply
        })
    };
    // What is put off may have been counted before; nothing else is missing, and never is one too many allowed.
    let is_limited = |counts: &BTreeMap<u16, usize>, allowed: u16, limit: usize| {
        let found = counts.get(&allowed).copied().unwrap_or_default();
        let refused = counts.get(&429).copied().unwrap_or_default();
        assert!(found <= limit && found + put_off.load(Ordering::SeqCst) >= limit, "{counts:?}");
        assert_eq!(found + refused, 40, "{counts:?}");
    };
    asked(&|| servers[0].sign_up("ann@example.com")).is(201); // one of the nine messages
    let wrong = json!({ "email": "ann@example.com", "password": "espresso rains upward" });
    let guess = |number: usize| asked(&|| servers[number % 2].post("/auth/login", &wrong)).status;
    is_limited(&count(&at_once(40, guess)), 401, 10);
    let ask = |number: usize| {
        let body = json!({ "email": format!("u{number}@example.com") });
        asked(&|| servers[number % 2].post("/auth/password/forgot", &body)).status
    };
    is_limited(&count(&at_once(40, ask)), 202, 8);
}

#[test]
#[ignore = "needs PostgreSQL: .ci/run has one"]
fn wrong_codes_at_two_processes_are_counted_together() {
    let (database, shop) = new_shop();
    let servers = [shop.serve(), shop.serve()];
    for round in 0..rounds(5) {
        let email = format!("ann{round}@example.com");
        settled(|| servers[0].sign_up(&email)).is(201);
        let left =
            format!("SELECT tries_left FROM codes JOIN users ON id = user_id WHERE users.email = '{email}'");
        let before = database.number(&left);
        let tries = usize::try_from(before).unwrap() - 1;
        let code = code_of(&servers, &email);
        let wrong = if code == "000000" { "000001" } else { "000000" };
        let guess = |number: usize| {
            let body = json!({ "email": email, "code": wrong });
            settled(|| servers[number % 2].post("/auth/verify", &body)).status
        };
        assert_eq!(count(&at_once(tries, guess)), BTreeMap::from([(400, tries)]));
        assert_eq!(database.number(&left), 1, "of {before} tries {tries} were used");
    }
}

#[test]
#[ignore = "needs PostgreSQL: .ci/run has one"]
fn two_first_starts_at_once_make_one_store_with_one_key() {
    for _ in 0..rounds(4) {
        let database = Cluster::shared().database();
        let shops = [shop_at(&database.url()), shop_at(&database.url())];
        let starting = shops.each_ref().map(|shop| shop.start(&["serve"]));
        let servers = starting.map(|starting| starting.wait_until_it_listens());
        assert_eq!(database.number("SELECT count(*) FROM store_info"), 1);
        let ann = Visitor::arrive(&servers[0], "ann@example.com");
        let bea = Visitor::arrive(&servers[1], "bea@example.com");
        assert_eq!(database.number("SELECT count(*) FROM signing_keys"), 1);
        settled(|| servers[1].get_as(&ann.access, "/me")).is(200);
        settled(|| servers[0].get_as(&bea.access, "/me")).is(200);
        for server in servers {
            is_calm(&server.stop(Signal::TERM).is(0).err);
        }
    }
}

#[test]
#[ignore = "needs PostgreSQL: .ci/run has one"]
fn a_rotated_key_is_used_and_accepted_by_both() {
    let (database, shop) = new_shop();
    let servers = [shop.serve(), shop.serve()];
    let ann = Visitor::arrive(&servers[0], "ann@example.com");
    settled(|| servers[0].sign_up("bea@example.com")).is(201);
    for round in 0..rounds(3) {
        // An unknown key has the store read again, at most once a second.
        thread::sleep(Duration::from_millis(1_100));
        shop.run(&["keys", "rotate", "--yes"]).is(0);
        let newest = database.sql("SELECT kid FROM signing_keys WHERE retired_at IS NULL");
        for (one, other) in [(0, 1), (1, 0)] {
            let token = wait_for("a token of the new key", || {
                thread::sleep(Duration::from_millis(50));
                let token = token(&servers[one], "bea@example.com");
                (kid(&token) == newest).then_some(token)
            });
            settled(|| servers[other].get_as(&token, "/me")).is(200);
        }
        for server in &servers {
            settled(|| server.get_as(&ann.access, "/me")).is(200);
        }
        say(format_args!("rotation {round} was followed by both"));
    }
    shop.run(&["keys", "rotate", "--emergency", "--yes"]).is(0);
    for server in &servers {
        settled(|| server.get_as(&ann.access, "/me")).is(401);
        settled(|| ann.renew(server)).is(401);
    }
}

#[test]
#[ignore = "needs PostgreSQL: .ci/run has one"]
fn a_logout_at_one_process_holds_for_the_next_request_at_the_other() {
    let (_, shop) = new_shop();
    let servers = [shop.serve(), shop.serve()];
    settled(|| servers[0].sign_up("ann@example.com")).is(201);
    let total = rounds(200);
    let log_out = |number: usize| {
        let (one, other) = (&servers[number % 2], &servers[(number + 1) % 2]);
        let tokens = settled(|| one.log_in("ann@example.com")).is(200).json();
        let access = text(&tokens, "access_token");
        // It is known there when it ends.
        settled(|| other.get_as(&access, "/me")).is(200);
        let refresh = json!({ "refresh_token": text(&tokens, "refresh_token") });
        settled(|| one.post("/auth/logout", &refresh)).is(204);
        let seen = settled(|| other.get_as(&access, "/me")).status;
        settled(|| other.post("/auth/refresh", &refresh)).is(401);
        seen
    };
    let seen: Vec<_> = (0..total.div_ceil(4)).flat_map(|_| at_once(4, log_out)).collect();
    let accepted = seen.iter().filter(|status| **status != 401).count();
    assert_eq!(accepted, 0, "of {}", seen.len());
    say(format_args!("{} logouts, 0 accepted at the other process", seen.len()));
}

#[test]
#[ignore = "needs PostgreSQL: .ci/run has one"]
fn two_processes_and_the_cli_delete_each_expired_user_once() {
    const DUE: usize = 20;
    let (database, shop) = new_shop();
    let shop = shop.with("CLEANUP__SCHEDULE", "* * * * * *");
    shop.create_admin("boss@example.com").is(0);
    let servers = [shop.serve(), shop.serve()];
    let admin = format!("Authorization: Bearer {}\r\n", token(&servers[0], "boss@example.com"));
    let rounds = rounds(4);
    for round in 0..rounds {
        at_once(DUE, |number| {
            let body = json!({ "email": format!("u{round}-{number}@example.com") });
            settled(|| servers[number % 2].post_with(&admin, "/users", &body)).is(201);
        });
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| shop.run(&["purge"]).is(0));
            }
            database.sql("UPDATE users SET expires_at = 1 WHERE status = 'unverified'");
        });
        wait_for("all to be gone", || (database.number("SELECT count(*) FROM users") == 1).then_some(()));
    }
    let total = i64::try_from(rounds * DUE).unwrap();
    let expired = "FROM audit_events WHERE action = 'user.expired'";
    assert_eq!(database.number(&format!("SELECT count(*) {expired}")), total);
    assert_eq!(database.number(&format!("SELECT count(DISTINCT user_id) {expired}")), total);
    is_sound(database);
    for server in servers {
        is_calm(&server.stop(Signal::TERM).is(0).err);
    }
}

#[test]
#[ignore = "needs PostgreSQL: .ci/run has one"]
fn two_processes_send_each_message_once_and_in_the_order_of_its_address() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mails = runtime.block_on(SmtpServer::start(|_| None));
    let (database, shop) = new_shop();
    let shop = with_smtp(shop, mails.port);
    shop.run(&["migrate"]).is(0);
    keep_a_copy_of_every_message(database);
    let servers = [shop.serve(), shop.serve()];
    at_once(12, |client| {
        let email = format!("u{client}@example.com");
        settled(|| servers[client % 2].sign_up(&email)).is(201);
        for number in 0..5 {
            let body = json!({ "email": email });
            settled(|| servers[(client + number) % 2].post("/auth/password/forgot", &body)).is(202);
        }
    });
    let left = "SELECT count(*) FROM outbox";
    wait_for("the outbox to be empty", || (database.number(left) == 0).then_some(()));
    let (handed, ids) = (mails.handed(), database.sql("SELECT id FROM posted ORDER BY seq"));
    let sent: Vec<_> = handed.iter().map(|mail| id_of(mail.message_id())).collect();
    let written: HashSet<_> = ids.lines().map(str::to_owned).collect();
    assert!(written.len() > 12, "only {}", written.len());
    assert_eq!(sent.len(), written.len(), "each message is sent once");
    assert_eq!(sent.iter().cloned().collect::<HashSet<_>>(), written);
    for client in 0..12 {
        let email = format!("u{client}@example.com");
        let sent: Vec<_> = mails.handed_to(&email).iter().map(|mail| id_of(mail.message_id())).collect();
        let query = format!("SELECT id FROM posted WHERE recipient = '{email}' ORDER BY seq");
        assert_eq!(sent, database.sql(&query).lines().map(str::to_owned).collect::<Vec<_>>(), "{email}");
    }
    say(format_args!("{} messages by two processes, each once and in order", sent.len()));
}

#[test]
#[ignore = "needs PostgreSQL: .ci/run has one"]
fn a_message_leased_by_a_killed_process_is_sent_by_the_other() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let silent = |step: &str| step.starts_with("MAIL FROM").then_some(Does::Silent);
    let mails = runtime.block_on(SmtpServer::start(silent));
    let (database, shop) = new_shop();
    let shop = with_smtp(shop, mails.port);
    let killed = shop.serve();
    settled(|| killed.sign_up("ann@example.com")).is(201);
    wait_for("the attempt", || (mails.heard("MAIL FROM") > 0).then_some(()));
    killed.kill();
    mails.recovers();
    let leased_until = database.number("SELECT due_at FROM outbox");
    let other = shop.serve();
    settled(|| other.sign_up("bea@example.com")).is(201);
    wait_for("another mail", || (mails.handed_to("bea@example.com").len() == 1).then_some(()));
    thread::sleep(Duration::from_secs(6)); // more than the interval between two looks
    let is_sent = !mails.handed_to("ann@example.com").is_empty();
    // On a busy machine all this may have taken so long.
    let now = database.number("SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)");
    assert!(!is_sent || now > leased_until, "it is leased");
    database.sql("UPDATE outbox SET due_at = due_at - 60000");
    wait_for("the mail", || (!mails.handed_to("ann@example.com").is_empty()).then_some(()));
    let left = "SELECT count(*) FROM outbox";
    wait_for("the outbox to be empty", || (database.number(left) == 0).then_some(()));
    assert_eq!(mails.handed_to("ann@example.com").len(), 1);
}

/// What comes of this done so often at the same time, by number.
pub fn at_once<T: Send>(count: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let barrier = std::sync::Barrier::new(count);
    thread::scope(|scope| {
        let start = |number| {
            let (barrier, work) = (&barrier, &work);
            scope.spawn(move || {
                barrier.wait();
                work(number)
            })
        };
        let threads: Vec<_> = (0..count).map(start).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

/// How often there is each status.
pub fn count(statuses: &[u16]) -> BTreeMap<u16, usize> {
    let mut counts = BTreeMap::new();
    for status in statuses {
        *counts.entry(*status).or_default() += 1;
    }
    counts
}

/// The code in the message to an address, whichever process has printed it.
pub fn code_of(servers: &[Server; 2], email: &str) -> String {
    after("Code: ", servers, email)[..6].to_owned()
}

/// The token of the link in the message to an address.
pub fn token_of(servers: &[Server; 2], email: &str) -> String {
    let rest = after("token=", servers, email);
    rest[..rest.find(|c: char| c.is_whitespace()).unwrap()].to_owned()
}

fn after(word: &str, servers: &[Server; 2], email: &str) -> String {
    wait_for("a message", || {
        servers.iter().find_map(|server| {
            let printed = server.printed();
            let start = printed.rfind(&format!("--- message to {email} ---\n"))?;
            let end = printed[start..].find("\n---\n")?;
            printed[start..=start + end].split_once(word).map(|(_, rest)| rest.to_owned())
        })
    })
}

/// The id of the key that signed a token.
fn kid(token: &str) -> String {
    use base64::Engine;
    let head = token.split('.').next().unwrap();
    let head = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(head).unwrap();
    text(&serde_json::from_slice(&head).unwrap(), "kid")
}

fn with_smtp(shop: Shop, port: u16) -> Shop {
    shop.with("MESSAGES__TRANSPORT", "smtp")
        .with("SMTP__HOST", "127.0.0.1")
        .with("SMTP__PORT", port.to_string())
        .with("SMTP__SECURITY", "none")
}

/// Copies what is written to the outbox, since it is deleted once it was sent.
fn keep_a_copy_of_every_message(database: Database<'_>) {
    database.sql(
        "CREATE TABLE posted (seq BIGINT, id UUID, recipient TEXT); GRANT ALL ON posted TO PUBLIC; \
         CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN INSERT INTO posted VALUES (NEW.seq, NEW.id, NEW.recipient); RETURN NEW; END $$; \
         CREATE TRIGGER keep AFTER INSERT ON outbox FOR EACH ROW EXECUTE FUNCTION keep()",
    );
}

fn id_of(message_id: &str) -> String {
    message_id.trim_matches(['<', '>']).split('@').next().unwrap().to_owned()
}
