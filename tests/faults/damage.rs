//! Files that were damaged unnoticed.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
};

use rusqlite::Connection;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::{
    connection,
    crowd::{Guest, ask, guests},
    is_calm, number, random, rounds, say, shop,
    shop::{Server, Shop, wait_for},
};

/// Past this size a file is looked at while it is served.
const SMALL: usize = 2 << 20;

/// Where the users' tables, their indexes and all else are: any page may be hit.
const PAGE: usize = 4096;

/// What an answer may say about a damaged file.
#[derive(Default)]
struct Figures {
    not_started: usize,
    unavailable: usize,
    well: usize,
    /// Answers that are 500, which is for defects of the program alone.
    internal: Vec<String>,
    /// Lists that lack users without a word.
    short: Vec<String>,
    /// Answers that hold data of another user.
    strangers: Vec<String>,
    /// Values that were never written.
    changed: usize,
    refused: usize,
}

/// Makes a store with users, closes it, damages it in one way after the other, and looks at what a server makes of it. The
/// padding is behind what is damaged.
fn trials(count: usize, padding: usize) -> Figures {
    let shop = shop();
    shop.create_admin("boss@example.com").is(0);
    let server = shop.serve();
    let guests = guests(&server, 3);
    let admin = server.token("boss@example.com");
    let authorized = format!("Authorization: Bearer {admin}\r\n");
    for number in 0..60 {
        let body = json!({ "email": format!("u{number}@example.com"), "first_name": "Ann" });
        server.post_with(&authorized, "/users", &body).is(201);
    }
    let all = server.get_as(&admin, "/users?limit=200").is(200).json();
    let known: HashMap<_, _> = all["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|user| (user["id"].as_str().unwrap().to_owned(), user["email"].as_str().unwrap().to_owned()))
        .collect();
    server.stop(Signal::TERM).is(0);
    let size = fs::metadata(shop.database()).unwrap().len();
    pad(&shop, padding);
    let whole = fs::read(shop.database()).unwrap();

    let mut figures = Figures::default();
    for _ in 0..count {
        for name in ["data/coffeeshop.db-wal", "data/coffeeshop.db-shm"] {
            let _ = fs::remove_file(shop.path(name));
        }
        let (bytes, what) = damaged(&whole, usize::try_from(size).unwrap());
        fs::write(shop.database(), bytes).unwrap();
        let what = format!("{what} ({})", seen_by_checks(&connection(&shop)));
        match shop.start(&["serve"]).listens_or_ends() {
            // It looks for an admin once it listens.
            Ok(server) if ask(server.address, "GET", "/healthz", "", None).is_err() => {
                assert!(server.ended().is(1).err.contains("error: "), "{what}");
                figures.not_started += 1;
            }
            Ok(server) => {
                look(&server, &admin, &guests, &known, &what, &mut figures);
                is_calm_but_for_defects(&server.kill_and_read());
            }
            Err(ran) => {
                is_calm(&ran.err);
                assert_eq!(ran.code, Some(1), "{what}: {ran:?}");
                assert!(ran.err.contains("error: "), "{what}: {ran:?}");
                figures.not_started += 1;
            }
        }
    }
    figures
}

/// Which of SQLite's own checks would have seen the damage.
fn seen_by_checks(sql: &Connection) -> String {
    let sees = |check: &str| {
        let found: Result<String, _> = sql.query_row(&format!("PRAGMA {check}"), [], |row| row.get(0));
        if found.is_ok_and(|found| found == "ok") { "does not see it" } else { "sees it" }
    };
    format!("quick_check {}, integrity_check {}", sees("quick_check"), sees("integrity_check"))
}

/// Makes the file larger by so many bytes of history.
fn pad(shop: &Shop, bytes: usize) {
    let history = "WITH RECURSIVE n(i) AS (SELECT 1 WHERE ?1 > 0 UNION ALL SELECT i + 1 FROM n WHERE i < ?1) \
                   INSERT INTO audit_events (id, at, action, user_id, channel, request_id, changes) \
                   SELECT randomblob(16), 4e12, 'user.edited', randomblob(16), 'cli', hex(randomblob(500)), '[]' \
                   FROM n";
    connection(shop).execute(history, [i64::try_from(bytes / 1000).unwrap()]).unwrap();
}

/// A copy with damage in its first bytes, and what was done to it.
fn damaged(whole: &[u8], size: usize) -> (Vec<u8>, String) {
    let mut bytes = whole.to_vec();
    let what = match random(3) {
        0 => {
            let page = random(size / PAGE);
            bytes[page * PAGE..(page + 1) * PAGE].fill(0);
            format!("page {} zeroed", page + 1)
        }
        1 => {
            let (to, from) = (random(size / PAGE), random(size / PAGE));
            bytes.copy_within(from * PAGE..(from + 1) * PAGE, to * PAGE);
            format!("page {} in the place of {}", from + 1, to + 1)
        }
        _ => {
            let flipped: Vec<_> = (0..=random(20))
                .map(|_| {
                    let place = random(size);
                    bytes[place] ^= 1 << random(8);
                    place
                })
                .collect();
            format!("bytes flipped at {flipped:?}")
        }
    };
    (bytes, what)
}

fn look(
    server: &Server,
    admin: &str,
    guests: &[Guest],
    known: &HashMap<String, String>,
    what: &str,
    figures: &mut Figures,
) {
    let mut note = |reply: crate::shop::Reply, path: &str| -> Option<Value> {
        match reply.status {
            200 => Some(reply.json()),
            503 | 507 => {
                figures.unavailable += 1;
                None
            }
            // A session that cannot be found is no session.
            401 | 403 => {
                figures.refused += 1;
                None
            }
            500 => {
                let log = server.logged();
                let why = log.lines().rfind(|line| line.contains("ERROR")).unwrap_or_default().to_owned();
                figures.internal.push(format!("{what}: {path}: {why}"));
                None
            }
            _ => panic!("{what}: {path}: {reply:?}"),
        }
    };
    let all = note(server.get_as(admin, "/users?limit=200"), "/users");
    let mine: Vec<_> = guests.iter().map(|guest| note(server.get_as(&guest.access, "/me"), "/me")).collect();
    let name = json!({ "first_name": "Bob" });
    let edited = ask(server.address, "PATCH", "/me", &guests[0].access, Some(&name)).unwrap();
    note(edited, "PATCH /me");
    // Addresses are unique: with an id that has another one, it is another user's. A value that was never written is one thing,
    // the value of another user quite another.
    let mut is_own = |id: Option<&String>, user: &Value| {
        let own = id.and_then(|id| known.get(id));
        if own.is_some_and(|own| user["email"] == json!(own)) {
            return;
        }
        if own.is_some() && known.values().any(|email| user["email"] == json!(email)) {
            figures.strangers.push(format!("{what}: {own:?} got {user}"));
        } else {
            figures.changed += 1;
        }
    };
    for (guest, me) in guests.iter().zip(&mine) {
        if let Some(me) = me {
            is_own(known.iter().find(|(_, email)| **email == guest.email).map(|(id, _)| id), me);
        }
    }
    if let Some(all) = all {
        let items = all["items"].as_array().unwrap();
        for user in items {
            is_own(Some(&user["id"].as_str().unwrap().to_owned()), user);
        }
        if items.len() < known.len() {
            figures.short.push(format!("{what}: {} of {} users", items.len(), known.len()));
        }
        figures.well += 1;
    }
}

fn is_calm_but_for_defects(log: &str) {
    assert!(!log.contains("panicked"), "{log}");
}

impl Server {
    /// Ends it; answers its log.
    fn kill_and_read(self) -> String {
        let log = self.logged();
        self.kill();
        log
    }
}

#[test]
#[ignore = "needs root and a disk to break: .ci/run has one"]
fn a_damaged_file_is_refused_or_served_without_a_panic() {
    let count = rounds(60);
    let figures = trials(count, 0);
    figures.say(count);
    assert!(figures.internal.is_empty(), "{:#?}", figures.internal);
    assert!(figures.strangers.is_empty(), "{:#?}", figures.strangers);
    assert!(figures.short.is_empty(), "{:#?}", figures.short);
}

#[test]
#[ignore = "needs root and a disk to break: .ci/run has one"]
fn a_large_damaged_file_shows_no_data_of_other_users() {
    let count = rounds(20);
    let figures = trials(count, 2 * SMALL);
    figures.say(count);
    assert!(figures.internal.is_empty(), "{:#?}", figures.internal);
    assert!(figures.strangers.is_empty(), "{:#?}", figures.strangers);
}

impl Figures {
    fn say(&self, count: usize) {
        say(format_args!(
            "{count} damaged files: {} not started, {} lists well, {} of them short, {} answers 503, {} refused, \
             {} values changed",
            self.not_started,
            self.well,
            self.short.len(),
            self.unavailable,
            self.refused,
            self.changed
        ));
    }
}

#[test]
#[ignore = "needs root and a disk to break: .ci/run has one"]
fn damage_in_a_large_file_is_found_and_stops_answers() {
    let shop = shop();
    shop.create_admin("boss@example.com").is(0);
    pad(&shop, 16 * SMALL);
    // A stop does not wait for the look.
    let ran = shop.serve().stop(Signal::TERM).is(0);
    assert!(!ran.err.contains("still in use"), "{}", ran.err);
    let root = number(&connection(&shop), "SELECT rootpage FROM sqlite_schema WHERE name = 'users_by_age'");
    let mut bytes = fs::read(shop.database()).unwrap();
    let page = usize::try_from(root - 1).unwrap() * PAGE;
    bytes[page..page + PAGE].fill(0);
    fs::write(shop.database(), bytes).unwrap();
    let server = shop.serve();
    wait_for("the damage to be found", || (server.get("/readyz").status == 503).then_some(()));
    let reply = server.log_in("boss@example.com").is(503);
    assert_eq!(reply.json()["code"], "unavailable");
    server.get("/healthz").is(200);
    let ran = server.stop(Signal::TERM).is(0);
    assert!(
        ran.err.contains("the database is damaged") && ran.err.contains("restore the newest backup"),
        "{}",
        ran.err
    );
}

#[test]
#[ignore = "needs root and a disk to break: .ci/run has one"]
fn a_torn_log_gives_a_prefix_of_what_was_committed() {
    let shop = shop();
    let server = shop.serve();
    let mut guest = guests(&server, 1).swap_remove(0);
    let before = number(&connection(&shop), "SELECT count(*) FROM audit_events");
    let mut names = vec![None];
    for round in 0..40 {
        let name = format!("n{round}");
        let body = json!({ "first_name": name });
        ask(server.address, "PATCH", "/me", &guest.access, Some(&body)).unwrap().is(200);
        names.push(Some(name));
    }
    // A kill leaves the log as it is.
    server.kill();
    let (file, log) =
        (fs::read(shop.database()).unwrap(), fs::read(shop.path("data/coffeeshop.db-wal")).unwrap());
    let torn = shop.path("torn");
    fs::create_dir(&torn).unwrap();
    let database = torn.join("coffeeshop.db");
    let count = rounds(200);
    let mut longest = 0;
    for _ in 0..count {
        restore(&database, &file, &torn_log(&log));
        let sql = Connection::open(&database).unwrap();
        let integrity: String = sql.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(integrity, "ok");
        let name: Result<Option<String>, _> =
            sql.query_row("SELECT first_name FROM users WHERE email LIKE 'guest-0%'", [], |row| row.get(0));
        // As early as before the first sign-up, or before there were tables.
        let Ok(name) = name else { continue };
        let events = number(&sql, "SELECT count(*) FROM audit_events");
        match names.iter().position(|known| *known == name).unwrap() {
            0 => assert!(events <= before, "{events} events"),
            edits => assert_eq!(events, before + i64::try_from(edits).unwrap()),
        }
        longest = longest.max(names.iter().position(|known| *known == name).unwrap());
    }
    say(format_args!("{count} torn logs, each a prefix; {longest} of 40 edits in the longest"));
    // The server takes such a file, too.
    for _ in 0..rounds(3).min(50) {
        restore(&shop.database(), &file, &torn_log(&log));
        let _ = fs::remove_file(shop.path("data/coffeeshop.db-shm"));
        let server = shop.serve();
        server.get("/readyz").is(200);
        is_calm(&server.kill_and_read());
    }
    restore(&shop.database(), &file, &log);
    let server = shop.serve();
    assert!(guest.renew(&server));
}

fn torn_log(log: &[u8]) -> Vec<u8> {
    let place = random(log.len());
    let mut torn = log.to_vec();
    match random(3) {
        0 => torn.truncate(place),
        1 => {
            let end = (place + 1 + random(PAGE)).min(torn.len());
            torn[place..end].iter_mut().for_each(|byte| *byte = u8::try_from(random(256)).unwrap());
        }
        _ => torn[place] ^= 1 << random(8),
    }
    torn
}

fn restore(database: &Path, file: &[u8], log: &[u8]) {
    let beside = |suffix: &str| PathBuf::from(format!("{}{suffix}", database.display()));
    let _ = fs::remove_file(beside("-shm"));
    fs::write(database, file).unwrap();
    fs::write(beside("-wal"), log).unwrap();
}
