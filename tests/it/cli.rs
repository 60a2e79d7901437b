//! The command line: its output, its streams, and what it does not change.

use std::{
    fs,
    net::TcpListener,
    thread,
    time::{Duration, Instant},
};

use coffeeshop::{
    accounts::SignupDraft,
    domain::{Clock, Origin},
};
use rusqlite::Connection;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::{
    app::PASSWORD,
    shop::{Ran, Shop, mode, set_mode, wait_for},
    sql::Sql,
    sqlite_only::sqlite_only,
};

/// 32 bytes in hex.
const SECRET: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
const OTHER_SECRET: &str = "ff112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

/// Commands that need a store and do not make one.
const BESIDE_A_STORE: [&[&str]; 17] = [
    &["purge"],
    &["purge", "--dry-run"],
    &["users", "list"],
    &["users", "show", "ann@example.com"],
    &["users", "set-role", "ann@example.com", "admin"],
    &["users", "disable", "ann@example.com"],
    &["users", "enable", "ann@example.com"],
    &["users", "verify", "ann@example.com"],
    &["users", "delete", "ann@example.com", "--yes"],
    &["users", "reset-password", "ann@example.com"],
    &["users", "invite", "ann@example.com"],
    &["users", "sessions", "ann@example.com"],
    &["users", "end-sessions", "ann@example.com"],
    &["audit"],
    &["messages", "list"],
    &["messages", "retry"],
    &["migrate", "--check"],
];

/// Signs up people who have not verified, this long ago.
async fn signed_up(shop: &Shop, ago: Duration, emails: &[&str]) {
    let clock = Clock::manual(Clock::system().now() - ago);
    let app = shop.app(clock).await;
    for email in emails {
        let draft = SignupDraft {
            email: (*email).to_owned(),
            password: PASSWORD.to_owned(),
            first_name: Some("Ann".to_owned()),
            ..SignupDraft::default()
        };
        app.registration.register(draft, Origin::default()).await.unwrap();
    }
    app.close().await;
}

fn emails(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|user| user["email"].as_str().unwrap()).collect()
}

const DAY: Duration = Duration::from_hours(24);

// Wrong usage.

#[test]
fn wrong_usage_ends_with_2_and_says_so_on_standard_error() {
    let shop = Shop::new();
    let wrong: [&[&str]; 8] = [
        &["brew"],
        &["serve", "--fast"],
        &["create-admin"],
        &["users"],
        &["users", "show"],
        &["users", "set-role", "ann@example.com", "king"],
        &["purge", "--older-than", "soon"],
        &["users", "list", "--status", "asleep"],
    ];
    for args in wrong {
        let ran = shop.run(args).is(2);
        assert!(ran.out.is_empty() && !ran.err.is_empty(), "{ran:?}");
    }
    assert!(shop.names_in(".").is_empty());
}

#[test]
fn help_and_version_are_data() {
    let shop = Shop::new();
    for command in
        ["serve", "migrate", "move", "create-admin", "purge", "users", "healthcheck", "openapi", "config"]
    {
        let help = shop.run(&["--help"]).is(0);
        assert!(help.out.contains(command) && help.err.is_empty(), "{command} is not in the help: {help:?}");
        shop.run(&[command, "--help"]).is(0);
    }
    // Each command of users tells what it does, and no two do the same.
    let help = shop.run(&["users", "--help"]).is(0).out;
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let commands =
        commands.take_while(|line| !line.is_empty()).filter_map(|line| line.trim().split_once(' '));
    let mut words: Vec<_> = commands.map(|(_, words)| words.trim()).collect();
    words.sort_unstable();
    assert!(words.len() > 8 && words.windows(2).all(|two| two[0] != two[1]), "{help}");
    assert!(shop.run(&["--version"]).is(0).out.starts_with("coffeeshop "));
}

#[test]
fn no_flag_takes_a_password() {
    let shop = Shop::new();
    for flag in ["--password", "--password=x", "-p"] {
        shop.run(&["create-admin", "--email", "boss@example.com", flag, "x"]).is(2);
    }
    assert!(shop.names_in(".").is_empty());
}

#[test]
fn every_command_that_prints_data_can_print_json() {
    let shop = Shop::with_admin();
    let boss = "boss@example.com";
    shop.create_admin("other@example.com").is(0);
    let commands: [&[&str]; 18] = [
        &["users", "list"],
        &["users", "show", boss],
        &["users", "set-role", boss, "admin"],
        &["users", "enable", boss],
        &["users", "verify", boss],
        &["users", "reset-password", boss],
        &["purge"],
        &["purge", "--dry-run"],
        &["users", "end-sessions", boss],
        &["users", "delete", "other@example.com", "--yes"],
        &["messages", "test", "--to", boss],
        &["messages", "retry"],
        &["keys", "list"],
        &["keys", "rotate"],
        &["config"],
        &["openapi"],
        &["migrate"],
        &["migrate", "--check"],
    ];
    let mut without = Vec::new();
    for command in commands {
        let ran = shop.run(&[command, &["--json"]].concat());
        if ran.code != Some(0) || serde_json::from_str::<Value>(&ran.out).is_err() {
            without.push(format!("{}: {}", command.join(" "), ran.err.lines().next().unwrap_or_default()));
        }
    }
    // What prints nothing but JSON needs no flag for it.
    without.retain(|command| !command.starts_with("openapi"));
    shop.run(&["openapi"]).is(0).json();
    assert!(without.is_empty(), "--json wherever there is data: {without:#?}");
}

// Settings.

#[test]
fn a_wrong_setting_stops_the_start_before_the_port_is_taken() {
    // The port is in use: a command that tried to take it first would say so.
    let port = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = port.local_addr().unwrap().to_string();
    let wrong = [
        ("SERVER__PORT", "1", "COFFEESHOP_SERVER__PORT"),
        ("COFFEESHOP_LOG__LEVEL", "warn", "COFFEESHOP_COFFEESHOP_LOG__LEVEL"),
        ("SERVER__PUBLIC_URL", "shop.example", "server.public_url"),
        ("AUTH__ACCESS_TTL", "15", "COFFEESHOP_AUTH__ACCESS_TTL"),
        ("AUTH__ACCESS_TTL", "0s", "auth.access_ttl"),
        ("PASSWORD__MIN_LENGTH", "7", "password.min_length"),
        ("PASSWORD__MEMORY_KIB", "64", "password.memory_kib"),
        ("CLEANUP__SCHEDULE", "every now and then", "cleanup.schedule"),
        ("CLEANUP__SCHEDULE", "0 0 0 30 2 *", "cleanup.schedule: 0 0 0 30 2 * never comes"),
        ("CLEANUP__SCHEDULE", "0 0 0 1 1 * 2020", "cleanup.schedule"),
        ("SERVER_LISTEN", "1", "did you mean COFFEESHOP_SERVER__LISTEN?"),
        ("SERVER__CORS_ORIGINS", "https://shop.example/app", "https://shop.example/app is no origin"),
        ("SMTP__HOST", "mail.example", "smtp.host: mail.example has no effect"),
        ("CLEANUP__ENABLED", "perhaps", "COFFEESHOP_CLEANUP__ENABLED"),
        ("MESSAGES__TRANSPORT", "pigeon", "COFFEESHOP_MESSAGES__TRANSPORT"),
        ("LOG__LEVEL", "loud", "COFFEESHOP_LOG__LEVEL"),
        ("AUTH__SECRET", "changeme", "auth.secret"),
        ("DATABASE__FOLDER", "", "database.folder"),
        ("DATABASE_FOLDER", "data", "did you mean COFFEESHOP_DATABASE__FOLDER?"),
        ("AUTH__SECRET_FILE", "nowhere", "COFFEESHOP_AUTH__SECRET_FILE"),
    ];
    let mut broken = Vec::new();
    for (name, value, named) in wrong {
        // The data folder is of SQLite alone, whatever engine the tests run on.
        let shop = if name == "DATABASE__FOLDER" { Shop::on_sqlite() } else { Shop::new() };
        let shop = shop.with("SERVER__LISTEN", &listen).with(name, value);
        let ran = shop.start(&["serve"]).ended();
        let line = ran.err.lines().find(|line| line.starts_with("error: ")).unwrap_or_default();
        if ran.code != Some(1) || !line.contains(named) || !ran.out.is_empty() {
            broken.push(format!("{name}={value} is not what the start fails with: {ran:?}"));
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn a_setting_that_is_no_text_is_not_passed_over() {
    let line = r#"COFFEESHOP_LOG__LEVEL="$(printf '\377')" exec "$0" config"#;
    Shop::new().run_in_shell(line).refused("COFFEESHOP_LOG__LEVEL");
}

#[test]
fn an_empty_secret_file_is_no_secret() {
    let shop = Shop::new().with("AUTH__SECRET_FILE", "secret");
    fs::write(shop.path("secret"), "\n").unwrap();
    set_mode(&shop.path("secret"), 0o600);
    shop.run(&["migrate"]).refused("the file is empty");
}

#[test]
fn config_toml_is_read_and_the_environment_overrides_it() {
    let shop = Shop::new().with("LOG__LEVEL", "warn");
    fs::write(shop.path("config.toml"), "[log]\nlevel = \"error\"\nformat = \"json\"").unwrap();
    let config = shop.run(&["config", "--json"]).is(0).json();
    assert_eq!(config["log"], json!({ "format": "json", "level": "warn" }));
    let file = fs::canonicalize(shop.path("config.toml")).unwrap().display().to_string();
    let told = shop.run(&["config"]).is(0).err;
    assert_eq!(told.lines().next(), Some(&*format!("read from {file}, overridden by the environment")));
    assert!(Shop::new().run(&["config"]).is(0).err.starts_with("no config.toml in the working directory: "));
}

#[test]
fn a_file_that_is_named_is_read_instead_and_must_be_there() {
    let shop = Shop::new();
    fs::write(shop.path("config.toml"), "[log]\nlevel = \"error\"").unwrap();
    fs::write(shop.path("mine.toml"), "[messages]\nshop_name = \"Beans\"").unwrap();
    let config = shop.run(&["--config", "mine.toml", "config", "--json"]).is(0).json();
    assert_eq!(
        (&config["messages"]["shop_name"], &config["log"]["level"]),
        (&json!("Beans"), &json!("info"))
    );
    shop.run(&["--config", "nowhere.toml", "config"]).refused("nowhere.toml");
    fs::write(shop.path("mine.toml"), "[log]\nlevle = \"error\"").unwrap();
    shop.run(&["--config", "mine.toml", "config"]).refused("mine.toml: log.levle: ");
}

#[test]
fn config_prints_every_setting_in_force_and_hides_secrets() {
    let shop = Shop::new().with("AUTH__SECRET", SECRET).with("PASSWORD__MIN_LENGTH", "12");
    let text = shop.run(&["config"]).is(0);
    let printed: toml::Table = text.out.parse().unwrap();
    let defaults: toml::Table =
        fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/config.toml")).unwrap().parse().unwrap();
    for (section, keys) in &defaults {
        for key in keys.as_table().unwrap().keys() {
            assert!(printed[section].get(key).is_some(), "{section}.{key} is not printed");
        }
    }
    assert_eq!(printed["password"]["min_length"].as_integer(), Some(12));
    let json = shop.run(&["config", "--json"]).is(0);
    assert!(json.json()["auth"]["secret"].is_string());
    for ran in [text, json] {
        assert!(!ran.out.contains(SECRET) && !ran.err.contains(SECRET), "{ran:?}");
    }
}

// The store.

#[test]
fn the_data_folder_holds_the_store_and_the_secret() {
    if sqlite_only() {
        return;
    }
    let shop = Shop::new().with("DATABASE__FOLDER", "shop/data");
    shop.create_admin("boss@example.com").is(0);
    assert_eq!(shop.names_in("."), ["shop"]);
    let names = shop.names_in("shop/data");
    assert!(
        ["coffeeshop.db", "coffeeshop.secret"].iter().all(|name| names.iter().any(|n| n == name)),
        "{names:?}"
    );
    let ran = shop.run(&["config", "--json"]).is(0);
    let folder = fs::canonicalize(shop.path("shop/data")).unwrap();
    let database = &ran.json()["database"];
    assert_eq!(
        (&database["folder"], &database["path"], &database["url"]),
        (&json!(folder), &json!(""), &json!(""))
    );
    assert!(!ran.err.contains("database."), "{ran:?}");
}

#[test]
fn the_path_of_a_store_takes_precedence_over_the_data_folder() {
    if sqlite_only() {
        return;
    }
    let shop = Shop::new().with("DATABASE__FOLDER", "data").with("DATABASE__PATH", "elsewhere/shop.db");
    shop.create_admin("boss@example.com").is(0);
    assert_eq!(shop.names_in("."), ["elsewhere"]);
    let names = shop.names_in("elsewhere");
    assert!(["shop.db", "coffeeshop.secret"].iter().all(|name| names.iter().any(|n| n == name)), "{names:?}");
    let file = fs::canonicalize(shop.path("elsewhere/shop.db")).unwrap();
    let told = format!(
        "database.path is set, so the database is {}, and database.folder is ignored\n",
        file.display()
    );
    for command in [&["config"] as &[_], &["config", "--json"]] {
        let ran = shop.run(command).is(0);
        assert!(ran.err.ends_with(&told), "{ran:?}");
    }
}

#[test]
fn the_url_of_a_database_is_shown_without_its_user_and_password() {
    let shop = Shop::on_sqlite()
        .with("AUTH__SECRET", SECRET)
        .with("DATABASE__FOLDER", "data")
        .with("DATABASE__URL", "postgres://zoe:smoky-beans@db.example/shop");
    let text = shop.run(&["config"]).is(0);
    let json = shop.run(&["config", "--json"]).is(0);
    assert_eq!(json.json()["database"]["url"], "db.example:5432/shop");
    let told = "database.url is set, so the database is db.example:5432/shop on PostgreSQL, and database.folder and \
                database.path are ignored\n";
    for ran in [text, json] {
        assert!(ran.err.ends_with(told), "{ran:?}");
        for part in ["zoe", "smoky"] {
            assert!(!ran.out.contains(part) && !ran.err.contains(part), "{ran:?}");
        }
    }
    assert!(shop.names_in(".").is_empty(), "nothing is made on this machine");
}

#[test]
fn a_url_of_a_database_needs_the_installation_secret() {
    let shop = Shop::on_sqlite().with("DATABASE__URL_FILE", "url");
    fs::write(shop.path("url"), "postgres://zoe:smoky-beans@db.example/shop\n").unwrap();
    set_mode(&shop.path("url"), 0o600);
    for command in [&["serve"] as &[_], &["migrate", "--check"], &["config"]] {
        let hint = "set COFFEESHOP_AUTH__SECRET_FILE; after a move, to the old coffeeshop.secret";
        shop.run(command).refused("auth.secret: must be set beside database.url").hint(hint);
    }
    fs::write(shop.path("url"), "postgres//zoe:smoky-beans@db.example/shop\n").unwrap();
    let ran = shop.run(&["serve"]);
    assert!(!ran.err.contains("zoe") && !ran.err.contains("smoky"), "{ran:?}");
    ran.refused("COFFEESHOP_DATABASE__URL_FILE: must be a URL such as postgres://");
}

#[test]
fn migrate_makes_a_store_once() {
    let shop = Shop::new();
    let made = shop.run(&["migrate"]).is(0);
    assert!(!made.out.is_empty() && !made.err.is_empty(), "{made:?}");
    assert_eq!(shop.run(&["migrate"]).is(0).out, "");
    assert_eq!(shop.run(&["migrate", "--check"]).is(0).out, "");
}

#[test]
fn a_migrate_check_lists_and_applies_nothing() {
    if sqlite_only() {
        return;
    }
    let shop = Shop::new();
    let ran = shop.run(&["migrate", "--check"]).is(1);
    assert!(ran.err.contains("error: ") && ran.err.contains("hint: "), "{ran:?}");
    assert!(shop.names_in(".").is_empty());

    fs::create_dir(shop.path("data")).unwrap();
    fs::write(shop.database(), "").unwrap();
    let ran = shop.run(&["migrate", "--check"]).is(1);
    assert!(ran.out.contains("V1"), "{ran:?}");
    shop.run(&["migrate", "--check"]).is(1);
    assert_eq!(fs::read(shop.database()).unwrap(), [0; 0], "a check wrote into the file");
}

#[test]
fn without_a_store_a_command_says_so_and_makes_none() {
    let shop = Shop::new();
    for command in BESIDE_A_STORE {
        let ran = shop.run(command).is(1);
        let lines: Vec<_> = ran.err.lines().collect();
        let [error, hint] = lines[..] else { panic!("{command:?}: {ran:?}") };
        assert!(error.starts_with("error: ") && hint.starts_with("hint: "), "{command:?}: {ran:?}");
        assert!(shop.names_in(".").is_empty(), "{command:?} made {:?}", shop.names_in("."));
    }
}

#[test]
fn files_are_private_whatever_the_umask() {
    if sqlite_only() {
        return;
    }
    let shop = Shop::new();
    let ran = shop.run_in_shell("umask 000; exec \"$0\" migrate").is(0);
    assert!(ran.err.contains("up to date"), "{ran:?}");
    let umask = "umask 000; exec \"$0\" create-admin --email boss@example.com --password-stdin";
    shop.run_in_shell(&format!("echo {PASSWORD} | ({umask})")).is(0);
    assert_eq!(mode(&shop.path("data")), 0o700);
    // Held open, so that the files beside the database are there.
    let server = shop.serve();
    server.sign_up("ann@example.com").is(201);
    let names = shop.names_in("data");
    for name in ["coffeeshop.db", "coffeeshop.db-wal", "coffeeshop.secret"] {
        assert!(names.iter().any(|found| found == name), "no {name} among {names:?}");
    }
    for name in names {
        assert_eq!(mode(&shop.path("data").join(&name)), 0o600, "{name}");
    }
}

#[test]
fn the_servers_files_are_private_too() {
    if sqlite_only() {
        return;
    }
    let shop = Shop::new();
    let starting = shop.start_in_shell("umask 000; exec \"$0\" serve");
    let server = starting.wait_until_it_listens();
    server.sign_up("ann@example.com").is(201);
    assert_eq!(mode(&shop.path("data")), 0o700);
    for name in shop.names_in("data") {
        assert_eq!(mode(&shop.path("data").join(&name)), 0o600, "{name}");
    }
}

#[test]
fn a_store_of_a_newer_coffeeshop_is_refused_and_left_as_it_is() {
    if sqlite_only() {
        return;
    }
    let shop = Shop::with_admin();
    let newer = "INSERT INTO refinery_schema_history (version, name, applied_on, checksum) \
                 SELECT 99, 'coffee_machines', applied_on, checksum FROM refinery_schema_history WHERE version = 1";
    shop.sql.execute(newer);
    let history = shop.count("refinery_schema_history");
    for command in BESIDE_A_STORE.iter().chain(&[&["serve"] as &[_], &["migrate"]]) {
        shop.run(command).refused("newer coffeeshop").hint("newer coffeeshop");
    }
    shop.create_admin("other@example.com").refused("newer coffeeshop");
    assert_eq!(shop.count("users"), 1);
    assert_eq!(shop.count("refinery_schema_history"), history);
}

#[test]
fn a_database_of_another_program_is_refused_and_left_as_it_is() {
    if sqlite_only() {
        return;
    }
    let shop = Shop::new();
    fs::create_dir(shop.path("data")).unwrap();
    let theirs = Connection::open(shop.database()).unwrap();
    theirs.execute_batch("CREATE TABLE recipes (name TEXT); INSERT INTO recipes VALUES ('mocha')").unwrap();
    drop(theirs);
    let before = fs::read(shop.database()).unwrap();
    for command in BESIDE_A_STORE.iter().chain(&[&["serve"] as &[_], &["migrate"]]) {
        shop.run(command).refused("another program").hint("database.path");
        assert!(fs::read(shop.database()).unwrap() == before, "{command:?} changed a file that is not ours");
    }
    assert_eq!(shop.names_in("data"), ["coffeeshop.db"]);
}

#[test]
fn a_file_that_is_no_database_is_refused_and_left_as_it_is() {
    if sqlite_only() {
        return;
    }
    let shop = Shop::new();
    fs::create_dir(shop.path("data")).unwrap();
    let text = "A shopping list, and no database at all.\n".repeat(100);
    fs::write(shop.database(), &text).unwrap();
    for command in [&["serve"] as &[_], &["migrate"], &["users", "list"], &["migrate", "--check"]] {
        shop.run(command).refused("not a database");
    }
    assert_eq!(fs::read_to_string(shop.database()).unwrap(), text);
}

#[test]
fn a_database_that_cannot_be_created_gets_a_hint() {
    if sqlite_only() {
        return;
    }
    let shop = Shop::new().with("DATABASE__PATH", "file/coffeeshop.db");
    fs::write(shop.path("file"), "not a folder").unwrap();
    for command in [&["serve"] as &[_], &["migrate"]] {
        shop.run(command).refused("file/coffeeshop.db").hint("folder");
    }
}

#[test]
fn many_who_make_a_store_at_once_make_one() {
    for _ in 0..5 {
        let shop = Shop::new();
        let starting: Vec<_> = (0..4).map(|_| shop.start(&["migrate"])).collect();
        for started in starting {
            started.ended().is(0);
        }
        assert_eq!(shop.count("signing_keys"), 1);
    }
}

#[test]
fn a_killed_first_start_is_completed_by_the_next() {
    let start = Instant::now();
    Shop::with_store();
    let whole = start.elapsed();
    for moment in 0..30 {
        let shop = Shop::new();
        let starting = shop.start(&["migrate"]);
        if let Sql::Sqlite(file) = &shop.sql {
            wait_for("the file", || file.exists().then_some(()));
        }
        thread::sleep(whole * moment / 60);
        drop(starting);
        shop.run(&["migrate"]).is(0);
    }
}

// The secret.

#[test]
fn another_secret_than_the_stores_is_refused() {
    let mut shop = Shop::new().with("AUTH__SECRET", SECRET);
    shop.create_admin("boss@example.com").is(0);
    shop.set("AUTH__SECRET", OTHER_SECRET);
    for command in [&["serve"] as &[_], &["users", "list"], &["purge"]] {
        shop.run(command).refused("another installation secret").hint("backup");
    }
    shop.set("AUTH__SECRET", SECRET);
    shop.run(&["users", "list"]).is(0);
}

#[test]
fn a_store_whose_secret_is_gone_is_refused_and_gets_no_other() {
    if sqlite_only() {
        return;
    }
    let shop = Shop::with_admin();
    fs::remove_file(shop.secret()).unwrap();
    for command in [&["serve"] as &[_], &["users", "list"], &["migrate"]] {
        shop.run(command).refused("is missing").hint("backup");
    }
    assert!(!shop.secret().exists());
}

#[test]
fn a_secret_that_others_can_read_is_refused() {
    if sqlite_only() {
        return;
    }
    let shop = Shop::with_admin();
    for rights in [0o640, 0o604, 0o660] {
        set_mode(&shop.secret(), rights);
        shop.run(&["serve"]).refused("chmod 600");
        shop.run(&["users", "list"]).refused("chmod 600");
    }
    set_mode(&shop.secret(), 0o600);
    shop.run(&["users", "list"]).is(0);
}

#[test]
fn a_secret_file_of_its_own_that_others_can_read_is_refused() {
    let shop = Shop::new().with("AUTH__SECRET_FILE", "given");
    fs::write(shop.path("given"), format!("{SECRET}\n")).unwrap();
    for rights in [0o644, 0o640, 0o444] {
        set_mode(&shop.path("given"), rights);
        for command in [&["serve"] as &[_], &["users", "list"], &["migrate"]] {
            let why = format!(
                "COFFEESHOP_AUTH__SECRET_FILE: given: other users of this machine can read it (mode 0{rights:o})"
            );
            shop.run(command).refused(&why);
        }
    }
    assert!(!shop.database().exists());
    set_mode(&shop.path("given"), 0o400);
    shop.create_admin("boss@example.com").is(0);
}

#[test]
fn a_secret_in_a_pipe_is_for_its_reader_alone() {
    let line = format!(r#"printf {SECRET} | COFFEESHOP_AUTH__SECRET_FILE=/dev/stdin "$0" migrate"#);
    Shop::new().run_in_shell(&line).is(0);
}

#[test]
fn other_secrets_that_others_can_read_are_warned_of() {
    let shop = Shop::new().with("SMTP__PASSWORD_FILE", "password").with("SMTP__USERNAME_FILE", "password");
    fs::write(shop.path("password"), "hush\n").unwrap();
    fs::write(shop.path("config.toml"), format!("[auth]\nsecret = \"{SECRET}\"\n")).unwrap();
    let warnings = |rights| {
        set_mode(&shop.path("password"), rights);
        set_mode(&shop.path("config.toml"), rights);
        let ran = shop.serve().stop(Signal::TERM).is(0);
        ran.err.lines().filter(|line| line.contains("WARN")).map(str::to_owned).collect::<Vec<_>>()
    };
    let [in_file, password] = &warnings(0o644)[..] else { panic!("two warnings") };
    assert!(
        in_file.contains("auth.secret is set in config.toml: other users of this machine can read it"),
        "{in_file}"
    );
    assert!(
        password.contains("COFFEESHOP_SMTP__PASSWORD_FILE is set to password: other users"),
        "{password}"
    );
    assert!(password.contains("(mode 0644)") && password.contains("chmod 600 password"), "{password}");
    assert_eq!(warnings(0o600), [""; 0]);
}

#[test]
fn a_secret_can_come_from_a_file_of_its_own() {
    let shop = Shop::new().with("AUTH__SECRET_FILE", "given");
    fs::write(shop.path("given"), format!("{SECRET}\n")).unwrap();
    set_mode(&shop.path("given"), 0o600);
    shop.create_admin("boss@example.com").is(0);
    assert!(!shop.secret().exists());
    fs::write(shop.path("given"), OTHER_SECRET).unwrap();
    shop.run(&["users", "list"]).refused("another installation secret");
}

// Admins.

#[test]
fn create_admin_makes_a_verified_admin_who_can_log_in() {
    let shop = Shop::new();
    let args = ["create-admin", "--email", "Boss@Example.com", "--first-name", "Bo", "--last-name", "Ss"];
    let ran =
        shop.run_with_input(&[&args[..], &["--password-stdin", "--json"]].concat(), format!("{PASSWORD}\n"));
    let user = ran.is(0).json();
    let (role, status) = (&user["role"], &user["status"]);
    assert_eq!((role, status, &user["disabled"]), (&json!("admin"), &json!("verified"), &json!(false)));
    assert_eq!((&user["first_name"], &user["last_name"]), (&json!("Bo"), &json!("Ss")));
    assert_eq!((&user["email"], &user["expires_at"]), (&json!("Boss@Example.com"), &Value::Null));

    let server = shop.serve();
    let token = server.token("boss@example.com");
    let users = server.get_as(&token, "/users").is(200).json();
    assert_eq!(users["items"], json!([server.get_as(&token, "/me").is(200).json()]));
}

#[test]
fn create_admin_prints_the_user_as_lines_without_json() {
    let ran = Shop::new()
        .run_with_input(&["create-admin", "--email", "boss@example.com", "--password-stdin"], PASSWORD)
        .is(0);
    let line = |field: &str| ran.out.lines().find(|line| line.starts_with(field)).unwrap_or_default();
    assert!(line("email").ends_with("boss@example.com") && line("role").ends_with("admin"), "{ran:?}");
    assert!(!ran.out.contains("argon2") && !ran.out.contains(PASSWORD), "{ran:?}");
}

#[test]
fn a_taken_address_is_refused_with_a_hint_at_what_to_do_instead() {
    let shop = Shop::with_admin();
    shop.create_admin("BOSS@example.com")
        .refused("Another account has this e-mail address")
        .hint("users set-role");
    assert_eq!(shop.count("users"), 1);
}

#[test]
fn a_weak_password_or_a_bad_address_is_refused() {
    let shop = Shop::with_store();
    for (email, password) in [
        ("boss@example.com", "short"),
        ("boss@example.com", ""),
        ("boss@example.com", "password123"),
        ("boss@example.com", "boss@example.com"),
        ("boss", PASSWORD),
    ] {
        let args = ["create-admin", "--email", email, "--password-stdin"];
        let ran = shop.run_with_input(&args, password).refused("");
        assert!(password.is_empty() || !ran.err.contains(&format!(" {password}")), "{ran:?}");
    }
    assert_eq!(shop.count("users"), 0);
}

#[test]
fn what_editors_write_around_a_password_is_not_part_of_it() {
    let shop = Shop::with_store();
    let args = ["create-admin", "--email", " boss@example.com\n", "--password-stdin", "--json"];
    let user = shop.run_with_input(&args, format!("\u{feff}{PASSWORD}\r\n")).is(0).json();
    let id = format!(" {}\n", user["id"].as_str().unwrap());
    assert_eq!(shop.run(&["users", "show", &id, "--json"]).is(0).json(), user);
    shop.serve().token("boss@example.com");
    let args = ["create-admin", "--email", "other@example.com", "--password-stdin"];
    shop.run_with_input(&args, format!("{PASSWORD}\n\n")).refused("more than one line").hint("alone");
}

#[test]
fn a_password_that_is_no_text_is_refused() {
    let shop = Shop::with_store();
    let args = ["create-admin", "--email", "boss@example.com", "--password-stdin"];
    shop.run_with_input(&args, b"mocha\xff\xfestirs slowly".to_vec()).refused("");
}

#[test]
fn without_a_terminal_a_password_must_come_by_standard_input() {
    let shop = Shop::new();
    shop.run(&["create-admin", "--email", "boss@example.com"]).refused("terminal").hint("--password-stdin");
}

#[test]
#[cfg(target_os = "linux")]
fn at_a_terminal_a_password_is_asked_for_twice_and_not_shown() {
    let shop = Shop::new();
    let mut terminal = shop.at_terminal("create-admin --email boss@example.com");
    terminal.answer("Password: ", PASSWORD);
    terminal.answer("Repeat password: ", PASSWORD);
    let ran = terminal.ended();
    assert!(ran.code == Some(0) && ran.out.contains("admin") && !ran.out.contains(PASSWORD), "{ran:?}");
    shop.serve().log_in("boss@example.com").is(200);

    let mut terminal = shop.at_terminal("create-admin --email other@example.com");
    terminal.answer("Password: ", PASSWORD);
    terminal.answer("Repeat password: ", "espresso drips quietly");
    let ran = terminal.ended();
    assert!(ran.code == Some(1) && ran.out.contains("error: "), "{ran:?}");
    assert_eq!(shop.count("users"), 1);
}

#[test]
#[cfg(target_os = "linux")]
fn at_a_terminal_only_a_yes_deletes() {
    let shop = Shop::with_admin();
    shop.create_admin("other@example.com").is(0);
    for (answer, code, left) in [("", 1, 2), ("n", 1, 2), ("yes", 0, 1)] {
        let mut terminal = shop.at_terminal("users delete other@example.com");
        terminal.answer("[y/N] ", answer);
        let ran = terminal.ended();
        assert_eq!((ran.code, shop.count("users")), (Some(code), left), "{answer:?}: {ran:?}");
    }
}

// Users.

#[tokio::test(flavor = "multi_thread")]
async fn a_user_is_found_by_id_and_by_address() {
    let shop = Shop::new();
    signed_up(&shop, Duration::ZERO, &["ann@example.com"]).await;
    let ann = shop.run(&["users", "show", "ANN@example.com", "--json"]).is(0).json();
    assert_eq!(ann["status"], "unverified");
    let id = ann["id"].as_str().unwrap();
    assert_eq!(shop.run(&["users", "show", id, "--json"]).is(0).json(), ann);
    let lines = shop.run(&["users", "show", id]).is(0);
    assert!(
        lines.out.contains(id) && lines.out.contains("ann@example.com") && lines.err.is_empty(),
        "{lines:?}"
    );

    let unknown = "01890a5d-ac96-774b-bcce-b302099a8057";
    for who in ["bob@example.com", unknown] {
        shop.run(&["users", "show", who]).refused(&format!("there is no user {who}"));
    }
    shop.run(&["users", "show", "no such user"]).refused("");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_comes_in_pages_filtered_and_sorted() {
    let shop = Shop::with_admin();
    signed_up(&shop, Duration::ZERO, &["ann@example.com", "bob@example.com", "cid@example.org"]).await;
    let list = |args: &[&str]| shop.run(&[&["users", "list", "--json"], args].concat()).is(0).json();

    let all = list(&["--sort", "email", "--total"]);
    let everyone = ["ann@example.com", "bob@example.com", "boss@example.com", "cid@example.org"];
    assert_eq!((emails(&all["items"]), &all["total"]), (everyone.to_vec(), &json!(4)));
    assert_eq!(all["next_cursor"], Value::Null);

    let first = list(&["--sort", "email", "--limit", "3"]);
    let cursor = first["next_cursor"].as_str().unwrap();
    let rest = list(&["--sort", "email", "--limit", "3", "--cursor", cursor]);
    assert_eq!([emails(&first["items"]), emails(&rest["items"])].concat(), everyone);

    assert_eq!(emails(&list(&["--role", "admin"])["items"]), ["boss@example.com"]);
    assert_eq!(emails(&list(&["--status", "unverified", "--sort", "-email"])["items"])[0], "cid@example.org");
    assert_eq!(emails(&list(&["--q", "EXAMPLE.ORG"])["items"]), ["cid@example.org"]);
    assert_eq!(list(&["--disabled", "true"])["items"], json!([]));

    let table = shop.run(&["users", "list", "--limit", "2"]).is(0);
    assert_eq!(table.out.lines().count(), 3, "{table:?}");
    assert!(table.err.contains("--cursor"), "{table:?}");
    shop.run(&["users", "list", "--limit", "0"]).refused("limit");
    shop.run(&["users", "list", "--cursor", "nonsense"]).refused("cursor");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cli_changes_users_by_the_rules() {
    let shop = Shop::with_admin();
    signed_up(&shop, Duration::ZERO, &["ann@example.com"]).await;
    let ann = |verb: &str, more: &[&str]| -> Value {
        shop.run(&[&["users", verb, "ann@example.com", "--json"], more].concat()).is(0).json()
    };
    let verified = ann("verify", &[]);
    assert_eq!((&verified["status"], &verified["expires_at"]), (&json!("verified"), &Value::Null));
    assert!(verified["verified_at"].is_string());
    assert_eq!(ann("set-role", &["admin"])["role"], "admin");
    assert_eq!(ann("disable", &[])["disabled"], true);
    assert_eq!(ann("enable", &[])["disabled"], false);
    assert_eq!(ann("set-role", &["user"])["role"], "user");

    let ran = shop.run(&["users", "delete", "ann@example.com", "--yes"]).is(0);
    assert!(ran.out.is_empty() && ran.err.contains("ann@example.com"), "{ran:?}");
    shop.run(&["users", "delete", "ann@example.com", "--yes"]).refused("there is no user");
}

#[test]
fn a_deletion_asks_or_is_refused_without_a_terminal() {
    let shop = Shop::with_admin();
    shop.create_admin("other@example.com").is(0);
    let args = ["users", "delete", "boss@example.com"];
    shop.run(&args).refused("terminal").hint("--yes");
    shop.run_with_input(&args, "y\n").refused("terminal").hint("--yes");
    assert_eq!(shop.count("users"), 2);
}

#[test]
fn the_cli_keeps_the_last_admin_too() {
    let shop = Shop::with_admin();
    let refused: [&[&str]; 3] = [
        &["users", "set-role", "boss@example.com", "user"],
        &["users", "disable", "boss@example.com"],
        &["users", "delete", "boss@example.com", "--yes"],
    ];
    for command in refused {
        shop.run(command).refused("last active admin");
    }
    // An admin who is disabled cannot act, and so does not count.
    shop.create_admin("other@example.com").is(0);
    shop.run(&["users", "disable", "other@example.com"]).is(0);
    for command in refused {
        shop.run(command).refused("last active admin");
    }
    shop.run(&["users", "enable", "other@example.com"]).is(0);
    shop.run(refused[0]).is(0);
    shop.run(&["users", "delete", "other@example.com", "--yes"]).refused("last active admin");
}

#[test]
fn an_admin_without_a_password_does_not_count_for_the_cli() {
    let shop = Shop::with_admin();
    shop.run(&["users", "invite", "other@example.com", "--role", "admin"]).is(0);
    shop.run(&["users", "verify", "other@example.com"]).is(0);
    for command in [
        &["users", "set-role", "boss@example.com", "user"][..],
        &["users", "disable", "boss@example.com"],
        &["users", "delete", "boss@example.com", "--yes"],
    ] {
        shop.run(command).refused("last active admin");
    }
    shop.run(&["users", "delete", "other@example.com", "--yes"]).is(0);
}

// The clean-up.

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_deletes_expired_users_only() {
    let shop = Shop::with_admin();
    signed_up(&shop, 3 * DAY, &["old@example.com", "older@example.com"]).await;
    signed_up(&shop, DAY, &["ann@example.com"]).await;

    let dry = shop.run(&["purge", "--dry-run", "--json"]).is(0).json();
    assert_eq!(emails(&dry["users"]), ["old@example.com", "older@example.com"]);
    let lines = shop.run(&["purge", "--dry-run"]).is(0);
    assert!(lines.out.contains("old@example.com") && !lines.out.contains("ann@example.com"), "{lines:?}");
    assert_eq!(shop.count("users"), 4, "a dry run deletes nothing");

    let purged = shop.run(&["purge", "--json"]).is(0).json();
    assert_eq!(purged["users"], 2);
    assert_eq!(shop.run(&["purge", "--json"]).is(0).json()["users"], 0);
    let left = shop.run(&["users", "list", "--sort", "email", "--json"]).is(0).json();
    assert_eq!(emails(&left["items"]), ["ann@example.com", "boss@example.com"]);
    assert_eq!((shop.count("codes"), shop.count("outbox")), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_of_older_ones_takes_those_who_signed_up_before() {
    let shop = Shop::with_admin();
    signed_up(&shop, DAY, &["ann@example.com"]).await;
    signed_up(&shop, Duration::ZERO, &["bob@example.com"]).await;
    let purge = |age: &str, more: &[&str]| -> Ran {
        shop.run(&[&["purge", "--older-than", age], more].concat()).is(0)
    };
    assert!(purge("2d", &[]).out.contains("deleted 0 users"));
    assert!(purge("12h", &["--dry-run"]).out.contains("ann@example.com"));
    assert!(purge("12h", &[]).out.contains("deleted 1 user,"));
    assert_eq!(purge("0s", &["--json"]).json()["users"], 1);
    assert_eq!(shop.count("users"), 1, "no verified user is ever purged");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_that_comes_to_no_end_says_what_it_has_deleted() {
    let shop = Shop::with_admin();
    signed_up(&shop, 400 * DAY, &["old@example.com", "older@example.com"]).await;
    shop.sql.refuse("DELETE", "audit_events", "the book is nailed down");
    shop.run(&["purge"])
        .refused("deleted 2 users, ")
        .refused("0 events: ")
        .refused("the book is nailed down");
    shop.run(&["purge", "--json"]).refused("deleted 0 users, ");
    assert_eq!(shop.count("users"), 1);

    // So does the server, when its own is.
    signed_up(&shop, 3 * DAY, &["young@example.com"]).await;
    let server = shop.serve();
    wait_for("word of it in the log", || {
        let log = server.logged();
        let line = log.lines().find(|line| line.contains("the clean-up failed"))?;
        assert!(line.contains("users: 1, ") && line.contains("nailed down"), "{line}");
        Some(())
    });
}

// Beside a running server.

#[test]
fn what_a_command_does_counts_from_the_servers_next_request_on() {
    let shop = Shop::new();
    let server = shop.serve();
    server.sign_up("ann@example.com").is(201);
    let token = server.token("ann@example.com");
    let me = || server.get_as(&token, "/me");
    assert_eq!(me().is(200).json()["status"], "unverified");

    shop.create_admin("boss@example.com").is(0);
    server.get_as(&server.token("boss@example.com"), "/users").is(200);

    shop.run(&["users", "verify", "ann@example.com"]).is(0);
    me().is(401);
    let token = server.token("ann@example.com");
    let me = || server.get_as(&token, "/me");
    assert_eq!(me().is(200).json()["status"], "verified");
    server.get_as(&token, "/users").is(403);
    shop.run(&["users", "set-role", "ann@example.com", "admin"]).is(0);
    server.get_as(&token, "/users").is(200);
    shop.run(&["users", "set-role", "ann@example.com", "user"]).is(0);
    server.get_as(&token, "/users").is(403);

    shop.run(&["users", "disable", "ann@example.com"]).is(0);
    me().is(401);
    assert_eq!(server.log_in("ann@example.com").is(403).json()["code"], "account_disabled");
    shop.run(&["users", "enable", "ann@example.com"]).is(0);
    server.log_in("ann@example.com").is(200);
    shop.run(&["users", "delete", "ann@example.com", "--yes"]).is(0);
    server.log_in("ann@example.com").is(401);
    server.sign_up("ann@example.com").is(201);
    shop.run(&["purge", "--older-than", "0s"]).is(0);
    server.log_in("ann@example.com").is(401);
}

#[test]
fn a_reset_link_from_the_cli_works_once() {
    let shop = Shop::with_admin();
    let server = shop.serve();
    let token = server.token("boss@example.com");
    let link = |reset: Ran| reset.is(0).json()["link"].as_str().unwrap().to_owned();
    let link = link(shop.run(&["users", "reset-password", "boss@example.com", "--json"]));
    let (page, secret) = link.split_once("?token=").unwrap();
    assert_eq!(page, "http://localhost:8080/reset");
    let body = json!({ "token": secret, "new_password": "espresso drips quietly" });
    server.post("/auth/password/reset", &body).is(204);
    server.post("/auth/password/reset", &body).is(400);
    server.get_as(&token, "/me").is(401);
    server.log_in("boss@example.com").is(401);

    let plain = shop.run(&["users", "reset-password", "boss@example.com"]).is(0);
    assert!(plain.out.starts_with("http://localhost:8080/reset?token=") && plain.out.lines().count() == 1);
    assert!(!plain.err.contains("token="), "{plain:?}");
}

// The rest.

#[test]
fn a_command_that_cannot_be_done_says_what_hinders_it() {
    let shop = Shop::with_admin();
    let rotate: &[&str] = &["keys", "rotate"];
    let refused = |command: &[&str], why: &str| {
        let ran = shop.run(command).refused(why);
        assert!(!ran.err.contains("request"), "there was no request: {ran:?}");
    };
    let lock = shop.sql.lock();
    refused(rotate, shop.sql.either("database is locked", "lock timeout"));
    lock.release();

    shop.sql.refuse("INSERT", "signing_keys", "the trigger refuses");
    refused(rotate, "the trigger refuses");

    let unchecked = shop
        .sql
        .either("PRAGMA ignore_check_constraints = ON", "ALTER TABLE users DROP CONSTRAINT users_role_check");
    shop.sql.execute(&format!("{unchecked}; UPDATE users SET role = 'owner'"));
    refused(&["users", "show", "boss@example.com"], "an unexpected value in column role");
}

#[test]
fn openapi_needs_neither_settings_nor_store() {
    let shop = Shop::new().with("NONSENSE", "1");
    let document = shop.run(&["openapi"]).is(0).json();
    assert!(document["openapi"].as_str().unwrap().starts_with("3."));
    assert!(document["paths"]["/auth/signup"]["post"].is_object());
    assert!(shop.names_in(".").is_empty());
}

#[test]
fn openapi_names_the_path_of_the_shop_if_it_knows_the_settings() {
    let shop = Shop::new().with("SERVER__PUBLIC_URL", "https://shop.example/accounts");
    let ran = shop.run(&["openapi"]).is(0);
    assert_eq!((ran.json()["servers"][0]["url"].as_str(), ran.err.as_str()), (Some("/accounts"), ""));
    let ran = shop.with("SERVER__LISTEN", "nowhere").run(&["openapi"]).is(0);
    assert_eq!(ran.json()["servers"][0]["url"], "/");
    assert!(ran.err.starts_with("warning: ") && ran.err.contains("COFFEESHOP_SERVER__LISTEN"), "{}", ran.err);
}

#[test]
fn data_that_cannot_be_written_is_a_failure() {
    let shop = Shop::with_admin();
    for command in ["openapi", "config", "users list --json", "users show boss@example.com"] {
        let ran = shop.run_in_shell(&format!("\"$0\" {command} > /dev/full")).is(1);
        assert!(ran.err.starts_with("error: "), "{command}: {ran:?}");
    }
}

#[test]
fn a_reader_that_goes_away_is_no_reason_to_fail_loudly() {
    let ran = Shop::new().run_in_shell("\"$0\" openapi | head -c 1");
    assert_eq!((ran.out.as_str(), ran.err.as_str()), ("{", ""));
}

#[tokio::test]
async fn an_unverified_account_is_not_made_an_admin() {
    let shop = Shop::with_store();
    signed_up(&shop, Duration::ZERO, &["owner@example.com"]).await;
    shop.create_admin("owner@example.com")
        .refused("Another account has this e-mail address")
        .hint("users delete owner@example.com");
    shop.run(&["users", "delete", "owner@example.com", "--yes"]).is(0);
    shop.create_admin("owner@example.com").is(0);
}

#[test]
fn a_password_of_several_lines_is_refused() {
    let shop = Shop::new();
    let admin = &["create-admin", "--email", "boss@example.com", "--password-stdin"];
    shop.run_with_input(admin, "one\ntwo\nlantern drift seven").refused("more than one line");
}

#[test]
fn a_command_that_writes_names_the_store_it_works_on() {
    let shop = Shop::new();
    let first = |ran: &Ran| ran.err.lines().next().unwrap_or_default().to_owned();
    let made = shop.create_admin("boss@example.com").is(0);
    let database = shop.sql.place();
    assert_eq!(first(&made), format!("created a new database: {database}"));
    let store = format!("database: {database}");
    assert_eq!(first(&shop.create_admin("other@example.com").is(0)), store);
    let writing: [&[&str]; 12] = [
        &["migrate"],
        &["purge"],
        &["users", "set-role", "other@example.com", "user"],
        &["users", "disable", "other@example.com"],
        &["users", "enable", "other@example.com"],
        &["users", "verify", "other@example.com"],
        &["users", "reset-password", "other@example.com"],
        &["users", "invite", "ann@example.com"],
        &["users", "end-sessions", "other@example.com"],
        &["users", "delete", "other@example.com", "--yes"],
        &["messages", "retry"],
        &["keys", "rotate"],
    ];
    for command in writing {
        let ran = shop.run(command).is(0);
        assert_eq!(first(&ran), store, "{command:?}: {ran:?}");
        assert!(!ran.out.contains("database"), "data is as before: {ran:?}");
    }
    let reading: [&[&str]; 6] = [
        &["purge", "--dry-run"],
        &["users", "list"],
        &["users", "show", "boss@example.com"],
        &["audit"],
        &["messages", "list"],
        &["keys", "list"],
    ];
    for command in reading {
        assert_eq!(shop.run(command).is(0).err, "", "{command:?}");
    }
    // What is not there is named in full, too.
    let elsewhere = Shop::new();
    let place = match &elsewhere.sql {
        Sql::Sqlite(_) => {
            format!("at {}/data/coffeeshop.db", fs::canonicalize(elsewhere.path(".")).unwrap().display())
        }
        postgres @ Sql::Postgres(_) => postgres.place(),
    };
    elsewhere.run(&["users", "list"]).refused(&place);
}

#[test]
fn a_new_store_is_said_to_be_new_and_not_to_be_migrated() {
    let shop = Shop::new();
    let made = shop.create_admin("boss@example.com").is(0);
    assert!(!made.err.contains("applied a migration"), "{made:?}");
    let log = Shop::new().serve().stop(Signal::TERM).err;
    assert_eq!(
        (log.matches("created a new database").count(), log.matches("applied a migration").count()),
        (1, 0),
        "{log}"
    );
}

#[test]
fn a_bad_address_is_refused_before_a_password_is_asked_for() {
    let shop = Shop::with_admin();
    for (email, why) in [
        ("boss", "The address must look like"),
        ("BOSS@example.com", "Another account has this e-mail address"),
    ] {
        // There is no terminal: a command that asked for a password first would say so.
        shop.run(&["create-admin", "--email", email]).refused(why);
    }
    let unnamed = shop.run(&["create-admin", "--email", "a@example.com", "--first-name", " "]);
    unnamed.refused("--first-name must not be empty");
    let elsewhere = Shop::new();
    elsewhere.run(&["create-admin", "--email", "boss"]).refused("The address must look like");
    assert!(elsewhere.names_in(".").is_empty(), "no store is made for an address that cannot be");
}

#[test]
fn a_bad_value_is_said_once() {
    let shop = Shop::with_admin();
    let commands: [(&[&str], &str); 8] = [
        (&["purge", "--older-than", "soonish"], "soonish"),
        (&["users", "list", "--limit", "manyfold"], "manyfold"),
        (&["users", "list", "--limit", "4711"], "4711"),
        (&["audit", "--limit", "4711"], "4711"),
        (&["messages", "retry", "thefirst"], "thefirst"),
        (&["users", "list", "--role", "kingly"], "kingly"),
        (&["users", "show", "ann"], "ann"),
        (&["messages", "test", "--to", "ann"], "ann"),
    ];
    for (command, value) in commands {
        let ran = shop.run(command);
        let line = ran.err.lines().find(|line| line.starts_with("error: ")).unwrap();
        assert_eq!(line.matches(value).count(), 1, "{command:?}: {ran:?}");
        assert!(
            !line.ends_with("number") && !line.contains("digit found") && !line.contains("urn:uuid"),
            "{command:?}: {ran:?}"
        );
    }
}

#[test]
fn a_path_that_cannot_be_made_is_said_once() {
    if sqlite_only() {
        return;
    }
    let shop = Shop::new().with("DATABASE__PATH", "file/shop.db");
    fs::write(shop.path("file"), "").unwrap();
    let ran = shop.run(&["migrate"]).is(1);
    assert_eq!(ran.err.matches("file/shop.db").count(), 1, "{ran:?}");
}

#[test]
fn links_and_mails_that_start_at_localhost_are_warned_of() {
    let shop = Shop::with_admin();
    for command in [["users", "reset-password", "boss@example.com"], ["users", "invite", "ann@example.com"]] {
        let ran = shop.run(&command).is(0);
        let warning = ran.err.lines().find(|line| line.starts_with("warning: ")).unwrap();
        assert!(
            warning.contains("http://localhost:8080/reset") && warning.contains("SERVER__PUBLIC_URL"),
            "{ran:?}"
        );
    }
    let open = shop.with("SERVER__PUBLIC_URL", "https://shop.example");
    let ran = open.run(&["users", "reset-password", "boss@example.com"]).is(0);
    assert!(
        ran.out.starts_with("https://shop.example/reset?token=") && !ran.err.contains("warning"),
        "{ran:?}"
    );

    let mail = Shop::new().with("MESSAGES__TRANSPORT", "file");
    let ran = mail.run(&["messages", "test", "--to", "ann@example.com"]).is(0);
    let warning =
        "warning: messages.from is Coffee Shop <no-reply@localhost>: mail servers refuse such a sender";
    assert!(ran.err.starts_with(warning) && ran.err.contains("COFFEESHOP_MESSAGES__FROM"), "{ran:?}");
    let mail = mail.with("MESSAGES__FROM", "Beans <shop@beans.example>");
    assert!(!mail.run(&["messages", "test", "--to", "ann@example.com"]).is(0).err.contains("warning"));
}

#[test]
fn a_test_message_can_be_json() {
    let ran = Shop::new().run(&["messages", "test", "--to", "ann@example.com", "--json"]).is(0);
    assert_eq!(ran.json(), json!({ "to": "ann@example.com", "transport": "console" }));
    assert!(ran.err.contains("--- message to ann@example.com ---"), "{ran:?}");
}

#[test]
fn a_table_is_never_broken_where_there_is_no_terminal() {
    let shop = Shop::with_admin();
    let table = shop.run(&["users", "list"]).is(0);
    let [header, row] = table.out.lines().collect::<Vec<_>>()[..] else { panic!("{table:?}") };
    assert!(header.len() > 80 && row.len() > 80 && row.contains("boss@example.com"), "{table:?}");
}

#[test]
#[cfg(target_os = "linux")]
fn a_table_too_wide_for_a_terminal_is_a_block_for_each_row() {
    let shop = Shop::with_admin();
    shop.create_admin("other@example.com").is(0);
    let shown = |columns: u32| {
        let line = format!("stty cols {columns}; exec \"$0\" users list --sort email");
        shop.line_at_terminal(&line).ended().out.replace('\r', "")
    };
    let blocks = shown(80);
    let [boss, other] = blocks.trim().split("\n\n").collect::<Vec<_>>()[..] else { panic!("{blocks}") };
    for (block, email) in [(boss, "boss@example.com"), (other, "other@example.com")] {
        let lines: Vec<_> = block.lines().collect();
        let (name, id) = lines[0].split_once(' ').unwrap();
        assert!(name == "ID" && uuid::Uuid::try_parse(id.trim()).is_ok(), "{block}");
        assert_eq!((lines[1], lines.len()), (&*format!("E-MAIL    {email}"), 7), "{block}");
    }
    assert_eq!(shown(200).lines().count(), 3, "it fits");
}
