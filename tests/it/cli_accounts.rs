//! The command line for accounts, audit and messages, and its errors for impossible mail settings.

use std::{
    fs,
    net::TcpListener,
    time::{Duration, Instant},
};

use coffeeshop::{
    accounts::SignupDraft,
    domain::{Clock, Origin},
};
use rustix::process::{Signal, getuid};
use serde_json::{Value, json};

use crate::{
    app::PASSWORD,
    passwords::BAD,
    shop::{Shop, mode, wait_for},
};

const ANN: &str = "ann@example.com";
const BOB: &str = "bob@example.com";
const BOSS: &str = "boss@example.com";
const UNKNOWN: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

fn items(list: &Value) -> &Vec<Value> {
    list["items"].as_array().unwrap()
}

fn actions(list: &Value) -> Vec<&str> {
    items(list).iter().map(|event| event["action"].as_str().unwrap()).collect()
}

/// The token in a link of a message.
fn token(message: &str) -> &str {
    message.split_once("?token=").unwrap().1.lines().next().unwrap()
}

/// A shop whose mail goes to this port of this machine.
fn with_mail_at(port: u16) -> Shop {
    Shop::new()
        .with("MESSAGES__TRANSPORT", "smtp")
        .with("SMTP__HOST", "127.0.0.1")
        .with("SMTP__PORT", port.to_string())
        .with("SMTP__SECURITY", "none")
}

/// A port that is not open.
fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn wrong_usage_ends_with_2_and_says_so_on_standard_error() {
    let shop = Shop::new();
    let wrong: [&[&str]; 12] = [
        &["users", "invite"],
        &["users", "invite", BOB, "--role", "king"],
        &["users", "invite", BOB, "--password", "x"],
        &["users", "sessions"],
        &["users", "end-sessions"],
        &["audit", "--action", "user.baptised"],
        &["audit", "--limit", "many"],
        &["messages"],
        &["messages", "test"],
        &["messages", "retry", "first"],
        &["messages", "list", "--state", "lost"],
        &["messages", "send"],
    ];
    for args in wrong {
        let ran = shop.run(args).is(2);
        assert!(ran.out.is_empty() && !ran.err.is_empty(), "{ran:?}");
    }
    assert!(shop.names_in(".").is_empty());
}

#[test]
fn every_command_has_a_help_that_is_data() {
    let shop = Shop::new();
    let help = shop.run(&["--help"]).is(0).out;
    for command in ["audit", "messages"] {
        assert!(help.contains(command), "{help}");
    }
    let commands: [&[&str]; 8] = [
        &["audit"],
        &["messages"],
        &["messages", "list"],
        &["messages", "retry"],
        &["messages", "test"],
        &["users", "invite"],
        &["users", "sessions"],
        &["users", "end-sessions"],
    ];
    for command in commands {
        let ran = shop.run(&[command, &["--help"]].concat()).is(0);
        assert!(ran.out.len() > 80 && ran.err.is_empty(), "{ran:?}");
    }
}

#[test]
fn what_prints_data_can_print_json() {
    let shop = Shop::with_admin();
    let commands: [&[&str]; 4] =
        [&["users", "invite", BOB], &["users", "sessions", BOSS], &["audit"], &["messages", "list"]];
    for command in commands {
        let ran = shop.run(&[command, &["--json"]].concat()).is(0);
        assert!(ran.json().is_object(), "{ran:?}");
    }
    for command in ["users sessions boss@example.com", "audit --json", "messages list"] {
        let ran = shop.run_in_shell(&format!("\"$0\" {command} > /dev/full")).is(1);
        assert!(ran.err.starts_with("error: "), "{command}: {ran:?}");
    }
}

#[test]
fn no_admin_is_made_with_a_password_refused_elsewhere() {
    let shop = Shop::with_store();
    for (bad, why) in BAD {
        let args = ["create-admin", "--email", ANN, "--password-stdin"];
        let ran = shop.run_with_input(&args, bad).refused("password");
        let said = if why == "too_short" { "at least 8 characters" } else { "too easy to guess" };
        assert!(bad.is_empty() || ran.err.contains(said), "{bad}: {ran:?}");
    }
    assert_eq!(shop.count("users"), 0);
}

#[test]
fn a_user_invited_by_the_cli_accepts_at_the_server() {
    let shop = Shop::with_admin();
    let server = shop.serve();
    let ran = shop.run(&[
        "users",
        "invite",
        " Bob@Example.com",
        "--first-name",
        "Bob",
        "--role",
        "admin",
        "--json",
    ]);
    let user = ran.is(0).json();
    assert_eq!((&user["email"], &user["first_name"]), (&json!("Bob@Example.com"), &json!("Bob")));
    assert_eq!((&user["role"], &user["status"]), (&json!("admin"), &json!("unverified")));
    let message = server.message("Bob@Example.com");
    assert!(message.contains("Subject: You are invited to Coffee Shop"), "{message}");
    server.post("/auth/login", &json!({ "email": BOB, "password": PASSWORD })).is(401);
    let body = json!({ "token": token(&message), "new_password": PASSWORD });
    server.post("/auth/password/reset", &body).is(204);
    server.get_as(&server.token(BOB), "/users").is(200);
}

#[test]
fn an_invitation_by_the_cli_follows_the_rules() {
    let shop = Shop::with_admin();
    let plain = shop.run(&["users", "invite", BOB]).is(0);
    assert!(plain.out.contains(BOB) && plain.out.contains("unverified"), "{plain:?}");
    assert!(plain.err.contains("link") && !plain.err.contains("token="), "{plain:?}");
    assert!(!plain.out.contains("token="), "{plain:?}");
    shop.run(&["users", "invite", "BOSS@example.com"]).refused("Another account has this e-mail address");
    shop.run(&["users", "invite", BOB]).refused("Another account has this e-mail address");
    for bad in ["bob", "", "Bob <bob@example.com>"] {
        shop.run(&["users", "invite", bad]).refused("The address must");
    }
    let unnamed = shop.run(&["users", "invite", "cid@example.com", "--last-name", ""]);
    unnamed.refused("--last-name must not be empty; leave it out instead");
    assert_eq!((shop.count("users"), shop.count("outbox")), (2, 1));
}

#[test]
fn the_cli_lists_and_ends_sessions() {
    let shop = Shop::with_admin();
    let server = shop.serve();
    let body = json!({ "email": BOSS, "password": PASSWORD });
    let tokens = server.post_with("User-Agent: till/2.1\r\n", "/auth/login", &body).is(200).json();
    let sessions = shop.run(&["users", "sessions", BOSS, "--json"]).is(0).json();
    let [session] = &items(&sessions)[..] else { panic!("{sessions}") };
    assert_eq!((&session["user_agent"], &session["ip"]), (&json!("till/2.1"), &json!("127.0.0.1")));
    assert_eq!(session["current"], false);
    let table = shop.run(&["users", "sessions", "BOSS@example.com"]).is(0);
    assert!(table.out.lines().count() == 2 && table.out.contains("till/2.1"), "{table:?}");

    let token = tokens["access_token"].as_str().unwrap();
    server.get_as(token, "/me").is(200);
    let ended = shop.run(&["users", "end-sessions", BOSS]).is(0);
    assert!(ended.out.is_empty() && ended.err.contains(BOSS), "{ended:?}");
    server.get_as(token, "/me").is(401);
    server.post("/auth/refresh", &json!({ "refresh_token": tokens["refresh_token"] })).is(401);
    let none = shop.run(&["users", "sessions", BOSS, "--json"]).is(0).json();
    assert_eq!(items(&none).len(), 0);
    shop.run(&["users", "end-sessions", BOSS]).is(0);
    for who in [ANN, UNKNOWN] {
        shop.run(&["users", "sessions", who]).refused(&format!("there is no user {who}"));
        shop.run(&["users", "end-sessions", who]).refused(&format!("there is no user {who}"));
    }
}

#[test]
fn the_audit_shows_actor_action_and_origin() {
    let shop = Shop::with_admin();
    let server = shop.serve();
    let body = json!({ "email": ANN, "password": PASSWORD });
    let headers = "User-Agent: till/2.1\r\nX-Request-Id: step-1\r\nX-Forwarded-For: 192.0.2.7\r\n";
    let ann = server.post_with(headers, "/auth/signup", &body).is(201).json();
    shop.run(&["users", "disable", ANN]).is(0);
    shop.run(&["users", "delete", ANN, "--yes"]).is(0);
    let id = ann["id"].as_str().unwrap();

    let all = shop.run(&["audit", "--json"]).is(0).json();
    assert_eq!(actions(&all), ["user.deleted", "user.edited", "user.signed_up", "user.created"]);
    let signed_up = &items(&all)[2];
    let from = json!([
        signed_up["channel"],
        signed_up["ip"],
        signed_up["user_agent"],
        signed_up["request_id"],
        signed_up["uid"]
    ]);
    assert_eq!(
        from,
        json!(["api", "127.0.0.1", "till/2.1", "step-1", null]),
        "a forwarded address is not trusted"
    );
    for event in [&items(&all)[0], &items(&all)[1], &items(&all)[3]] {
        let from =
            json!([event["channel"], event["ip"], event["user_agent"], event["request_id"], event["uid"]]);
        assert_eq!(from, json!(["cli", null, null, null, getuid().as_raw()]));
        assert_eq!(event["actor_id"], Value::Null);
    }
    assert_eq!(all["next_cursor"], Value::Null);

    let gone = shop.run(&["audit", "--user", id, "--json"]).is(0).json();
    assert_eq!(
        actions(&gone),
        ["user.deleted", "user.edited", "user.signed_up"],
        "of an account that is gone"
    );
    shop.run(&["audit", "--user", ANN]).refused("there is no user");
    let boss = shop.run(&["audit", "--user", "BOSS@example.com", "--json"]).is(0).json();
    assert_eq!(actions(&boss), ["user.created"]);
    let boss_id = items(&boss)[0]["user_id"].clone();
    let token = server.token(BOSS);
    let by_boss = shop.run(&["audit", "--actor", BOSS, "--action", "session.started", "--json"]).is(0).json();
    assert_eq!(actions(&by_boss), ["session.started"]);

    let mut all = shop.run(&["audit", "--json"]).is(0).json();
    for event in all["items"].as_array_mut().unwrap() {
        // The addresses of those who are there, which the audit itself does not keep.
        let emails =
            ["actor_email", "user_email"].map(|name| event.as_object_mut().unwrap().remove(name).unwrap());
        let email = |id: &Value| if *id == boss_id { json!(BOSS) } else { Value::Null };
        assert_eq!(emails, [email(&event["actor_id"]), email(&event["user_id"])], "{event}");
    }
    assert_eq!(server.get_as(&token, "/audit").is(200).json(), all);

    let table = shop.run(&["audit"]).is(0);
    assert!(table.out.contains("disabled: false → true") && table.out.contains("api 127.0.0.1"), "{table:?}");
    let line = |action| table.out.lines().find(|line| line.contains(action)).unwrap();
    assert_eq!(line("session.started").matches(BOSS).count(), 2, "{table:?}");
    assert!(line("user.deleted").contains(id) && !table.out.contains(ANN), "{table:?}");
    assert!(!table.out.contains(boss_id.as_str().unwrap()) && !table.out.contains(PASSWORD), "{table:?}");
}

#[test]
fn a_client_behind_a_trusted_proxy_is_who_the_proxy_says() {
    let shop = Shop::with_admin().with("SERVER__TRUSTED_PROXIES", "127.0.0.1");
    let server = shop.serve();
    let body = json!({ "email": BOSS, "password": PASSWORD });
    let headers = "X-Forwarded-For: 198.51.100.1, 192.0.2.7\r\n";
    let tokens = server.post_with(headers, "/auth/login", &body).is(200).json();
    let sessions = server.get_as(tokens["access_token"].as_str().unwrap(), "/me/sessions").is(200).json();
    assert_eq!(items(&sessions)[0]["ip"], "192.0.2.7");
    let event = shop.run(&["audit", "--limit", "1", "--json"]).is(0).json();
    assert_eq!(
        (&items(&event)[0]["ip"], &items(&event)[0]["action"]),
        (&json!("192.0.2.7"), &json!("session.started"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_reminds_who_has_a_day_left_as_soon_as_it_starts() {
    let shop = Shop::with_store();
    let clock = Clock::manual(Clock::system().now() - Duration::from_hours(25));
    let app = shop.app(clock).await;
    let draft =
        SignupDraft { email: ANN.to_owned(), password: PASSWORD.to_owned(), ..SignupDraft::default() };
    app.registration.register(draft, Origin::default()).await.unwrap();
    app.close().await;
    let server = shop.serve();
    let reminder = wait_for("the reminder", || {
        let message = server.message(ANN);
        message.contains("your account will be deleted").then_some(message)
    });
    server.post("/auth/verify", &json!({ "token": token(&reminder) })).is(200);
}

#[test]
fn the_audit_comes_in_pages() {
    let shop = Shop::with_admin();
    for role in ["admin", "user", "admin"] {
        shop.create_admin(&format!("{role}{}@example.com", shop.count("users"))).is(0);
    }
    let (mut ids, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let mut args = vec!["audit", "--limit", "3", "--json"];
        if let Some(cursor) = &cursor {
            args.extend(["--cursor", cursor]);
        }
        let page = shop.run(&args).is(0).json();
        ids.extend(items(&page).iter().map(|event| event["id"].clone()));
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = Some(next.to_owned());
    }
    let all = shop.run(&["audit", "--json"]).is(0).json();
    assert_eq!(ids, items(&all).iter().map(|event| event["id"].clone()).collect::<Vec<_>>());
    let table = shop.run(&["audit", "--limit", "2"]).is(0);
    assert!(table.out.lines().count() == 3 && table.err.contains("--cursor"), "{table:?}");
    shop.run(&["audit", "--limit", "0"]).refused("limit");
    shop.run(&["audit", "--limit", "201"]).refused("limit");
    for forged in ["", "nonsense", "12", "e1g"] {
        shop.run(&["audit", "--cursor", forged]).refused("cursor");
    }
}

#[test]
fn a_test_message_is_printed_by_the_console_transport() {
    let shop = Shop::new();
    let ran = shop.run(&["messages", "test", "--to", ANN]).is(0);
    let block = format!("--- message to {ANN} ---\nSubject: A test message from Coffee Shop\n---\n");
    assert_eq!(ran.out, block);
    assert!(ran.err.contains(ANN), "{ran:?}");
    assert!(shop.names_in(".").is_empty(), "it needs no store");
}

#[test]
fn a_test_message_to_what_is_no_address_is_refused() {
    let shop = Shop::new();
    for bad in ["ann", "", "Ann <ann@example.com>", "ann@example.com\nBcc: eve@example.com"] {
        shop.run(&["messages", "test", "--to", bad]).refused("");
    }
}

#[test]
fn a_test_message_to_a_bad_address_is_refused() {
    let ran = Shop::new().run(&["messages", "test", "--to", "ann"]).is(1);
    assert!(!ran.err.contains("The field"), "{ran:?}");
}

#[test]
fn message_files_are_readable_by_their_owner_only() {
    let shop =
        Shop::new().with("MESSAGES__TRANSPORT", "file").with("MESSAGES__FROM", "Beans <shop@beans.example>");
    let ran = shop.run(&["messages", "test", "--to", ANN]).is(0);
    assert!(ran.out.is_empty() && ran.err.contains("data/mail"), "{ran:?}");
    let server = shop.serve();
    server.sign_up(ANN).is(201);
    wait_for("the file", || (shop.names_in("data/mail").len() == 2).then_some(()));
    let ran = server.stop(Signal::TERM).is(0);
    assert!(!ran.out.contains("--- message"), "{ran:?}");
    assert_eq!((shop.count("outbox"), mode(&shop.path("data/mail"))), (0, 0o700));
    let mut verification = 0;
    for name in shop.names_in("data/mail") {
        let path = shop.path("data/mail").join(&name);
        assert!(path.extension().is_some_and(|kind| kind == "eml") && mode(&path) == 0o600, "{name}");
        let mail = fs::read_to_string(path).unwrap();
        for line in [
            "From: Beans <shop@beans.example>\r\n",
            "To: ann@example.com\r\n",
            "Auto-Submitted: auto-generated\r\n",
            "MIME-Version: 1.0\r\n",
        ] {
            assert!(mail.contains(line), "{line:?}: {mail}");
        }
        let id = name.trim_end_matches(".eml");
        assert!(mail.contains(&format!("Message-ID: <{id}@beans.example>\r\n")), "{mail}");
        verification += usize::from(mail.contains("Subject: Confirm your e-mail\r\n"));
    }
    assert_eq!(verification, 1);
}

#[test]
fn the_name_of_the_shop_is_text_in_a_mail_too() {
    let shop = Shop::new()
        .with("MESSAGES__TRANSPORT", "file")
        .with("MESSAGES__FROM", "shop@beans.example")
        .with("MESSAGES__SHOP_NAME", "<b>Beans</b> & Co");
    shop.run(&["messages", "test", "--to", ANN]).is(0);
    let name = shop.names_in("data/mail").remove(0);
    let mail = fs::read_to_string(shop.path("data/mail").join(name)).unwrap();
    let (plain, html) = mail.split_once("text/html").unwrap();
    assert!(plain.contains("<b>Beans</b> & Co"), "{mail}");
    assert!(html.contains("Beans") && !html.contains("<b>"), "{mail}");
    assert!(mail.contains("Subject: A test message from <b>Beans</b> & Co\r\n"), "{mail}");
}

#[test]
fn a_folder_that_cannot_be_written_keeps_the_message_waiting() {
    let shop = Shop::new().with("MESSAGES__TRANSPORT", "file").with("MESSAGES__FOLDER", "file/mail");
    fs::write(shop.path("file"), "not a folder").unwrap();
    shop.run(&["messages", "test", "--to", ANN]).refused("messages.folder");
    let server = shop.serve();
    server.sign_up(ANN).is(201);
    wait_for("an attempt", || {
        let listed = shop.run(&["messages", "list", "--json"]).is(0).json();
        items(&listed)[0]["last_error"].as_str().filter(|why| why.contains("messages.folder")).map(|_| ())
    });
    server.stop(Signal::TERM).is(0);
    assert_eq!(shop.count("outbox"), 1);
}

#[test]
fn a_missing_mail_server_delays_neither_start_nor_sign_up() {
    let mut shop = with_mail_at(closed_port());
    shop.create_admin(BOSS).is(0);
    let ran = shop.run(&["messages", "test", "--to", ANN]).refused("nothing answers at 127.0.0.1:");
    assert!(ran.err.contains("smtp.port"), "{ran:?}");
    let server = shop.serve();
    let start = Instant::now();
    server.sign_up(ANN).is(201);
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    server.token(ANN);
    let listed = wait_for("an attempt", || {
        let listed = shop.run(&["messages", "list", "--json"]).is(0).json();
        items(&listed)[0]["last_error"].is_string().then_some(listed)
    });
    let message = &items(&listed)[0];
    assert_eq!((&message["to"], &message["about"]), (&json!(ANN), &json!("verify_email")));
    assert_eq!(message["state"], "waiting");
    assert!(message["attempts"].as_u64() >= Some(1) && message["due_at"].is_string(), "{message}");
    assert!(!listed.to_string().contains("token"), "{listed}");
    let table = shop.run(&["messages", "list", "--state", "waiting"]).is(0);
    assert!(table.out.contains(ANN) && table.out.contains("nothing answers"), "{table:?}");
    assert_eq!(
        shop.run(&["messages", "list", "--state", "dead", "--json"]).is(0).json(),
        json!({ "items": [] })
    );

    let ran = server.stop(Signal::TERM).is(0);
    assert!(ran.err.contains("could not be sent") && !ran.err.contains(ANN), "{}", ran.err);
    shop.set("MESSAGES__TRANSPORT", "console");
    shop.set("SMTP__HOST", "");
    let one = message["id"].as_str().unwrap();
    let retried = shop.run(&["messages", "retry", one]).is(0);
    assert!(retried.out.is_empty() && retried.err.contains("retry 1 message"), "{retried:?}");
    shop.run(&["messages", "retry", UNKNOWN]).refused("does not exist");
    let server = shop.serve();
    let sent = server.message(ANN);
    server.post("/auth/verify", &json!({ "token": token(&sent) })).is(200);
    wait_for("the outbox to empty", || (shop.count("outbox") == 0).then_some(()));
    assert!(shop.run(&["messages", "retry"]).is(0).err.contains("0 messages"), "nothing waits any more");
    shop.run(&["messages", "retry", one]).refused("does not exist");
}

#[test]
fn a_mail_server_that_says_nothing_delays_no_sign_up_and_no_end() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let shop = with_mail_at(listener.local_addr().unwrap().port());
    let server = shop.serve();
    let start = Instant::now();
    server.sign_up(ANN).is(201);
    server.sign_up(BOB).is(201);
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    let (_connection, _) = listener.accept().unwrap();
    let start = Instant::now();
    server.stop(Signal::TERM).is(0);
    assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
    assert_eq!(shop.count("outbox"), 2);
}

#[test]
fn mail_settings_that_cannot_be_stop_the_start_in_one_clear_line() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = port.local_addr().unwrap().to_string();
    let good = [
        ("SERVER__LISTEN", &*listen),
        ("MESSAGES__TRANSPORT", "smtp"),
        ("MESSAGES__FROM", "Beans <shop@beans.example>"),
        ("SMTP__HOST", "mail.example"),
    ];
    let wrong: [(&[(&str, &str)], &str); 15] = [
        (&[("SMTP__HOST", "")], "smtp.host"),
        (&[("SMTP__HOST", "mail example")], "smtp.host"),
        (&[("SMTP__HOST", "mail.example\nx")], "COFFEESHOP_SMTP__HOST"),
        (&[("SMTP__SECURITY", "none")], "smtp.security"),
        (&[("SMTP__SECURITY", "ssl")], "COFFEESHOP_SMTP__SECURITY"),
        (&[("SMTP__PORT", "70000")], "COFFEESHOP_SMTP__PORT"),
        (&[("SMTP__PORT", "smtps")], "COFFEESHOP_SMTP__PORT"),
        (&[("SMTP__USERNAME", "beans")], "smtp.username"),
        (&[("SMTP__PASSWORD", "secret-of-beans")], "smtp.username"),
        (&[("SMTP__PASSWORD_FILE", "nowhere")], "COFFEESHOP_SMTP__PASSWORD_FILE"),
        (&[("SMTP__CA_FILE", "nowhere.pem")], "smtp.ca_file"),
        (&[("SMTP__TIMEOUT", "0s")], "smtp.timeout"),
        (&[("SMTP__TIMEOUT", "5m")], "smtp.timeout"),
        (&[("MESSAGES__FROM", "beans")], "messages.from"),
        (&[("MESSAGES__FROM", "")], "messages.from"),
    ];
    let mut broken = Vec::new();
    for (settings, named) in wrong {
        let mut shop = Shop::new();
        for (name, value) in good.iter().chain(settings) {
            shop.set(name, *value);
        }
        for command in [&["serve"][..], &["messages", "test", "--to", ANN]] {
            let ran = shop.start(command).ended();
            let lines: Vec<_> = ran.err.lines().filter(|line| line.starts_with("error: ")).collect();
            let is_told = matches!(lines[..], [line] if line.contains(named));
            if ran.code != Some(1) || !is_told || !ran.out.is_empty() || ran.err.contains("secret-of-beans") {
                broken.push(format!("{settings:?}, {command:?}: {ran:?}"));
            }
        }
        assert!(shop.names_in(".").is_empty(), "{settings:?} made {:?}", shop.names_in("."));
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn a_certificate_that_cannot_be_read_is_no_authority() {
    let shop = with_mail_at(closed_port()).with("SMTP__CA_FILE", "ca.pem");
    fs::write(shop.path("ca.pem"), "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n").unwrap();
    shop.run(&["messages", "test", "--to", ANN]).refused("smtp.ca_file");
}

#[test]
fn a_file_without_a_certificate_is_no_authority() {
    let shop = with_mail_at(closed_port()).with("SMTP__CA_FILE", "ca.pem");
    for text in ["", "not a certificate"] {
        fs::write(shop.path("ca.pem"), text).unwrap();
        shop.run(&["messages", "test", "--to", ANN]).refused("smtp.ca_file");
    }
}

#[test]
fn a_mail_server_is_named_without_its_port() {
    let shop = Shop::new().with("MESSAGES__TRANSPORT", "smtp").with("SMTP__HOST", "mail.example:465");
    shop.run(&["messages", "test", "--to", ANN]).refused("smtp.host");
}

#[test]
fn a_password_for_the_mail_server_is_never_shown() {
    let shop = with_mail_at(closed_port())
        .with("SMTP__USERNAME", "beans")
        .with("SMTP__PASSWORD_FILE", "password")
        .with("LOG__LEVEL", "trace");
    fs::write(shop.path("password"), "secret-of-beans\n").unwrap();
    for args in [&["config"][..], &["config", "--json"], &["messages", "test", "--to", ANN]] {
        let ran = shop.run(args);
        assert!(!ran.out.contains("secret-of-beans") && !ran.err.contains("secret-of-beans"), "{ran:?}");
    }
    let server = shop.serve();
    server.sign_up(ANN).is(201);
    let ran = server.stop(Signal::TERM).is(0);
    assert!(!ran.err.contains("secret-of-beans"), "{}", ran.err);
}
