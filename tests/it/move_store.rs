//! `coffeeshop move`: what it refuses, and that at most one of the two databases can be used.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::{
    shop::{Shop, wait_for},
    sql::{SERVER, Sql, hex},
};

/// Nothing listens there.
const NO_SERVER: &str = "postgres://shop@127.0.0.1:1/shop";

/// A store in a file, with the admin `boss@example.com`.
fn shop() -> Shop {
    let shop = Shop::on_sqlite().with("DATABASE__TLS", "off");
    shop.create_admin("boss@example.com").is(0);
    shop
}

/// An empty database of PostgreSQL; none where the tests have no server.
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
fn postgres() -> Option<Sql> {
    if SERVER.is_none() {
        eprintln!("skipped without PostgreSQL: {}", thread::current().name().unwrap_or_default());
        return None;
    }
    Some(Sql::empty("unused".into()))
}

fn url(sql: &Sql) -> String {
    sql.settings().into_iter().find(|(name, _)| name.ends_with("URL")).unwrap().1
}

/// As `coffeeshop users list` shows them.
fn users(shop: &Shop) -> Value {
    shop.run(&["users", "list", "--limit", "200", "--json"]).is(0).json()
}

/// How often a move is killed, each way: so often, unless the environment says otherwise.
fn rounds(short: u32) -> u32 {
    #[expect(clippy::disallowed_methods, reason = "the one setting of these tests")]
    let asked = std::env::var("MOVE_ROUNDS");
    asked.map_or(short, |rounds| rounds.parse().unwrap())
}

#[test]
fn a_password_on_the_command_line_is_refused_and_not_repeated() {
    let shop = shop();
    for target in ["postgres://shop:hush@db/shop", "postgres://shop:hush@db", "hush://db", "sqlite:"] {
        let ran = shop.run(&["move", "--to", target]).is(2);
        assert!(ran.err.starts_with("error: --to must") && !ran.err.contains("hush"), "{ran:?}");
        assert_eq!(ran.out, "");
    }
    let ran = shop.run(&["move", "--to", "postgres://shop:hush@db/shop"]);
    assert!(ran.err.contains("DATABASE__PASSWORD_FILE"), "{ran:?}");
    shop.run(&["move"]).is(2);
}

#[test]
fn a_move_within_one_engine_is_refused_with_a_better_way() {
    let mut shop = shop();
    shop.run(&["move", "--to", "sqlite:other.db"])
        .refused("both databases are SQLite")
        .hint("the data folder");
    assert!(!shop.path("other.db").exists());
    shop.set("DATABASE__URL", NO_SERVER);
    shop.set("AUTH__SECRET", "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff");
    shop.run(&["move", "--to", NO_SERVER]).refused("both databases are PostgreSQL").hint("pg_dump");
}

#[test]
fn a_store_is_not_moved_while_another_process_uses_it() {
    let shop = shop();
    let server = shop.serve();
    for args in [&["move", "--to", NO_SERVER] as &[_], &["move", "--to", NO_SERVER, "--dry-run"]] {
        shop.run(args).refused("is in use").hint("stop every server");
    }
    server.get("/readyz").is(200);
    server.stop(Signal::TERM).is(0);
    let server_of_target = "no server answers there";
    shop.run(&["move", "--to", NO_SERVER]).refused(server_of_target);
    shop.run(&["users", "list"]).is(0);
}

#[test]
fn a_target_that_the_settings_do_not_suit_is_refused() {
    let shop = Shop::on_sqlite();
    shop.create_admin("boss@example.com").is(0);
    let socket = "postgres://shop@/shop?host=/run/postgresql";
    shop.run(&["move", "--to", socket]).refused("database.tls: verify is not possible on a Unix socket");
    Shop::on_sqlite()
        .run(&["move", "--to", NO_SERVER])
        .refused("there is no database at")
        .hint("start the server");
}

#[test]
fn a_store_that_was_moved_or_is_the_target_of_a_move_is_refused() {
    let shop = shop();
    let commands: [&[&str]; 8] = [
        &["serve"],
        &["migrate"],
        &["migrate", "--check"],
        &["purge"],
        &["users", "list"],
        &["audit"],
        &["messages", "list"],
        &["keys", "list"],
    ];
    let mark = |sql: &str| shop.sql.execute(sql);
    mark("UPDATE store_info SET moved_to = 'db.example:5432/shop'");
    for command in commands.iter().chain(&[&["move", "--to", NO_SERVER] as &[_]]) {
        shop.run(command).refused("was moved to db.example:5432/shop").hint("database.url");
    }
    shop.create_admin("other@example.com").refused("was moved to");
    mark("UPDATE store_info SET moved_to = NULL, moved_from = 'db.example:5432/shop'");
    for command in commands.iter().chain(&[&["move", "--to", NO_SERVER] as &[_]]) {
        shop.run(command).refused("the move from db.example:5432/shop").hint("coffeeshop move again");
    }
    mark("UPDATE store_info SET moved_from = NULL");
    assert_eq!(shop.run(&["users", "list", "--json"]).is(0).json()["items"].as_array().unwrap().len(), 1);
}

#[test]
fn what_a_store_holds_goes_along_to_postgresql_and_back() {
    let Some(postgres) = postgres() else { return };
    let shop = shop();
    let server = shop.serve();
    server.sign_up("ann@example.com").is(201);
    let tokens = server.log_in("boss@example.com").is(200).json();
    let message = server.message("ann@example.com");
    let link = message.split_once("?token=").unwrap().1.lines().next().unwrap().to_owned();
    server.stop(Signal::TERM).is(0);
    let listed = users(&shop);
    let (url, file) = (url(&postgres), shop.path("back.db"));

    let tried = shop.run(&["move", "--to", &url, "--dry-run", "--json"]).is(0).json();
    assert_eq!(users(&shop), listed, "a dry run moves nothing");
    let moved = shop.run(&["move", "--to", &url, "--json"]).is(0).json();
    assert_eq!((&moved["tables"], &moved["dry_run"]), (&tried["tables"], &json!(false)));
    assert_eq!((&moved["tables"][0]["table"], &moved["tables"][0]["rows"]), (&json!("users"), &json!(2)));
    shop.run(&["users", "list"]).refused("was moved to").hint("database.url");
    shop.run(&["move", "--to", &url]).is(0);

    let there = Shop::on(&postgres).with("AUTH__SECRET_FILE", shop.secret().to_str().unwrap());
    assert_eq!(users(&there), listed);
    let server = there.serve();
    server.get_as(tokens["access_token"].as_str().unwrap(), "/me").is(200);
    let refresh = json!({ "refresh_token": tokens["refresh_token"] });
    let tokens = server.post("/auth/refresh", &refresh).is(200).json();
    server.post("/auth/verify", &json!({ "token": link })).is(200);
    server.sign_up("bob@example.com").is(201);
    server.stop(Signal::TERM).is(0);

    let listed = users(&there);
    let moved = there.run(&["move", "--to", &format!("sqlite:{}", file.display()), "--json"]).is(0).json();
    assert_eq!(moved["tables"][0]["rows"], 3);
    there.run(&["users", "list"]).refused("was moved to").hint("database.url");
    let back = Shop::on(&Sql::Sqlite(file)).with("AUTH__SECRET_FILE", shop.secret().to_str().unwrap());
    assert_eq!(users(&back), listed);
    let server = back.serve();
    let refresh = json!({ "refresh_token": tokens["refresh_token"] });
    server.post("/auth/refresh", &refresh).is(200);
    server.sign_up("cid@example.com").is(201);
}

#[test]
fn a_target_that_is_not_empty_is_refused_and_left_as_it_is() {
    let Some(postgres) = postgres() else { return };
    let other = Shop::on(&postgres);
    other.create_admin("other@example.com").is(0);
    let shop = shop();
    shop.run(&["move", "--to", &url(&postgres)]).refused("is not empty").hint("empty database");
    assert_eq!((users(&shop)["items"].as_array().unwrap().len(), postgres.count("users")), (1, 1));
    users(&other);
}

#[test]
fn a_text_that_postgresql_cannot_hold_is_named_before_anything_is_written() {
    let Some(postgres) = postgres() else { return };
    let shop = shop();
    shop.sql.execute("UPDATE users SET first_name = 'a' || char(0) || 'b'");
    let id = users(&shop)["items"][0]["id"].as_str().unwrap().to_owned();
    let why = format!("users {id}: first_name has a NUL character");
    shop.run(&["move", "--to", &url(&postgres)]).refused(&why);
    assert_eq!(postgres.stored::<i64>("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"), 0);
    shop.sql.execute("UPDATE users SET first_name = 'ab'");
    shop.run(&["move", "--to", &url(&postgres)]).is(0);
}

#[test]
fn a_move_that_ended_between_two_commits_is_completed() {
    let Some(postgres) = postgres() else { return };
    let (shop, other, url) = (shop(), shop(), url(&postgres));
    let there = Shop::on(&postgres).with("AUTH__SECRET_FILE", shop.secret().to_str().unwrap());
    let listed = users(&shop);
    shop.run(&["move", "--to", &url]).is(0);

    // The source is marked, and the target still is.
    postgres.execute("UPDATE store_info SET moved_from = 'the shop'");
    shop.run(&["users", "list"]).refused("was moved to");
    there.run(&["users", "list"]).refused("the move from the shop").hint("coffeeshop move again");
    shop.run(&["move", "--to", &url, "--dry-run"]).refused("was moved to");
    other.run(&["move", "--to", &url]).refused("is the target of another move, from the shop");
    shop.run(&["move", "--to", &url]).is(0);
    assert_eq!(users(&there), listed);

    // The copy is committed, and the source not marked yet.
    postgres.execute("UPDATE store_info SET moved_from = 'the shop'");
    shop.sql.execute("UPDATE store_info SET moved_to = NULL");
    assert_eq!(users(&shop), listed);
    there.run(&["users", "list"]).refused("the move from the shop");
    shop.run(&["move", "--to", &url]).is(0);
    shop.run(&["users", "list"]).refused("was moved to");
    assert_eq!(users(&there), listed);
}

/// Whether a store can be used, and has users.
fn serves(shop: &Shop) -> bool {
    shop.run(&["migrate", "--check"]).code == Some(0) && shop.count("users") > 0
}

/// A folder for a store in a file, whose secret is that of the PostgreSQL databases.
fn beside(postgres: &Sql) -> Shop {
    let shop = Shop::on_sqlite().with("DATABASE__TLS", "off").with("AUTH__SECRET", hex(&postgres.secret()));
    fs::create_dir(shop.path("data")).unwrap();
    shop
}

/// A store in a file with many rows.
fn full(postgres: &Sql) -> Shop {
    let shop = beside(postgres);
    shop.create_admin("boss@example.com").is(0);
    let numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)";
    shop.sql.execute(&format!(
        "{numbers} INSERT INTO users (id, email, email_key, search_text, role, status, disabled, created_at, updated_at, \
         verified_at) SELECT randomblob(16), i, i, i, 'user', 'verified', 0, i, i, i FROM n"
    ));
    shop
}

/// Kills a move after a part of the time that it takes, and then lets it complete.
fn kill(source: &Shop, target: &Shop, to: &str, after: Duration) {
    let moving = source.start(&["move", "--to", to]);
    thread::sleep(after);
    drop(moving);
    let (before, there) = (serves(source), serves(target));
    assert!(!(before && there), "both stores serve after {after:?}");
    wait_for("the move to complete", || source.run(&["move", "--to", to]).code.filter(|code| *code == 0));
    assert!(!serves(source) && serves(target), "not the target alone serves after {after:?}");
    assert_eq!(target.count("users"), 2001);
    assert_eq!(users(target)["items"].as_array().unwrap().len(), 200);
}

#[test]
fn a_move_that_is_killed_leaves_at_most_one_store_and_can_be_completed() {
    let Some(postgres) = postgres() else { return };
    let file = full(&postgres);
    let copied = |file: &Shop| {
        let copy = beside(&postgres);
        fs::copy(file.database(), copy.database()).unwrap();
        copy
    };
    let first = copied(&file);
    let start = Instant::now();
    first.run(&["move", "--to", &url(&postgres)]).is(0);
    let took = start.elapsed();
    let rounds = rounds(4);
    for round in 0..rounds {
        let empty = Sql::empty("unused".into());
        let target = Shop::on(&empty);
        kill(&copied(&file), &target, &url(&empty), took * round / rounds);
    }
    for round in 0..rounds {
        let Sql::Postgres(moved) = &postgres else { unreachable!("it has a URL") };
        let source = Shop::on(&Sql::Postgres(moved.copied().into()));
        let target = beside(&postgres);
        let to = format!("sqlite:{}", target.database().display());
        kill(&source, &target, &to, took * round / rounds);
    }
}
