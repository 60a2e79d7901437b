//! `coffeeshop move`: what it refuses, and that at most one of the two databases can be used.

use rusqlite::Connection;
use rustix::process::Signal;

use crate::shop::Shop;

/// Nothing listens there.
const NO_SERVER: &str = "postgres://shop@127.0.0.1:1/shop";

fn shop() -> Shop {
    Shop::with_admin().with("DATABASE__TLS", "off")
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
    let shop = Shop::with_admin();
    let socket = "postgres://shop@/shop?host=/run/postgresql";
    shop.run(&["move", "--to", socket]).refused("database.tls: verify is not possible on a Unix socket");
    Shop::new().run(&["move", "--to", NO_SERVER]).refused("there is no database at").hint("start the server");
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
    let mark = |sql: &str| Connection::open(shop.database()).unwrap().execute_batch(sql).unwrap();
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
