//! Concurrent clients that record what was acknowledged, to compare the database with.

use std::{
    io::{self, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use rusqlite::{Connection, OptionalExtension};
use serde_json::{Value, json};

use crate::{
    connection, random,
    shop::{PASSWORD, Reply, Server, Shop, wait_for},
};

/// What came of a request.
pub enum Done {
    Yes(Reply),
    /// The server says that nothing was changed.
    No,
    /// There is no answer.
    Perhaps,
}

/// One request on a connection of its own, to a server that may go away at any moment.
pub fn ask(
    server: SocketAddr,
    method: &str,
    path: &str,
    token: &str,
    body: Option<&Value>,
) -> io::Result<Reply> {
    ask_named(server, method, path, token, body, "guest")
}

/// The same, by this request id.
pub fn ask_named(
    server: SocketAddr,
    method: &str,
    path: &str,
    token: &str,
    body: Option<&Value>,
    id: &str,
) -> io::Result<Reply> {
    let body = body.map(Value::to_string).unwrap_or_default();
    let mut stream = TcpStream::connect_timeout(&server, Duration::from_secs(30))?;
    stream.set_read_timeout(Some(Duration::from_mins(1)))?;
    let token = if token.is_empty() { String::new() } else { format!("Authorization: Bearer {token}\r\n") };
    let request = format!(
        "{method} {path} HTTP/1.1\r\nX-Request-Id: {id}\r\nHost: {server}\r\nConnection: close\r\n\
         Content-Type: application/json\r\n{token}Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes())?;
    Reply::read(stream)
}

/// What may be true of the store; one thing, once that was acknowledged.
#[derive(Debug)]
struct Maybe<T>(Vec<T>);

impl<T: PartialEq> Maybe<T> {
    fn is(&mut self, value: T) {
        self.0 = vec![value];
    }

    fn may_be(&mut self, value: T) {
        self.0.push(value);
    }

    fn is_surely(&self, value: &T) -> bool {
        self.0.len() == 1 && self.0.contains(value)
    }
}

/// A user with an account, and every answer they got.
pub struct Guest {
    pub email: String,
    id: String,
    name: Maybe<Option<String>>,
    verified: Maybe<bool>,
    there: Maybe<bool>,
    code: Option<String>,
    pub access: String,
    pub refresh: String,
    /// Whether the session of these tokens is open.
    open: Maybe<bool>,
    /// Refresh tokens of sessions that have ended.
    dead: Vec<String>,
    acks: Vec<String>,
    /// The latest refusal.
    pub refusal: Option<Reply>,
}

impl Guest {
    /// Signs up and logs in; none if the server is gone.
    pub fn arrive(server: &Server, email: String) -> Option<Self> {
        let body = json!({ "email": email, "password": PASSWORD });
        let mut guest = Self {
            email,
            id: String::new(),
            name: Maybe(vec![None]),
            verified: Maybe(vec![false]),
            there: Maybe(vec![false, true]),
            code: None,
            access: String::new(),
            refresh: String::new(),
            open: Maybe(vec![false]),
            dead: Vec::new(),
            acks: Vec::new(),
            refusal: None,
        };
        let Done::Yes(reply) = guest.try_to(server, "POST", "/auth/signup", "", Some(&body)) else {
            return None;
        };
        reply.json()["id"].as_str().unwrap().clone_into(&mut guest.id);
        guest.there.is(true);
        guest.log_in(server);
        Some(guest)
    }

    /// One thing or another; false if the server is gone.
    pub fn do_something(&mut self, server: &Server) -> bool {
        if self.open.is_surely(&false) {
            return self.log_in(server);
        }
        match random(12) {
            0..4 => self.edit(server),
            4..8 => self.renew(server),
            8 | 9 => self.verify(server),
            10 => self.log_out(server) && self.log_in(server),
            _ if random(3) == 0 => self.delete(server),
            _ => true,
        }
    }

    /// A new name.
    pub fn edit(&mut self, server: &Server) -> bool {
        let name = format!("n{}", random(1 << 40));
        let (access, body) = (self.access.clone(), json!({ "first_name": name }));
        match self.try_to(server, "PATCH", "/me", &access, Some(&body)) {
            Done::Yes(_) => self.name.is(Some(name)),
            Done::No => {}
            Done::Perhaps => self.name.may_be(Some(name)),
        }
        self.name.0.len() == 1
    }

    /// New tokens.
    pub fn renew(&mut self, server: &Server) -> bool {
        let body = json!({ "refresh_token": self.refresh });
        match self.try_to(server, "POST", "/auth/refresh", "", Some(&body)) {
            Done::Yes(reply) => self.take_tokens(&reply.json()),
            Done::No => {}
            // The same token gives the same successor once more: the session is open either way.
            Done::Perhaps => return false,
        }
        true
    }

    pub fn verify(&mut self, server: &Server) -> bool {
        if !self.verified.is_surely(&false) {
            return true;
        }
        let Some(code) = code_of(server, &self.email) else { return true };
        let body = json!({ "email": self.email, "code": code });
        self.code = Some(code);
        // The access token comes along, so that the session goes on.
        let access = self.access.clone();
        match self.try_to(server, "POST", "/auth/verify", &access, Some(&body)) {
            Done::Yes(_) => self.verified.is(true),
            Done::No => {}
            Done::Perhaps => {
                self.verified.may_be(true);
                return false;
            }
        }
        true
    }

    pub fn log_out(&mut self, server: &Server) -> bool {
        let body = json!({ "refresh_token": self.refresh });
        match self.try_to(server, "POST", "/auth/logout", "", Some(&body)) {
            Done::Yes(_) => {
                self.open.is(false);
                self.dead.push(std::mem::take(&mut self.refresh));
            }
            Done::No => {}
            Done::Perhaps => {
                self.open.may_be(false);
                return false;
            }
        }
        true
    }

    pub fn log_in(&mut self, server: &Server) -> bool {
        if !self.open.is_surely(&false) {
            return true;
        }
        let body = json!({ "email": self.email, "password": PASSWORD });
        match self.try_to(server, "POST", "/auth/login", "", Some(&body)) {
            Done::Yes(reply) => {
                self.take_tokens(&reply.json());
                self.open.is(true);
            }
            Done::No => {}
            Done::Perhaps => return false,
        }
        true
    }

    pub fn delete(&mut self, server: &Server) -> bool {
        let (access, body) = (self.access.clone(), json!({ "current_password": PASSWORD }));
        match self.try_to(server, "DELETE", "/me", &access, Some(&body)) {
            Done::Yes(_) => {
                self.there.is(false);
                false
            }
            Done::No => true,
            Done::Perhaps => {
                self.there.may_be(false);
                false
            }
        }
    }

    fn take_tokens(&mut self, tokens: &Value) {
        let token = |name: &str| tokens[name].as_str().unwrap().to_owned();
        (self.access, self.refresh) = (token("access_token"), token("refresh_token"));
    }

    fn try_to(
        &mut self,
        server: &Server,
        method: &str,
        path: &str,
        token: &str,
        body: Option<&Value>,
    ) -> Done {
        match ask(server.address, method, path, token, body) {
            Ok(reply) if (200..300).contains(&reply.status) => {
                self.acks.push(format!("{method} {path} {}: {}", body.unwrap_or(&Value::Null), reply.status));
                Done::Yes(reply)
            }
            Ok(reply) if matches!(reply.status, 503 | 507) => {
                assert!(reply.head.contains("retry-after: "), "{reply:?}");
                assert!(reply.head.contains("application/problem+json"), "{reply:?}");
                self.refusal = Some(reply);
                Done::No
            }
            Ok(reply) => {
                panic!("{method} {path}: {reply:?}; acknowledged: {:#?}; {}", self.acks, server.logged())
            }
            Err(_) => Done::Perhaps,
        }
    }

    /// Compares the store with what was acknowledged, and goes on with what is found.
    #[track_caller]
    pub fn check(&mut self, server: &Server, sql: &Connection) {
        let query = "SELECT lower(hex(id)), status, first_name FROM users WHERE email = ?1";
        let found: Option<(String, String, Option<String>)> = sql
            .query_row(query, [&self.email], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .optional()
            .unwrap();
        let acks = format!("{}: {:#?}", self.email, self.acks);
        assert!(self.there.0.contains(&found.is_some()), "there: {}, {acks}", found.is_some());
        self.there.is(found.is_some());
        let refresh = |token: &str| {
            let body = json!({ "refresh_token": token });
            // The last of a fault may still be there.
            let tries = || ask(server.address, "POST", "/auth/refresh", "", Some(&body)).unwrap();
            std::iter::repeat_with(tries).take(5).find(|reply| ![503, 507].contains(&reply.status)).unwrap()
        };
        for token in &self.dead {
            assert_eq!(refresh(token).status, 401, "a session that was ended is open: {acks}");
        }
        let Some((id, status, name)) = found else {
            if !self.access.is_empty() {
                assert_eq!(
                    ask(server.address, "GET", "/me", &self.access, None).unwrap().status,
                    401,
                    "{acks}"
                );
            }
            return;
        };
        assert_eq!(id, self.id.replace('-', ""), "another account: {acks}");
        let verified = status == "verified";
        assert!(self.verified.0.contains(&verified), "verified: {verified}; {acks}");
        self.verified.is(verified);
        assert!(self.name.0.contains(&name), "name: {name:?} of {:?}; {acks}", self.name);
        self.name.is(name);
        if let Some(code) = self.code.as_ref().filter(|_| verified) {
            let body = json!({ "email": self.email, "code": code });
            let again = ask(server.address, "POST", "/auth/verify", "", Some(&body)).unwrap();
            assert_eq!(again.status, 400, "a code works twice: {acks}");
        }
        if self.refresh.is_empty() {
            return;
        }
        let reply = refresh(&self.refresh);
        assert!(self.open.0.contains(&(reply.status == 200)), "open: {reply:?}; {acks}");
        self.open.is(reply.status == 200);
        if reply.status == 200 {
            self.take_tokens(&reply.json());
            let me = ask(server.address, "GET", "/me", &self.access, None).unwrap().is(200).json();
            assert_eq!(me["email"], json!(self.email), "another user: {acks}");
        } else {
            self.dead.push(std::mem::take(&mut self.refresh));
        }
    }

    pub fn is_gone(&self) -> bool {
        self.there.is_surely(&false)
    }

    pub fn acknowledged(&self) -> usize {
        self.acks.len()
    }
}

/// Waits for the message with the code, and verifies.
pub fn verify_at_once(guest: &mut Guest, server: &Server) {
    wait_for("a code", || code_of(server, &guest.email));
    guest.verify(server);
    assert!(guest.verified.is_surely(&true), "{:?}", guest.acks);
}

/// The code in the latest message to an address, if it was printed.
pub fn code_of(server: &Server, email: &str) -> Option<String> {
    let printed = server.printed();
    let start = printed.rfind(&format!("--- message to {email} ---\n"))?;
    let (_, rest) = printed[start..].split_once("Code: ")?;
    rest.get(..6).map(str::to_owned)
}

/// Guests who came one after the other, and were not in a hurry.
pub fn guests(server: &Server, count: usize) -> Vec<Guest> {
    (0..count).map(|number| Guest::arrive(server, format!("guest-{number}@example.com")).unwrap()).collect()
}

/// Compares the store with what all of them were told.
#[track_caller]
pub fn check_all(guests: &mut [Guest], server: &Server, shop: &Shop) {
    let sql = connection(shop);
    for guest in guests {
        guest.check(server, &sql);
    }
    crate::is_sound(&sql);
}
