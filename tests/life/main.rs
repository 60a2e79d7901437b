//! The pages behind the links, in a browser, and the whole life of an account with mails from a mail server.

#![expect(clippy::unwrap_used, reason = "a test that is surprised has failed")]

mod account;
mod browser;
mod docs;
mod mails;
mod pages;
mod web_app;
#[expect(dead_code, reason = "these tests need less of it")]
#[path = "../mail/server.rs"]
mod server;
#[expect(dead_code, reason = "these tests need less of it")]
#[path = "../it/shop.rs"]
mod shop;
#[expect(dead_code, reason = "these tests need less of it")]
#[path = "../it/sql/mod.rs"]
mod sql;

use std::{
    net::{Ipv4Addr, TcpListener},
    sync::atomic::{AtomicU16, Ordering},
};

use serde_json::{Value, json};

use self::{
    server::{Listener, Mail, MailServer},
    shop::{PASSWORD, Reply, Server, Shop, wait_for},
};

/// A shop that is open, at the address that its links name.
struct Open {
    shop: Shop,
    server: Server,
    url: String,
}

impl Open {
    /// Opens a shop with the admin `boss@example.com`, as its settings say.
    fn with(settings: impl IntoIterator<Item = (&'static str, String)>) -> Self {
        let port = free_port();
        let url = format!("http://localhost:{port}");
        let shop = Shop::with_admin()
            .with("SERVER__LISTEN", format!("127.0.0.1:{port}"))
            .with("SERVER__PUBLIC_URL", &url);
        let shop = settings.into_iter().fold(shop, |shop, (name, value)| shop.with(name, value));
        let server = shop.serve();
        Self { shop, server, url }
    }

    /// Opens one that prints its messages.
    fn new() -> Self {
        Self::with([])
    }

    /// The link in the `nth` message to this address, as soon as it is printed.
    #[track_caller]
    fn link(&self, to: &str, nth: usize) -> String {
        wait_for("a link", || {
            let printed = self.server.printed();
            let block = printed.split(&format!("--- message to {to} ---\n")).nth(nth)?;
            let (_, link) = block.split_once("\n---\n")?.0.split_once("Link: ")?;
            Some(link.to_owned())
        })
    }

    /// Signs up; answers the link.
    fn sign_up(&self, email: &str) -> String {
        self.server.sign_up(email).is(201);
        self.link(email, 1)
    }

    /// Signs up and verifies.
    fn verified(&self, email: &str) {
        let link = self.sign_up(email);
        let token = link.split_once("token=").unwrap().1;
        self.server.post("/auth/verify", &json!({ "token": token })).is(200);
    }

    /// Confirms the address that this mail came to.
    fn confirm(&self, mail: &Mail) {
        self.server.post("/auth/verify", &json!({ "token": mail.token() })).is(200);
    }

    /// Asks for a new password; answers the link, which is in the `nth` message.
    fn forgot_password(&self, email: &str, nth: usize) -> String {
        self.server.post("/auth/password/forgot", &json!({ "email": email })).is(202);
        self.link(email, nth)
    }

    /// Invites.
    fn ask_to_invite(&self, email: &str) {
        let admin = self.server.token("boss@example.com");
        self.send("POST", &admin, "/users", &json!({ "email": email })).is(201);
    }

    /// Invites; answers the link.
    fn invite(&self, email: &str) -> String {
        self.ask_to_invite(email);
        self.link(email, 1)
    }

    /// Asks for another address.
    fn ask_to_change_email(&self, old: &str, new: &str) {
        let token = self.server.token(old);
        let change = json!({ "new_email": new, "current_password": PASSWORD });
        self.send("POST", &token, "/me/email", &change).is(202);
    }

    /// Asks for another address; answers the link that went there.
    fn change_email(&self, old: &str, new: &str) -> String {
        self.ask_to_change_email(old, new);
        self.link(new, 1)
    }

    /// A request of a logged-in user.
    fn send(&self, method: &str, token: &str, path: &str, body: &Value) -> Reply {
        self.server.ask(method, path, &format!("Authorization: Bearer {token}\r\n"), Some(body)).unwrap()
    }

    /// How many accounts there are.
    fn accounts(&self) -> i64 {
        self.shop.count("users")
    }
}

/// A mail server, and who looks into the mailboxes behind it.
struct Post(MailServer);

impl Post {
    fn start() -> Self {
        Self(MailServer::start())
    }

    /// Settings for a shop that sends its mails through it.
    fn settings(&self) -> Vec<(&'static str, String)> {
        self.0.settings(Listener::StartTls)
    }

    /// The `nth` mail to this address, as soon as it is there.
    #[track_caller]
    fn mail(&self, to: &str, nth: usize) -> Mail {
        wait_for("a mail", || self.0.mails_to(to).into_iter().nth(nth - 1))
    }
}

/// A free port, outside the range of outgoing connections.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = u16::try_from(std::process::id() % 1000).unwrap() * 8;
    loop {
        let port = 11000 + (start + NEXT.fetch_add(1, Ordering::Relaxed)) % 8000;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}
