//! Starts that must be refused: with exit code 1, one line that says why, one hint, and no password anywhere.

use std::{
    fs,
    net::{Ipv4Addr, TcpListener},
    path::Path,
    time::{Duration, Instant},
};

use rustix::process::Signal;

use crate::{
    SECRET, Visitor,
    cluster::{Cluster, Database, GUARDED, PASSWORD, free_port},
    is_calm, new_shop,
    outages::readiness_becomes,
    say, settled, shop,
    shop::{Ran, Shop, wait_for},
    shop_at,
};

/// Before a command in a shell: the log tells of each attempt to reach PostgreSQL that is not the last one.
const TELLS_ATTEMPTS: &str = "COFFEESHOP_LOG__LEVEL=debug";
const ATTEMPT: &str = "it is tried again";

/// Whether a server does not start, for this reason, and tries only once.
#[track_caller]
pub fn refuses(shop: &Shop, why: &str, hint: &str) {
    let ran = shop.start_in_shell(&format!("{TELLS_ATTEMPTS} exec \"$0\" serve")).ended();
    tells_no_password(&ran);
    let ran = ran.refused(why).hint(hint);
    is_two_lines(&ran);
    assert!(!ran.err.contains(ATTEMPT), "{ran:?}");
}

/// Whether it said no more than the error and the hint, but for the line that tells what starts.
#[track_caller]
fn is_two_lines(ran: &Ran) {
    let is_log = |line: &str| line.contains(" INFO coffeeshop starts ") || line.contains(" DEBUG ");
    let lines: Vec<_> = ran.err.lines().filter(|line| !is_log(line)).collect();
    assert!(matches!(lines[..], [error, _] if error.starts_with("error: ")), "not two lines: {ran:?}");
}

#[track_caller]
fn tells_no_password(ran: &Ran) {
    for printed in [&ran.out, &ran.err] {
        assert!(!printed.contains(PASSWORD) && !printed.contains(SECRET), "{ran:?}");
        assert!(!printed.contains(GUARDED), "{ran:?}");
    }
}

/// A shop whose login needs a password, which it has.
fn guarded(database: Database<'_>) -> Shop {
    database.sql(&format!("ALTER DATABASE {} OWNER TO {GUARDED}", database.name()));
    shop_at(&database.url_at(&format!("{GUARDED}@127.0.0.1:{}", database.cluster.port)))
        .with("DATABASE__PASSWORD", PASSWORD)
}

#[test]
#[ignore = "needs PostgreSQL: .ci/run has one"]
fn a_wrong_password_and_an_unknown_database_stop_the_start() {
    let database = Cluster::shared().database();
    let wrong = format!("{PASSWORD}-not");
    refuses(
        &guarded(database).with("DATABASE__PASSWORD", wrong),
        "refuses the user or the password",
        "database.password",
    );
    refuses(&guarded(database).with("DATABASE__PASSWORD", ""), "asks for a password", "PASSWORD_FILE");
    let url =
        format!("postgres://stranger:{PASSWORD}@127.0.0.1:{}/{}", database.cluster.port, database.name());
    refuses(&shop_at(&url), "refuses the user or the password", "database.url");
    let url = format!("postgres://{GUARDED}:{PASSWORD}@127.0.0.1:{}/nowhere", database.cluster.port);
    refuses(&shop_at(&url), "no database of that name", "CREATE DATABASE");
    readiness_becomes(200, &guarded(database).serve());
}

#[test]
#[ignore = "needs PostgreSQL: .ci/run has one"]
fn settings_that_contradict_each_other_stop_the_start() {
    let (database, shop) = new_shop();
    let url =
        format!("postgres://{GUARDED}:{PASSWORD}@127.0.0.1:{}/{}", database.cluster.port, database.name());
    for (name, value, why) in [
        ("DATABASE__URL", "postgres://coffeeshop@db.example/coffeeshop", "database.tls"),
        ("DATABASE__URL", "mysql://coffeeshop@127.0.0.1/coffeeshop", "postgres://"),
        ("AUTH__SECRET", "", "auth.secret"),
        ("DATABASE__CONNECTIONS", "1", "database.connections"),
        ("DATABASE__CA", "ca.pem", "database.ca"),
    ] {
        let shop = shop_at(&url).with(name, value);
        let ran = shop.start(&["serve"]).ended();
        tells_no_password(&ran);
        ran.refused(why);
    }
    let twice = shop_at(&url).with("DATABASE__PASSWORD", PASSWORD).start(&["serve"]).ended();
    tells_no_password(&twice);
    twice.refused("database.");
    drop(shop);
    refuses(&shop_at(&url).with("AUTH__SECRET", ""), "auth.secret", "COFFEESHOP_AUTH__SECRET_FILE");
}

#[test]
#[ignore = "needs PostgreSQL: .ci/run has one"]
fn another_secret_stops_the_start() {
    let (database, shop) = new_shop();
    drop(shop.serve());
    let other = SECRET.replace("a0", "ff");
    refuses(&shop_at(&database.url()).with("AUTH__SECRET", other), "another installation secret", "secret");
    readiness_becomes(200, &shop.serve());
}

#[test]
#[ignore = "needs PostgreSQL: .ci/run has one"]
fn a_database_of_another_program_is_refused_and_left_as_it_is() {
    let database = Cluster::shared().database();
    let tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'";
    database.sql("CREATE TABLE beans (kind TEXT)");
    refuses(&shop_at(&database.url()), "another program", "CREATE DATABASE");
    assert_eq!(database.number(tables), 1);
    database.sql("DROP TABLE beans; CREATE TABLE store_info (product TEXT, schema INTEGER)");
    refuses(&shop_at(&database.url()), "another program", "CREATE DATABASE");
    assert_eq!(database.number(tables), 1);
    let database = Cluster::shared().database();
    database.sql(&format!("ALTER DATABASE {} OWNER TO postgres", database.name()));
    refuses(&shop_at(&database.url()), "may not create tables", "OWNER");
}

#[test]
#[ignore = "needs PostgreSQL: .ci/run has one"]
fn a_newer_schema_is_run_on_as_long_as_it_admits_this_program() {
    let (database, shop) = new_shop();
    // No command but those that say so makes the tables.
    is_two_lines(&shop.run(&["users", "list"]).refused("empty"));
    shop.run(&["migrate"]).is(0);
    let known = database.number("SELECT schema FROM store_info");
    database.sql(&format!("UPDATE store_info SET schema = {}, oldest_program = {known}", known + 3));
    let server = shop.serve();
    Visitor::arrive(&server, "ann@example.com");
    readiness_becomes(200, &server);
    is_calm(&server.stop(Signal::TERM).is(0).err);
    database.sql(&format!("UPDATE store_info SET oldest_program = {}", known + 1));
    refuses(&shop, "newer coffeeshop", "newer coffeeshop");
    shop.run(&["users", "list"]).refused("newer coffeeshop");
    assert_eq!(database.number("SELECT schema FROM store_info"), known + 3);
}

#[test]
#[ignore = "needs PostgreSQL: .ci/run has one"]
fn a_server_that_may_lose_or_garble_what_it_is_told_is_refused() {
    let shared = Cluster::shared();
    let ascii = "TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'";
    let database = shared.database_with(ascii);
    refuses(&shop_at(&database.url()), "server_encoding is SQL_ASCII", "settings");
    for (setting, value, name) in [
        ("synchronous_commit", "off", "synchronous_commit is off"),
        ("default_transaction_read_only", "on", "read_only is on"),
    ] {
        let database = shared.database();
        database.sql(&format!("ALTER DATABASE {} SET {setting} = {value}", database.name()));
        refuses(&shop_at(&database.url()), name, "settings");
    }
    let cluster = Cluster::start("fsync = off");
    let database = cluster.database();
    let shop = shop_at(&database.url());
    refuses(&shop, "fsync is off", "settings");
    cluster.configure("fsync = on\nfull_page_writes = off");
    cluster.reload();
    wait_for("the setting", || (cluster.sql("postgres", "SHOW fsync") == "on").then_some(()));
    refuses(&shop, "full_page_writes is off", "settings");
    cluster.configure("full_page_writes = on");
    cluster.reload();
    wait_for("the setting", || (cluster.sql("postgres", "SHOW full_page_writes") == "on").then_some(()));
    let server = shop.serve();
    readiness_becomes(200, &server);
    // What becomes so later is noticed by the next connection.
    cluster.configure("fsync = off");
    cluster.reload();
    wait_for("the setting", || (cluster.sql("postgres", "SHOW fsync") == "off").then_some(()));
    database.terminate();
    readiness_becomes(503, &server);
    let standby = cluster.standby();
    refuses(
        &shop_at(&database.url_at(&format!("127.0.0.1:{}", standby.port))),
        "the server that can write",
        "settings",
    );
}

#[test]
#[ignore = "needs PostgreSQL: .ci/run has one"]
fn a_clock_that_differs_by_seconds_is_told_and_one_by_minutes_is_refused() {
    let Some(library) = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu"]
        .map(|folder| format!("{folder}/faketime/libfaketimeMT.so.1"))
        .into_iter()
        .find(|library| Path::new(library).exists())
    else {
        return say("skipped: there is no libfaketime");
    };
    let serve = |leap: &str| {
        format!(
            "export LD_PRELOAD={library} FAKETIME='{leap}' FAKETIME_DONT_FAKE_MONOTONIC=1 TZ=UTC; exec \"$0\" serve"
        )
    };
    let (_, shop) = new_shop();
    drop(shop.serve());
    for leap in ["+2m", "-2m"] {
        is_two_lines(&shop.start_in_shell(&serve(leap)).ended().refused("clocks").hint("NTP"));
    }
    let server = shop.start_in_shell(&serve("+4s")).wait_until_it_listens();
    readiness_becomes(200, &server);
    Visitor::arrive(&server, "ann@example.com");
    let logged = server.stop(Signal::TERM).is(0).err;
    assert_eq!(logged.lines().filter(|line| line.contains("clock")).count(), 1, "{logged}");
    let logged = shop.serve().stop(Signal::TERM).is(0).err;
    assert!(!logged.contains("clock"), "{logged}");
}

#[test]
#[ignore = "needs PostgreSQL: .ci/run has one"]
fn an_absent_server_is_waited_for_and_then_given_up() {
    let url = format!("postgres://{GUARDED}:{PASSWORD}@127.0.0.1:{}/coffeeshop", free_port());
    let absent = shop_at(&url);
    let cluster = Cluster::start("");
    let database = cluster.database();
    cluster.stop(Signal::INT);
    let late = shop_at(&database.url());
    let start = Instant::now();
    let unable = TcpListener::bind((Ipv4Addr::LOCALHOST, cluster.port)).unwrap();
    let (given_up, waiting) = (absent.start(&["serve"]), late.start(&["serve"]));
    // An attempt, in vain.
    drop(unable.accept().unwrap());
    drop(unable);
    cluster.resume();
    readiness_becomes(200, &waiting.wait_until_it_listens());
    let ran = given_up.ended();
    assert!(start.elapsed() > Duration::from_secs(28), "after {:?}", start.elapsed());
    tells_no_password(&ran);
    let ran = ran.refused("no server answers there").hint("database.url");
    let errors = ran.err.lines().filter(|line| line.starts_with("error: ") || line.starts_with("hint: "));
    assert_eq!(errors.count(), 2, "{ran:?}");
}

#[test]
#[ignore = "needs PostgreSQL: .ci/run has one"]
fn no_password_is_in_the_log_the_settings_the_arguments_or_an_error() {
    let database = Cluster::shared().database();
    let url =
        format!("postgres://{GUARDED}:{PASSWORD}@127.0.0.1:{}/{}", database.cluster.port, database.name());
    let plain = guarded(database);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    fs::write(&file, format!("{PASSWORD}\n")).unwrap();
    shop::set_mode(&file, 0o600);
    let named = || shop_at(&database.url_at(&format!("{GUARDED}@127.0.0.1:{}", database.cluster.port)));
    for shop in [plain, named().with("DATABASE__PASSWORD_FILE", file.to_str().unwrap()), shop_at(&url)] {
        let mut shop = shop.with("LOG__LEVEL", "trace");
        tells_no_password_but_its_user(&shop.run(&["config"]).is(0), &database);
        tells_no_password_but_its_user(&shop.run(&["migrate"]).is(0), &database);
        let server = shop.serve();
        let user = Visitor::arrive(&server, &format!("u{}@example.com", crate::random(1 << 40)));
        database.terminate();
        settled(|| user.rename(&server, "Ann")).is(200);
        let arguments = fs::read(format!("/proc/{}/cmdline", server.pid().as_raw_nonzero())).unwrap();
        assert!(!String::from_utf8_lossy(&arguments).contains(PASSWORD));
        tells_no_password_but_its_user(&server.stop(Signal::TERM).is(0), &database);
        shop.set("DATABASE__TLS", "verify");
        tells_no_password_but_its_user(&shop.start(&["serve"]).ended().is(1), &database);
    }
    for broken in [
        format!("postgres://{GUARDED}:{PASSWORD}@127.0.0.1:99999/coffeeshop"),
        format!("postgres://{GUARDED}:{PASSWORD}@@127.0.0.1/coffeeshop"),
        format!("postgres://{GUARDED}:{PASSWORD}%zz@127.0.0.1/coffeeshop"),
        format!("postgres://{GUARDED}:{PASSWORD}@127.0.0.1/coffeeshop?sslmode=prefer"),
        format!("postgres://{GUARDED}@127.0.0.1/coffeeshop?password={PASSWORD}"),
        format!("http://{GUARDED}:{PASSWORD}@127.0.0.1/coffeeshop"),
    ] {
        let ran = shop_at(&broken).run(&["serve"]);
        tells_no_password(&ran);
        ran.refused("DATABASE__URL");
    }
}

/// The trace of the driver is off, and this program's has neither the password nor the secret.
#[track_caller]
fn tells_no_password_but_its_user(ran: &Ran, database: &Database<'_>) {
    tells_no_password(ran);
    assert!(!ran.err.contains(&format!("@127.0.0.1:{}", database.cluster.port)), "{ran:?}");
}
