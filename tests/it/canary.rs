//! Canaries: unique secrets go through every operation and command of the real binary, at the most verbose log level;
//! afterwards they are only where they must be.

use std::{
    cell::RefCell,
    fs,
    io::Write,
    os::unix::process::CommandExt,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use aws_lc_rs::digest::{SHA256, digest};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::{
    app::encoded,
    shop::{Reply, Server, Shop},
    sql::Sql,
};

const BOSS: &str = "boss@example.com";
const ANN: &str = "ann@example.com";
const NEW: &str = "anna@example.org";
const INVITED: &str = "cleo@example.com";

/// Everything that must not be found, with what it is.
#[derive(Default)]
struct Secrets(Vec<(String, String)>);

impl Secrets {
    /// A new password, with everything that changes its spelling elsewhere.
    fn password(&mut self, of: &str) -> String {
        let number = self.0.len();
        let password = format!("cänary{number} \"Zq7{}\" wörbles+%", of.replace(['@', '.'], "W"));
        self.add("a password", &password);
        password
    }

    fn add(&mut self, what: &str, secret: &str) {
        if !secret.is_empty() && !self.0.iter().any(|(_, known)| known == secret) {
            self.0.push((what.to_owned(), secret.to_owned()));
        }
    }

    /// Both tokens of an answer, and what in them is secret by itself.
    fn tokens(&mut self, reply: &Reply) -> (String, String) {
        let body = reply.json();
        let mut note = |name: &str| {
            let token = body[name].as_str().unwrap().to_owned();
            self.add(name, &token);
            self.add(&format!("the signature of an {name}"), token.rsplit('.').next().unwrap());
            token
        };
        let (access, refresh) = (note("access_token"), note("refresh_token"));
        let claims = URL_SAFE_NO_PAD.decode(refresh.split('.').nth(1).unwrap()).unwrap();
        let claims: Value = serde_json::from_slice(&claims).unwrap();
        self.add("the jti of a refresh token", claims["jti"].as_str().unwrap());
        (access, refresh)
    }

    /// The code and the token of the latest message to an address.
    fn message(&mut self, server: &Server, to: &str) -> (String, String) {
        let message = server.message(to);
        let after = |name: &str| {
            message.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().to_owned()
        };
        let (code, link) = (after("Code: "), after("Link: "));
        let token = link.split_once("token=").map_or("", |(_, token)| token).to_owned();
        self.add("a code", &code);
        self.add("a token in a link", &token);
        (code, token)
    }

    /// What of them is in these bytes, and how it is written there.
    fn found_in(&self, bytes: &[u8]) -> Vec<String> {
        // By their first two bytes, so that the bytes are gone through once for all of them.
        let mut patterns = vec![Vec::new(); 1 << 16];
        for (what, secret) in &self.0 {
            for (how, pattern) in spellings(secret) {
                patterns[start_of(&pattern)].push((what, secret, how, pattern));
            }
        }
        let mut found = Vec::new();
        for at in 0..bytes.len().saturating_sub(1) {
            for (what, secret, how, pattern) in &patterns[start_of(&bytes[at..])] {
                let is_hit = bytes[at..].starts_with(pattern);
                if is_hit && (secret.len() != 6 || stands_alone(bytes, at, pattern.len())) {
                    found.push(format!("{what} ({secret}) {how}"));
                }
            }
        }
        found
    }
}

fn start_of(bytes: &[u8]) -> usize {
    usize::from(bytes[0]) << 8 | usize::from(bytes[1])
}

/// Six digits are found in many a number: only those that stand alone, and are no fraction, count as a code.
fn stands_alone(bytes: &[u8], at: usize, length: usize) -> bool {
    let before = at.checked_sub(1).map_or(b' ', |before| bytes[before]);
    let after = bytes.get(at + length).copied().unwrap_or(b' ');
    !before.is_ascii_alphanumeric() && before != b'.' && !after.is_ascii_alphanumeric()
}

/// The ways in which a secret could be written somewhere.
fn spellings(secret: &str) -> Vec<(&'static str, Vec<u8>)> {
    let bytes = secret.as_bytes();
    let hash = digest(&SHA256, bytes);
    let hex = |bytes: &[u8]| bytes.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
    let json = json!(secret).to_string();
    let mut all = vec![
        ("as it is", bytes.to_vec()),
        ("in JSON", json.as_bytes()[1..json.len() - 1].to_vec()),
        ("debugged", format!("{secret:?}").trim_matches('"').as_bytes().to_vec()),
        ("in hex", hex(bytes).into_bytes()),
        ("in HEX", hex(bytes).to_uppercase().into_bytes()),
        ("in a URL, each byte", encoded(secret).into_bytes()),
        ("as numbers", format!("{bytes:?}").trim_matches(['[', ']']).as_bytes().to_vec()),
    ];
    let form = serde_urlencoded::to_string([("x", secret)]).unwrap()[2..].to_owned();
    all.push(("in a URL", form.replace('+', "%20").into_bytes()));
    all.push(("in a form", form.into_bytes()));
    // In base64 the bytes before it move it: what of it does not depend on its neighbours.
    for (shift, how) in
        ["in base64", "in base64 after one byte", "in base64 after two bytes"].iter().enumerate()
    {
        let shifted = [&[0; 2][..shift], bytes].concat();
        let text = STANDARD.encode(&shifted);
        let whole = &text[(shift * 8).div_ceil(6)..(shifted.len() * 8) / 6];
        all.push((how, whole.as_bytes().to_vec()));
        all.push((how, whole.replace('+', "-").replace('/', "_").into_bytes()));
    }
    // What is short enough to be guessed must not lie there as a plain hash, either.
    if secret.len() == 6 {
        all.push(("hashed", hash.as_ref().to_vec()));
        all.push(("hashed in hex", hex(hash.as_ref()).into_bytes()));
        all.push(("hashed in base64", URL_SAFE_NO_PAD.encode(hash).into_bytes()));
    }
    all
}

/// Answers that are refusals, all in one.
#[derive(Default)]
struct Refusals(RefCell<String>);

impl Refusals {
    fn note(&self, reply: &Reply) {
        if reply.status >= 400 {
            let mut all = self.0.borrow_mut();
            *all += &reply.head;
            *all += &reply.body;
            all.push('\n');
        }
    }
}

/// Everything below a folder, file by file.
fn files_in(folder: &Path) -> Vec<(String, Vec<u8>)> {
    fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read(path).unwrap()))
        .collect()
}

#[test]
#[expect(clippy::too_many_lines, reason = "one life, told from its beginning to its end")]
fn a_canary_is_found_nowhere() {
    let mut secrets = Secrets::default();
    let refusals = Refusals::default();
    let boss_password = secrets.password(BOSS);
    let mut shop = Shop::new().with("LOG__LEVEL", "trace");
    let smtp = secrets.password("smtp");
    fs::write(shop.path("smtp-password"), &smtp).unwrap();
    shop.set("SMTP__PASSWORD_FILE", shop.path("smtp-password").to_str().unwrap());
    shop.set("SMTP__USERNAME", "shop");
    let made =
        shop.run_with_input(&["create-admin", "--email", BOSS, "--password-stdin"], boss_password.as_str());
    let mut said = made.is(0).err;
    secrets.add("the installation secret", &shop.sql.secret_as_text());

    let server = shop.serve();
    let ann_password = secrets.password(ANN);
    let wrong = secrets.password("unknown");
    let (again, last) = (secrets.password("again"), secrets.password("last"));
    let post = |path: &str, body: &Value| {
        let reply = server.post(path, body);
        refusals.note(&reply);
        reply
    };

    // The life of an account, by every operation that takes or gives a secret.
    post("/auth/signup", &json!({ "email": ANN, "password": ann_password })).is(201);
    let (_, first_token) = secrets.message(&server, ANN);
    post("/auth/verify/resend", &json!({ "email": ANN })).is(202);
    crate::shop::wait_for("another message", || {
        (secrets.message(&server, ANN).1 != first_token).then_some(())
    });
    let (code, _) = secrets.message(&server, ANN);
    post("/auth/verify", &json!({ "email": ANN, "code": "000000" })).is(400);
    post("/auth/verify", &json!({ "token": first_token })).is(400);
    post("/auth/verify", &json!({ "email": ANN, "code": code })).is(200);
    post("/auth/login", &json!({ "email": ANN, "password": wrong })).is(401);
    post("/auth/login", &json!({ "email": "unknown@example.com", "password": wrong })).is(401);
    let login = post("/auth/login", &json!({ "email": ANN, "password": ann_password })).is(200);
    let (_, refresh) = secrets.tokens(&login);
    let (access, second) =
        secrets.tokens(&post("/auth/refresh", &json!({ "refresh_token": refresh })).is(200));
    let bearer = format!("Authorization: Bearer {access}\r\n");
    let as_ann =
        |method: &str, path: &str, body: Option<&Value>| server.ask(method, path, &bearer, body).unwrap();
    let change = json!({ "current_password": wrong, "new_password": again });
    refusals.note(&as_ann("POST", "/me/password", Some(&change)).is(401));
    let change = json!({ "current_password": ann_password, "new_password": again });
    as_ann("POST", "/me/password", Some(&change)).is(204);
    as_ann("POST", "/me/email", Some(&json!({ "new_email": NEW, "current_password": again }))).is(202);
    secrets.message(&server, ANN);
    let (_, moving) = secrets.message(&server, NEW);
    as_ann("GET", "/me/export", None).is(200);
    as_ann("GET", "/me/sessions", None).is(200);

    // The pages, and links that are followed.
    server.get(&format!("/verify?token={moving}")).is(200);
    server.get(&format!("/reset?token={moving}")).is(200);
    refusals.note(&server.get(&format!("/auth/verify?token={moving}&password={}", encoded(&again))));
    refusals.note(&server.get(&format!("/me?access_token={access}")).is(401));
    refusals.note(&server.get(&format!("/users?q={}", encoded(&again))).is(401));
    post("/auth/verify", &json!({ "token": moving })).is(200);

    // Secrets in the wrong place and in broken bodies.
    for body in [
        format!("{{\"email\":\"{ANN}\",\"password\":{}", json!(again)),
        format!("{{\"email\":{},\"password\":5}}", json!(again)),
        format!("{{\"email\":\"{ANN}\",\"password\":[{}]}}", json!(again)),
        format!("{{\"email\":\"{ANN}\",\"password\":{{\"x\":{}}}}}", json!(again)),
        format!("{{\"email\":\"{ANN}\",\"password\":{0},\"password\":{0}}}", json!(again)),
        format!(
            "{{\"email\":\"{ANN}\",\"password\":{0},\"new_password\":{0},\"first_name\":{0}}}",
            json!(again)
        ),
        json!(again).to_string(),
        format!("email={ANN}&password={}", encoded(&again)),
    ] {
        for path in ["/auth/signup", "/auth/login", "/auth/password/reset"] {
            let reply = raw(&server, path, &body);
            refusals.note(&reply);
            assert!(reply.status >= 400, "{reply:?}");
        }
    }
    for header in [
        format!("Authorization: Bearer {second}\r\n"),
        format!("Authorization: Basic {}\r\n", STANDARD.encode(format!("{ANN}:{again}"))),
        format!("Authorization: Bearer {access}x\r\n"),
        format!("Cookie: token={access}; password={}\r\n", encoded(&again)),
        format!("Proxy-Authorization: Bearer {access}\r\n"),
    ] {
        refusals.note(&server.ask("GET", "/me", &header, None).unwrap().is(401));
    }
    refusals.note(&refused(&server, "/auth/refresh", &json!({ "refresh_token": format!("{second}x") })));
    refusals.note(&refused(&server, "/auth/refresh", &json!({ "refresh_token": [second] })));
    refusals.note(&refused(&server, "/auth/verify", &json!({ "token": format!("{moving}{moving}") })));
    server.post("/auth/logout", &json!({ "refresh_token": second })).is(204);

    // A forgotten password, and an invitation.
    server.post("/auth/password/forgot", &json!({ "email": NEW })).is(202);
    crate::shop::wait_for("a message", || {
        let reset = secrets.message(&server, NEW).1;
        (reset != moving && !reset.is_empty()).then_some(())
    });
    let (reset_code, reset) = secrets.message(&server, NEW);
    let weak = json!({ "token": reset, "new_password": "password" });
    refusals.note(&server.post("/auth/password/reset", &weak).is(422));
    server.post("/auth/password/reset", &json!({ "token": reset, "new_password": last })).is(204);
    let used = json!({ "email": NEW, "code": reset_code, "new_password": last });
    refusals.note(&server.post("/auth/password/reset", &used).is(400));
    let login = server.post("/auth/login", &json!({ "email": BOSS, "password": boss_password })).is(200);
    let (boss, _) = secrets.tokens(&login);
    let boss = format!("Authorization: Bearer {boss}\r\n");
    server.ask("POST", "/users", &boss, Some(&json!({ "email": INVITED }))).unwrap().is(201);
    secrets.message(&server, INVITED);
    for path in ["/users", "/audit", "/users?q=cänary"] {
        let path = if path.is_ascii() { path.to_owned() } else { format!("/users?q={}", encoded("cänary")) };
        let reply = server.ask("GET", &path, &boss, None).unwrap().is(200);
        assert_eq!(secrets.found_in(reply.body.as_bytes()), [""; 0], "{path}");
    }

    // The commands, of which one gives a link because that is what it is asked for.
    let link = shop.run(&["users", "reset-password", NEW]).is(0);
    said += &link.err;
    let token = link.out.split_once("token=").unwrap().1;
    let end = token.find(|c: char| !(c.is_ascii_alphanumeric() || "-_".contains(c))).unwrap_or(token.len());
    secrets.add("a token in a link", &token[..end]);
    for args in [
        &["config"][..],
        &["audit", "--json"],
        &["audit"],
        &["messages", "list", "--json"],
        &["users", "list", "--json"],
        &["users", "show", NEW],
        &["users", "sessions", NEW],
        &["keys", "list", "--json"],
        &["purge", "--dry-run"],
        &["--help"],
    ] {
        let ran = shop.run(args);
        assert_eq!(secrets.found_in(ran.out.as_bytes()), [""; 0], "{args:?}");
        said += &ran.err;
    }
    said += &seen_from_outside(&shop, &mut secrets);

    // Nothing of it anywhere, while the server runs and when it has ended.
    assert!(secrets.0.len() > 20, "{}", secrets.0.len());
    assert_eq!(secrets.found_in(refusals.0.borrow().as_bytes()), [""; 0], "in refusals");
    assert!(refusals.0.borrow().lines().count() > 40);
    let look = |when: &str| {
        let files = match shop.sql {
            Sql::Sqlite(_) => files_in(&shop.path("data")),
            Sql::Postgres(_) => vec![("the database".to_owned(), shop.sql.dump())],
        };
        for (name, bytes) in &files {
            let mut found = secrets.found_in(bytes);
            if name == "coffeeshop.secret" {
                found.retain(|found| !found.starts_with("the installation secret"));
            }
            assert_eq!(found, [""; 0], "in {name} {when}");
        }
        files.len()
    };
    let files = if let Sql::Sqlite(_) = shop.sql { 5 } else { 1 };
    assert_eq!(look("of a running server"), files, "database, log, index, reserve, secret");
    let ended = server.stop(Signal::TERM).is(0);
    look("of a stopped server");
    assert!(ended.err.contains("TRACE") || ended.err.contains("DEBUG"), "it talks");
    // Where they must be they are: on the console, which is the transport here.
    for what in ["a code", "a token in a link"] {
        let found = secrets.found_in(ended.out.as_bytes());
        assert!(found.iter().any(|found| found.starts_with(what)), "{what}");
    }
    said += &ended.err;
    assert_eq!(secrets.found_in(said.as_bytes()), [""; 0], "in the log");
}

/// A request that is refused.
fn refused(server: &Server, path: &str, body: &Value) -> Reply {
    let reply = server.post(path, body);
    assert!(reply.status >= 400, "{reply:?}");
    reply
}

/// A request with a body that may be no JSON.
fn raw(server: &Server, path: &str, body: &str) -> Reply {
    let mut stream = std::net::TcpStream::connect(server.address).unwrap();
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).unwrap();
    Reply::read(stream).unwrap()
}

/// What others on the machine can see of a command while it takes a password; answers what it said.
fn seen_from_outside(shop: &Shop, secrets: &mut Secrets) -> String {
    let password = secrets.password("outside");
    let mut child = Command::new(env!("CARGO_BIN_EXE_coffeeshop"))
        .arg0("coffeeshop")
        .args(["create-admin", "--email", "other@example.com", "--password-stdin"])
        .current_dir(shop.path(""))
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut seen = Vec::new();
    let id = child.id();
    let proc = |name: &str| fs::read(format!("/proc/{id}/{name}")).unwrap_or_default();
    let mut keys = child.stdin.take().unwrap();
    thread::sleep(Duration::from_millis(50));
    keys.write_all(password.as_bytes()).unwrap();
    drop(keys);
    for _ in 0..40 {
        for name in ["cmdline", "environ", "comm", "status"] {
            seen.extend(proc(name));
        }
        thread::sleep(Duration::from_millis(1));
    }
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8_lossy(&seen).contains("create-admin"));
    assert_eq!(secrets.found_in(&seen), [""; 0], "in /proc");
    assert_eq!(secrets.found_in(&output.stdout), [""; 0]);
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn a_canary_would_be_found_in_every_spelling() {
    let mut secrets = Secrets::default();
    let password = secrets.password("cli");
    for before in ["", "x", "xy", "xyz"] {
        for text in [
            format!("{before}{password}!"),
            json!({ before: password }).to_string(),
            format!("{:?}", (before, &password)),
            STANDARD.encode(format!("{before}{password}!")),
            URL_SAFE_NO_PAD.encode(format!("{before}{password}")),
            format!("{before}={}", encoded(&password)),
            serde_urlencoded::to_string([(before, &password)]).unwrap(),
            format!("{:?}", format!("{before}{password}!").as_bytes()),
            format!(
                "{before}{}",
                password.bytes().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
            ),
        ] {
            assert_ne!(secrets.found_in(text.as_bytes()), [""; 0], "{text}");
        }
    }
    secrets.add("a code", "123456");
    assert_eq!(secrets.found_in(b"took 0.123456 ms, 1234567, a123456"), [""; 0]);
    assert_ne!(secrets.found_in(b"code=123456;"), [""; 0]);
}

#[test]
fn a_server_that_is_killed_leaves_no_image_of_its_memory() {
    let shop = Shop::with_store();
    let mut server = shop.serve();
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", server.pid().as_raw_nonzero())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().collect::<Vec<_>>()[4..6], ["0", "0"], "{core}");
    server.signal(Signal::QUIT);
}
