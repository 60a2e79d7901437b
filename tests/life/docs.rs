//! The API documentation in a browser: behind a proxy, on a phone, in dark mode, and with the token of a login.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    thread,
};

use serde_json::{Value, json};

use crate::{
    Open,
    browser::Browser,
    free_port,
    pages::WIDER_THAN_THE_WINDOW,
    shop::{PASSWORD, wait_for},
};

const CONTRAST: &str = include_str!("contrast.js");
/// Whether anything is on its way from one colour to another: the body of a function.
const FADING: &str = "return document.getAnimations().length > 0";
const ANN: &str = "ann@example.com";

/// Where the shop is for those who come by the proxy.
const PREFIX: &str = "/accounts";

/// A proxy on this port that strips a prefix from each path, as a shop with one host name may have it.
fn strip_prefix(port: u16, upstream: u16) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            // A browser may go away before its answer comes.
            thread::spawn(move || drop(pass_on(client, upstream)));
        }
    });
}

/// One request and its answer; then the connection ends.
fn pass_on(mut client: TcpStream, upstream: u16) -> std::io::Result<()> {
    let mut lines = BufReader::new(client.try_clone()?);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if lines.read_line(&mut line)? == 0 {
            return Ok(());
        }
        if line == "\r\n" {
            break;
        }
        let lower = line.to_lowercase();
        if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if !lower.starts_with("connection:") {
            head += &line;
        }
    }
    let mut body = vec![0; length];
    lines.read_exact(&mut body)?;
    let head = head.replacen(&format!(" {PREFIX}/"), " /", 1) + "Connection: close\r\n\r\n";
    let mut server = TcpStream::connect((Ipv4Addr::LOCALHOST, upstream))?;
    server.write_all(&[head.as_bytes(), &body].concat())?;
    std::io::copy(&mut server, &mut client)?;
    Ok(())
}

/// The documentation in a browser.
struct Docs<'a>(&'a Browser);

impl Docs<'_> {
    fn open(&self, url: &str) {
        self.0.open(url);
        self.wait_until("document.querySelector('.opblock') !== null");
    }

    #[track_caller]
    fn wait_until(&self, condition: &str) {
        let script = format!("return {condition}");
        wait_for(condition, || (self.0.run(&script) == json!(true)).then_some(()));
    }

    /// Opens or closes an operation.
    fn toggle(&self, operation: &str) {
        self.0.run(&format!("document.querySelector('[id$=-{operation}] .opblock-summary-control').click()"));
    }

    /// Sends an operation's request, with a body if it takes one, and waits for an answer with this status.
    #[track_caller]
    fn execute(&self, operation: &str, body: Option<&str>, status: &str) {
        self.toggle(operation);
        // The button is there before the operation is read from the document, and until then does nothing. The answers that
        // are described come with it.
        self.wait_until(&format!(
            "document.querySelector('[id$=-{operation}] .responses-wrapper .response') !== null"
        ));
        if let Some(body) = body {
            // As a person's typing looks to React.
            let script = format!(
                "const field = document.querySelector('[id$=-{operation}] textarea');
                 Object.getOwnPropertyDescriptor(HTMLTextAreaElement.prototype, 'value').set.call(field, {});
                 field.dispatchEvent(new Event('input', {{ bubbles: true }}))",
                json!(body)
            );
            self.wait_until(&format!("document.querySelector('[id$=-{operation}] textarea') !== null"));
            self.0.run(&script);
        }
        // An answer from before would be taken for this one.
        self.0.run(&format!("document.querySelector('[id$=-{operation}] .btn-clear')?.click()"));
        let answer = format!("document.querySelector('[id$=-{operation}] .live-responses-table tbody')");
        self.wait_until(&format!("{answer} === null"));
        self.0.run(&format!("document.querySelector('[id$=-{operation}] .execute').click()"));
        let script = format!("return {answer}?.innerText ?? null");
        let seen = wait_for(&format!("an answer to {operation}"), || match self.0.run(&script) {
            Value::String(seen) => Some(seen),
            _ => None,
        });
        assert!(seen.starts_with(status), "{operation}: {seen}");
        self.toggle(operation);
    }

    /// The access token that Authorize holds.
    fn token(&self) -> String {
        let held = self
            .0
            .run("return JSON.parse(localStorage.getItem('authorized') ?? '{}').access_token?.value ?? ''");
        held.as_str().unwrap().to_owned()
    }
}

#[test]
#[ignore = "needs a browser and a mail server: .ci/run starts them"]
fn authorize_holds_the_token_of_the_latest_login_behind_a_proxy() {
    let port = free_port();
    let public_url = format!("http://localhost:{port}{PREFIX}");
    let open = Open::with([("SERVER__PUBLIC_URL", public_url.clone())]);
    strip_prefix(port, open.url.rsplit(':').next().unwrap().parse().unwrap());
    open.server.sign_up(ANN).is(201);
    let browser = Browser::start();
    let docs = Docs(&browser);
    docs.open(&format!("{public_url}/docs"));
    assert_eq!(docs.token(), "");
    docs.execute("get_me", None, "401");
    let login = json!({ "email": ANN, "password": PASSWORD }).to_string();
    docs.execute("login", Some(&login), "200");
    let first = docs.token();
    assert_eq!(first.split('.').count(), 3, "{first}");
    docs.execute("get_me", None, "200");

    browser.reload();
    docs.wait_until("document.querySelector('.opblock') !== null");
    assert_eq!(docs.token(), first);
    docs.execute("get_me", None, "200");

    let tokens =
        open.server.post("/auth/login", &json!({ "email": ANN, "password": PASSWORD })).is(200).json();
    docs.execute("refresh", Some(&json!({ "refresh_token": tokens["refresh_token"] }).to_string()), "200");
    assert_ne!(docs.token(), first);
    docs.execute("logout_all", None, "204");
    assert_eq!(docs.token(), "");

    let mut asked = browser.asked_for();
    assert!(asked.contains(&format!("{public_url}/me")), "{asked:?}");
    asked.retain(|url| !url.starts_with(&format!("{public_url}/")) && !url.starts_with("data:"));
    assert_eq!(asked, [""; 0]);
    let mut complaints = browser.complaints();
    complaints.retain(|complaint| !complaint.contains("with a status of 401"));
    assert_eq!(complaints, [""; 0]);
}

#[test]
#[ignore = "needs a browser and a mail server: .ci/run starts them"]
fn the_documentation_can_be_read_on_a_phone_and_in_the_dark() {
    let open = Open::new();
    let browser = Browser::start();
    let docs = Docs(&browser);
    for (width, height, window) in [(360, 740, "phone"), (1280, 900, "desktop")] {
        browser.resize(width, height);
        docs.open(&format!("{}/docs", open.url));
        let mut grounds = Vec::new();
        for scheme in ["light", "dark"] {
            browser.prefer(scheme);
            browser.picture(&format!("docs-{window}-{scheme}"));
            grounds.push(browser.run("return getComputedStyle(document.body).backgroundColor"));
        }
        assert_ne!(grounds[0], grounds[1]);
        for operation in ["signup", "edit_user", "list_users"] {
            docs.toggle(operation);
            docs.wait_until(&format!("document.querySelector('[id$=-{operation}] .refusal') !== null"));
            // It stood 10,000 pixels tall, most of it refusals.
            let tall =
                format!("document.querySelector('[id$=-{operation}]').getBoundingClientRect().height < 3000");
            docs.wait_until(&tall);
            browser.run(&format!("document.querySelector('[id$=-{operation}] .refusal').click()"));
            docs.wait_until(&format!(
                "document.querySelectorAll('[id$=-{operation}] .refusal[aria-expanded=true] ').length === 1"
            ));
            for scheme in ["light", "dark"] {
                browser.prefer(scheme);
                // The buttons fade from one colour to another.
                wait_for("the new colours", || (browser.run(FADING) == json!(false)).then_some(()));
                assert_eq!(browser.run(CONTRAST), json!([]), "{operation} on a {window} in the {scheme}");
                browser.picture(&format!("docs-{window}-{scheme}-{operation}"));
            }
            assert_eq!(browser.run(WIDER_THAN_THE_WINDOW), json!(false), "{operation} on a {window}");
            docs.toggle(operation);
        }
    }
}
