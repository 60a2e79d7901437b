//! The real server: it starts, serves, stops when asked to, and loses nothing when killed.

use std::{
    fs,
    hash::{BuildHasher, RandomState},
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::Mutex,
    thread,
    time::Duration,
};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::sqlite_only::sqlite_only;
use crate::{
    app::PASSWORD,
    shop::{Reply, Server, Shop, get_from, try_to_sign_up, wait_for},
};

#[test]
fn one_can_sign_up_read_the_message_verify_and_log_in() {
    let shop = Shop::new();
    let server = shop.serve();
    let user = server.sign_up("ann@example.com").is(201).json();
    assert_eq!((&user["status"], &user["role"]), (&json!("unverified"), &json!("user")));

    let message = server.message("ann@example.com");
    let lines: Vec<_> = message.lines().collect();
    let [_, subject, code, link] = lines[..] else { panic!("{message}") };
    assert_eq!(subject, "Subject: Confirm your e-mail");
    let code = code.strip_prefix("Code: ").unwrap();
    assert!(code.len() == 6 && code.bytes().all(|byte| byte.is_ascii_digit()), "{code}");
    assert!(link.starts_with("Link: http://localhost:8080/verify?token="), "{link}");

    let body = json!({ "email": "ann@example.com", "code": code });
    assert_eq!(server.post("/auth/verify", &body).is(200).json()["status"], "verified");
    let me = server.get_as(&server.token("ann@example.com"), "/me").is(200).json();
    assert_eq!((&me["email"], &me["status"]), (&json!("ann@example.com"), &json!("verified")));
    assert!(!server.logged().contains("ERROR"), "{}", server.logged());
}

#[test]
fn without_a_command_it_serves() {
    let shop = Shop::new();
    let server = shop.start(&[]).wait_until_it_listens();
    assert_eq!(server.get("/readyz").is(200).json(), json!({ "status": "ok" }));
}

#[test]
fn a_server_says_how_to_make_an_admin_for_as_long_as_there_is_none() {
    let shop = Shop::new();
    let hint = "coffeeshop create-admin --email";
    assert!(shop.serve().stop(Signal::TERM).err.contains(hint));
    shop.create_admin("boss@example.com").is(0);
    assert!(!shop.serve().stop(Signal::TERM).err.contains(hint));
}

#[test]
fn a_small_store_that_is_damaged_is_not_served() {
    if sqlite_only() {
        return;
    }
    let shop = Shop::with_admin();
    let damage = "PRAGMA ignore_check_constraints = ON; UPDATE users SET role = 'owner'";
    shop.sql.execute(damage);
    shop.run(&["serve"]).refused("is damaged").hint("restore");
}

#[test]
fn a_server_that_is_asked_to_stop_ends_well() {
    for signal in [Signal::TERM, Signal::INT] {
        let shop = Shop::new();
        let server = shop.serve();
        server.sign_up("ann@example.com").is(201);
        let ran = server.stop(signal).is(0);
        assert!(ran.out.contains("--- message to ann@example.com ---"), "a message was left behind: {ran:?}");
        assert!(!ran.err.contains("WARN") && !ran.err.contains("ERROR"), "{ran:?}");
        assert_eq!(shop.count("outbox"), 0);
    }
}

#[test]
fn a_request_that_came_before_the_signal_is_answered() {
    let shop = Shop::new();
    let mut server = shop.serve();
    let body = json!({ "email": "ann@example.com", "password": PASSWORD }).to_string();
    let (first, rest) = body.split_at(10);
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
    // It asks for the rest of the body only once work on the request has begun.
    let head = format!(
        "POST /auth/signup HTTP/1.1\r\nHost: shop\r\nConnection: close\r\nExpect: 100-continue\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut goes_on = [0; b"HTTP/1.1 100 Continue\r\n\r\n".len()];
    stream.read_exact(&mut goes_on).unwrap();
    stream.write_all(first.as_bytes()).unwrap();

    server.signal(Signal::TERM);
    wait_for("the port to close", || TcpStream::connect(server.address).is_err().then_some(()));
    stream.write_all(rest.as_bytes()).unwrap();
    Reply::read(stream).unwrap().is(201);

    let ran = server.ended().is(0);
    assert!(ran.out.contains("--- message to ann@example.com ---"), "{ran:?}");
    assert_eq!(shop.count("users"), 1);
}

#[test]
fn the_log_says_where_it_listens_and_never_what_is_secret() {
    let shop = Shop::new().with("LOG__LEVEL", "trace");
    let server = shop.serve();
    server.sign_up("ann@example.com").is(201);
    let message = server.message("ann@example.com");
    let token = server.token("ann@example.com");
    server.get_as(&token, "/me").is(200);
    let link = message.split_once("?token=").unwrap().1.to_owned();
    server.get(&format!("/verify?token={link}"));
    let code = message.split_once("Code: ").unwrap().1[..6].to_owned();
    let address = server.address;
    let ran = server.stop(Signal::TERM);
    assert!(ran.err.contains(&format!("http://{address}/docs")), "{}", ran.err);
    assert!(!ran.out.contains(" INFO "), "the log belongs on standard error: {}", ran.out);
    for secret in [PASSWORD, &token, &link, &format!(" {code}"), "$argon2"] {
        assert!(!ran.err.contains(secret), "{secret} is in the log: {}", ran.err);
    }
}

#[test]
fn the_log_can_be_json() {
    let shop = Shop::new().with("LOG__FORMAT", "json");
    for line in shop.serve().stop(Signal::TERM).err.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        assert!(line["message"].is_string() && line["level"].is_string(), "{line}");
    }
}

#[test]
fn the_documentation_is_served_without_any_other_server() {
    let shop = Shop::new();
    let server = shop.serve();
    let page = server.get("/docs").is(200);
    assert!(page.head.contains("content-type: text/html"), "{}", page.head);
    let script = page.body.split("src=\"").nth(1).unwrap().split('"').next().unwrap();
    assert!(server.get(&format!("/{script}")).is(200).body.contains("SwaggerUIBundle({"));
    let document = server.get("/openapi.json").is(200).json();
    assert_eq!(document, shop.run(&["openapi"]).is(0).json());
}

#[test]
fn the_health_check_succeeds_if_the_server_is_ready() {
    let mut shop = Shop::new();
    let server = shop.serve();
    shop.set("SERVER__LISTEN", server.address.to_string());
    shop.run(&["healthcheck"]).is(0);
    shop.set("SERVER__LISTEN", format!("0.0.0.0:{}", server.address.port()));
    assert_eq!(shop.run(&["healthcheck"]).is(0).out, "ok\n");
    assert_eq!(shop.run(&["healthcheck", "--json"]).is(0).json(), json!({ "status": "ok" }));
    // It listens on IPv4 alone, as on a machine without ::1.
    shop.set("SERVER__LISTEN", format!("[::]:{}", server.address.port()));
    shop.run(&["healthcheck"]).is(0);
    server.stop(Signal::TERM).is(0);
    shop.run(&["healthcheck"]).refused("does not answer");
}

#[test]
fn the_health_check_fails_if_the_server_is_not_ready() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let shop = Shop::new().with("SERVER__LISTEN", listener.local_addr().unwrap().to_string());
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut asked = Vec::new();
        // To the end of the question: a server that does not listen to all of it is cut off.
        while !asked.ends_with(b"\r\n\r\n") {
            let mut bytes = [0; 1024];
            let length = stream.read(&mut bytes).unwrap();
            asked.extend_from_slice(&bytes[..length]);
        }
        stream.write_all(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n").unwrap();
        String::from_utf8(asked).unwrap()
    });
    shop.run(&["healthcheck"]).refused("not ready: 503");
    assert!(server.join().unwrap().starts_with("GET /readyz "));
}

#[test]
fn an_idle_connection_does_not_delay_the_shutdown() {
    let shop = Shop::new();
    let server = shop.serve();
    let mut idle = TcpStream::connect(server.address).unwrap();
    idle.write_all(b"GET /healthz HTTP/1.1\r\nHost: shop\r\n\r\n").unwrap();
    assert!(idle.read(&mut [0; 1024]).unwrap() > 0);
    let _silent = TcpStream::connect(server.address).unwrap();
    server.stop(Signal::TERM).is(0);
}

#[test]
fn two_servers_that_start_at_once_on_a_fresh_folder_both_come_up() {
    let shop = Shop::new();
    let (one, other) = (shop.start(&["serve"]), shop.start(&["serve"]));
    let (one, other) = (one.wait_until_it_listens(), other.wait_until_it_listens());
    let keys = one.get("/.well-known/jwks.json").is(200).json();
    assert_eq!(keys, other.get("/.well-known/jwks.json").is(200).json());
    one.sign_up("ann@example.com").is(201);
    let token = other.token("ann@example.com");
    one.get_as(&token, "/me").is(200);
    one.stop(Signal::TERM).is(0);
    other.stop(Signal::TERM).is(0);
}

#[test]
fn a_second_server_on_the_same_port_is_refused() {
    let mut shop = Shop::new();
    let server = shop.serve();
    shop.set("SERVER__LISTEN", server.address.to_string());
    let ran = shop.start(&["serve"]).ended();
    ran.refused(&format!("cannot listen on {}", server.address)).hint("server.listen");
    server.get("/readyz").is(200);
}

#[test]
fn the_file_is_in_write_ahead_mode() {
    if sqlite_only() {
        return;
    }
    let shop = Shop::new();
    let _server = shop.serve();
    assert_eq!(shop.sql.stored::<String>("PRAGMA journal_mode"), "wal");
}

#[test]
fn nothing_that_was_acknowledged_is_lost_to_twenty_kills() {
    let shop = Shop::new();
    let (mut all, mut printed) = (Vec::new(), String::new());
    let mut latest: Vec<String> = Vec::new();
    for round in 0..20 {
        let server = shop.serve();
        for email in &latest {
            server.log_in(email).is(200);
        }
        all.append(&mut latest);
        let acknowledged = Mutex::new(Vec::new());
        thread::scope(|scope| {
            for guest in 0..4 {
                let (acknowledged, address) = (&acknowledged, server.address);
                scope
                    .spawn(move || sign_up_until_the_end(address, &format!("{round}-{guest}"), acknowledged));
            }
            let enough = usize::try_from(random(4)).unwrap();
            wait_for("sign-ups", || (acknowledged.lock().unwrap().len() >= enough).then_some(()));
            thread::sleep(Duration::from_micros(random(40_000)));
            printed += &server.kill();
        });
        latest = acknowledged.into_inner().unwrap();
    }
    all.append(&mut latest);
    assert!(all.len() >= 20, "only {} sign-ups in all", all.len());

    // Whatever a killed server had taken to send is due again when its time is up: move that forward.
    shop.sql.execute("UPDATE outbox SET due_at = 0");
    let server = shop.serve();
    wait_for("the outbox to empty", || (shop.count("outbox") == 0).then_some(()));
    printed += &server.stop(Signal::TERM).is(0).out;
    let kept = shop.sql.texts("SELECT email FROM users");
    for email in &all {
        let start = printed.find(&format!("--- message to {email} ---\n"));
        let block = start.and_then(|start| printed[start..].split_once("\n---\n"));
        assert!(block.is_some_and(|(block, _)| block.contains("Code: ")), "the message to {email} is lost");
        assert_eq!(kept.iter().filter(|kept| *kept == email).count(), 1, "{email}");
    }
    assert_eq!(shop.sql.stored::<String>(shop.sql.either("PRAGMA integrity_check", "SELECT 'ok'")), "ok");
}

/// Signs up one after the other until the server is gone, and notes what was acknowledged.
fn sign_up_until_the_end(server: SocketAddr, name: &str, acknowledged: &Mutex<Vec<String>>) {
    for number in 0.. {
        let email = format!("guest-{name}-{number}@example.com");
        match try_to_sign_up(server, &email) {
            Ok(reply) if reply.status == 201 => acknowledged.lock().unwrap().push(email),
            Ok(reply) => panic!("{reply:?}"),
            Err(_) => return,
        }
    }
}

/// A number below `end`, another one each time.
fn random(end: u64) -> u64 {
    RandomState::new().hash_one(()) % end
}

#[test]
fn a_shop_that_is_open_to_all_is_warned_of_what_is_for_trying_out() {
    let quiet = Shop::new().with("RATE_LIMIT__ENABLED", "false").serve().stop(Signal::TERM).is(0);
    assert!(!quiet.err.contains("WARN"), "{quiet:?}");
    let shop =
        Shop::new().with("SERVER__PUBLIC_URL", "https://shop.example").with("RATE_LIMIT__ENABLED", "false");
    let ran = shop.serve().stop(Signal::TERM).is(0);
    for setting in
        ["messages.transport is console", "rate_limit.enabled is false", "server.trusted_proxies is empty"]
    {
        assert_eq!(ran.err.matches(setting).count(), 1, "{ran:?}");
    }
}

#[test]
fn a_refusal_is_logged_with_the_address_of_the_client() {
    for (proxies, client) in [("", "127.0.0.1"), ("127.0.0.1", "192.0.2.7")] {
        let shop = Shop::with_admin().with("SERVER__TRUSTED_PROXIES", proxies);
        let server = shop.serve();
        server.ask("GET", "/nope", "X-Forwarded-For: 192.0.2.7\r\n", None).unwrap().is(404);
        let line = wait_for("the refusal in the log", || {
            let log = server.logged();
            log.lines().find(|line| line.contains("refused") && line.contains("/nope")).map(str::to_owned)
        });
        assert!(line.contains(&format!("client={client} ")), "{line}");
    }
}

#[test]
fn a_proxy_that_is_not_trusted_is_named_in_the_log() {
    for (trusted, named) in [("", 1), ("127.0.0.1", 0)] {
        let shop = Shop::with_admin().with("SERVER__TRUSTED_PROXIES", trusted);
        let server = shop.serve();
        for _ in 0..3 {
            server.ask("GET", "/healthz", "X-Forwarded-For: 192.0.2.7\r\n", None).unwrap().is(200);
        }
        let ran = server.stop(Signal::TERM).is(0);
        let line = "X-Forwarded-For from 127.0.0.1 was ignored; if that is your proxy, set \
                    server.trusted_proxies = [\"127.0.0.1/32\"]";
        assert_eq!(ran.err.matches(line).count(), named, "{ran:?}");
        assert_eq!(ran.err.matches("WARN").count(), named, "{ran:?}");
    }
}

#[test]
fn a_refusal_of_a_long_line_is_logged_in_short() {
    let shop = Shop::new();
    let server = shop.serve();
    server.get(&format!("/{}", "é".repeat(30_000))).is(414);
    server.ask(&"A".repeat(60_000), "/nope", "", None).unwrap().is(404);
    for (start, status) in [("/éééé", "status=414"), ("AAAA", "status=404")] {
        let line = wait_for("the refusal in the log", || {
            let log = server.logged();
            log.lines().find(|line| line.contains(status)).map(str::to_owned)
        });
        assert!(line.contains(start) && line.len() < 600, "{line}");
    }
}

/// A server whose log goes through a pipe: read until it listens, and then by this line of shell.
fn logging_to(shop: &Shop, reader: &str) -> Server {
    let reader = format!("{{ sed -u /Swagger/q; {reader}; }} <log >&2 &");
    let line = format!("mkfifo log go; {reader} exec \"$0\" serve 2>log");
    shop.start_in_shell(&line).wait_until_it_listens()
}

#[test]
fn an_unread_log_blocks_no_request_and_reports_lost_lines() {
    let shop = Shop::new();
    let mut server = logging_to(&shop, "cat go; cat");
    for _ in 0..2_000 {
        server.get("/nope").is(404);
    }
    server.sign_up("ann@example.com").is(201);
    fs::write(shop.path("go"), "").unwrap();
    let seen = |log: &str| log.matches("refused").count();
    wait_for("each line, or word of its loss", || {
        let log = server.logged();
        let (_, lost) = log.rsplit_once("lost=")?;
        let lost: usize = lost.split_whitespace().next()?.parse().ok()?;
        (lost > 500 && seen(&log) + lost >= 2_000).then_some(())
    });
    let before = seen(&server.logged());
    server.get("/nope").is(404);
    wait_for("the next refusal", || (seen(&server.logged()) > before).then_some(()));
    server.signal(Signal::TERM);
    server.ended().is(0);
}

#[test]
fn an_unread_log_does_not_keep_a_server_from_stopping() {
    let shop = Shop::new();
    let mut server = logging_to(&shop, "cat go; cat");
    for _ in 0..2_000 {
        server.get("/nope").is(404);
    }
    server.signal(Signal::TERM);
    let stat = format!("/proc/{}/stat", server.pid().as_raw_nonzero());
    wait_for("its end", || fs::read_to_string(&stat).unwrap().contains(") Z ").then_some(()));
    fs::write(shop.path("go"), "").unwrap();
    server.ended().is(0);
}

#[test]
fn a_log_whose_reader_is_gone_blocks_no_request() {
    let shop = Shop::new();
    let mut server = logging_to(&shop, "true");
    for _ in 0..100 {
        server.get("/nope").is(404);
    }
    server.sign_up("ann@example.com").is(201);
    server.signal(Signal::TERM);
    server.ended().is(0);
}

/// The line of a log that says this, as soon as it is there.
fn line(server: &Server, says: &str) -> String {
    wait_for(says, || server.logged().lines().find(|line| line.contains(says)).map(str::to_owned))
}

#[test]
fn the_first_line_of_the_log_says_what_starts_and_where() {
    let shop = Shop::new().with("MESSAGES__TRANSPORT", "file").with("MESSAGES__FROM", "a@shop.example");
    let folder = fs::canonicalize(shop.path(".")).unwrap().display().to_string();
    fs::write(shop.path("config.toml"), "[log]\nlevel = \"info\"").unwrap();
    let ran = shop.serve().stop(Signal::TERM);
    let line = ran.err.lines().next().unwrap();
    let version = env!("CARGO_PKG_VERSION");
    for part in [
        "coffeeshop starts".to_owned(),
        format!("version=\"{version}\" engine=\"{}", shop.sql.either("SQLite 3.", "PostgreSQL")),
        format!("database={} settings={folder}/config.toml transport=file", shop.sql.place()),
    ] {
        assert!(line.contains(&part), "{part}: {line}");
    }

    let shop = Shop::new().with("LOG__FORMAT", "json");
    let ran = shop.serve().stop(Signal::TERM);
    let line: Value = serde_json::from_str(ran.err.lines().next().unwrap()).unwrap();
    assert_eq!((&line["message"], &line["version"]), (&json!("coffeeshop starts"), &json!(version)));
    assert_eq!((&line["transport"], &line["settings"]), (&json!("console"), &Value::Null));
    assert_eq!(line["database"], shop.sql.place());
}

#[test]
fn a_refusal_is_logged_with_its_code_and_a_short_duration() {
    let text = Shop::new();
    let server = text.serve();
    server.get("/me").is(401);
    let refused = line(&server, "refused");
    assert!(refused.contains(" status=401 code=\"invalid_token\" took_ms="), "{refused}");
    let (_, took) = refused.split_once("took_ms=").unwrap();
    let took = took.split(' ').next().unwrap();
    assert!(took.split_once('.').is_none_or(|(_, decimals)| decimals.len() <= 3), "{refused}");

    let shop = Shop::new().with("LOG__FORMAT", "json");
    let server = shop.serve();
    server.get("/nope").is(404);
    let refused: Value = serde_json::from_str(&line(&server, "refused")).unwrap();
    assert_eq!((&refused["status"], &refused["code"]), (&json!(404), &json!("not_found")));
    let took = refused["took_ms"].as_f64().unwrap();
    assert!(took.to_string().len() <= format!("{took:.3}").len(), "{refused}");
}

#[test]
fn a_hangup_ends_nothing_and_drops_no_request() {
    let shop = Shop::with_admin();
    let mut server = shop.serve();
    let token = server.token("boss@example.com");
    let address = server.address;
    thread::scope(|scope| {
        let clients: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(move || {
                    let answers = (0..100).map(|_| get_from(address, "/healthz"));
                    answers.filter(|answer| answer.as_ref().is_ok_and(|reply| reply.status == 200)).count()
                })
            })
            .collect();
        for _ in 0..20 {
            server.signal(Signal::HUP);
            thread::sleep(Duration::from_millis(5));
        }
        for client in clients {
            assert_eq!(client.join().unwrap(), 100);
        }
    });
    // A key that the command line has made counts without delay.
    shop.run(&["keys", "rotate", "--emergency", "--yes"]).is(0);
    server.signal(Signal::HUP);
    line(&server, "SIGHUP: reloaded the signing keys");
    server.get_as(&token, "/me").is(401);
    server.token("boss@example.com");
    server.stop(Signal::TERM).is(0);
}
