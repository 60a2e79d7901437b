//! A whole shop in a temporary folder: a real database of its own, rules and HTTP; a clock moved by hand, and cheap hashing.

use std::{
    fmt::Debug,
    io,
    net::{IpAddr, Ipv4Addr},
    ops::Deref,
    str::FromStr,
    sync::{Arc, Mutex},
    time::Duration,
};

use coffeeshop::{
    accounts::SignupDraft,
    api, app,
    config::Config,
    core::Admin,
    domain::{AuditQuery, Clock, Timestamp, User},
    messaging::{ConsoleTransport, Worker},
    server,
    store::{OpenMode, Store},
};
use poem::{
    Body, Endpoint, EndpointExt, Request, Response,
    endpoint::BoxEndpoint,
    http::{HeaderMap, HeaderValue, Method, uri::Scheme},
    web::{LocalAddr, RemoteAddr},
};
use serde_json::{Value, json};
use tempfile::TempDir;

pub use crate::shop::PASSWORD;
use crate::{document::Document, sql::Sql};

/// 2026-11-22 09:30 in UTC, when every test starts.
pub const START: Timestamp = Timestamp::from_millis(1_795_339_800_000);

/// Where requests come from, unless a test says otherwise.
pub const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 200));

/// The shortest time that the clock knows.
pub const MOMENT: Duration = Duration::from_millis(1);

/// A shop.
pub struct App {
    nouns: app::App,
    pub clock: Clock,
    pub config: Config,
    endpoint: BoxEndpoint<'static, Response>,
    document: Document,
    pub sql: Sql,
    worker: tokio::sync::Mutex<Worker<ConsoleTransport<Printed>>>,
    printed: Printed,
    _folder: TempDir,
}

/// A test names the noun that it uses, such as `app.sessions`.
impl Deref for App {
    type Target = app::App;

    fn deref(&self) -> &Self::Target {
        &self.nouns
    }
}

/// What the console printed.
#[derive(Clone, Default)]
struct Printed(Arc<Mutex<Vec<u8>>>);

impl io::Write for Printed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A message, read from the block that the console printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    pub to: String,
    pub subject: String,
    pub code: String,
    pub link: String,
}

impl Mail {
    /// The messages in what the console printed.
    fn read(printed: &str) -> Vec<Self> {
        let blocks = printed.split("--- message to ").skip(1);
        let line = |block: &str, name: &str| {
            block.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().to_owned()
        };
        let mails = blocks.map(|block| Self {
            to: block.split(" ---").next().unwrap().to_owned(),
            subject: line(block, "Subject: "),
            code: line(block, "Code: "),
            link: line(block, "Link: "),
        });
        mails.collect()
    }

    /// The token in the link.
    pub fn token(&self) -> &str {
        self.link.split_once("?token=").unwrap().1
    }
}

impl App {
    /// A shop as it comes.
    pub async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// A shop with other settings.
    pub async fn with(change: impl FnOnce(&mut Config)) -> Self {
        Self::forgetful(change).await.remembering().await
    }

    /// A shop that remembers nothing between two requests, as where the store's version cannot be told.
    pub async fn forgetful(change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let sql = Sql::migrated(folder.path().join("data/coffeeshop.db")).await;
        Self::on(sql, folder, change).await
    }

    async fn on(sql: Sql, folder: TempDir, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::default();
        sql.configure(&mut config);
        (config.password.memory_kib, config.password.iterations) = (64, 1);
        change(&mut config);
        let sql = match sql {
            Sql::Sqlite(_) => Sql::Sqlite(config.database.path.clone()),
            postgres @ Sql::Postgres(_) => postgres,
        };
        let clock = Clock::manual(START);
        let (store, _) = Store::open(&config.database, OpenMode::CreateOrMigrate).await.unwrap();
        let app = app::App::open(&config, store, clock.clone()).await.unwrap();
        let printed = Printed::default();
        Self {
            endpoint: server::endpoint(&app, &config).map_to_response().boxed(),
            document: Document::read(),
            sql,
            worker: Worker::new(
                app.outbox.clone(),
                ConsoleTransport::new(printed.clone(), &config.messages.shop_name),
            )
            .into(),
            printed,
            nouns: app,
            clock,
            config,
            _folder: folder,
        }
    }

    /// Another shop on the same store, with other settings and a clock of its own.
    pub async fn beside(&self, change: impl FnOnce(&mut Config)) -> Self {
        let app = Self::on(self.sql.clone(), tempfile::tempdir().unwrap(), change).await;
        app.remembering().await
    }

    async fn remembering(self) -> Self {
        self.sessions.enable_cache().await;
        self
    }

    /// The one cell of a query, past every rule.
    pub fn stored<T: FromStr<Err: Debug>>(&self, sql: &str) -> T {
        self.sql.stored(sql)
    }

    /// Runs statements, past every rule.
    pub fn execute(&self, sql: &str) {
        self.sql.execute(sql);
    }

    /// An anonymous caller.
    pub fn anyone(&self) -> Caller<'_> {
        Caller { app: self, token: None, headers: Vec::new(), ip: Some(CLIENT) }
    }

    /// A caller with this access token.
    pub fn with_token(&self, token: impl Into<String>) -> Caller<'_> {
        Caller { token: Some(token.into()), ..self.anyone() }
    }

    /// A new verified user, signed in.
    pub async fn signed_in(&self, email: &str) -> Caller<'_> {
        self.sign_up(email).await;
        self.verify(email).await;
        self.log_in(email).await
    }

    /// A new user who has not verified yet, signed in.
    pub async fn unverified(&self, email: &str) -> Caller<'_> {
        self.sign_up(email).await;
        self.log_in(email).await
    }

    /// The admin `boss@example.com`, made at the console, signed in.
    pub async fn admin(&self) -> Caller<'_> {
        self.another_admin("boss@example.com").await
    }

    /// An admin, made at the console, signed in.
    pub async fn another_admin(&self, email: &str) -> Caller<'_> {
        self.make_admin(email).await;
        self.log_in(email).await
    }

    /// An admin, made at the console.
    pub async fn make_admin(&self, email: &str) -> User {
        let draft =
            SignupDraft { email: email.to_owned(), password: PASSWORD.to_owned(), ..SignupDraft::default() };
        self.registration.create_admin(&Admin::from_cli(), draft).await.unwrap()
    }

    /// Signs up; answers the user.
    pub async fn sign_up(&self, email: &str) -> Value {
        let answer =
            self.anyone().post("/auth/signup", json!({ "email": email, "password": PASSWORD })).await;
        answer.is(201).body
    }

    /// Verifies with the latest message to this address.
    pub async fn verify(&self, email: &str) -> Value {
        let token = self.mail(email).await.token().to_owned();
        self.anyone().post("/auth/verify", json!({ "token": token })).await.is(200).body
    }

    /// Logs in.
    pub async fn log_in(&self, email: &str) -> Caller<'_> {
        let tokens = self.tokens(email).await;
        self.with_token(tokens["access_token"].as_str().unwrap())
    }

    /// Logs in; answers the tokens.
    pub async fn tokens(&self, email: &str) -> Value {
        self.anyone().post("/auth/login", json!({ "email": email, "password": PASSWORD })).await.is(200).body
    }

    /// Logs in with this password.
    pub async fn log_in_with(&self, email: &str, password: &str) -> Answer {
        self.anyone().post("/auth/login", json!({ "email": email, "password": password })).await
    }

    /// Every audit event so far, oldest first, as the API shows them.
    pub async fn events(&self) -> Vec<Value> {
        let (mut events, mut query) = (Vec::new(), AuditQuery::default());
        loop {
            let page = self.audit.list(&Admin::from_cli(), query.clone()).await.unwrap();
            events.extend(page.items.into_iter().map(api::audit_json));
            query.cursor = page.next;
            if query.cursor.is_none() {
                events.reverse();
                return events;
            }
        }
    }

    /// The actions of every audit event about this user so far, oldest first.
    pub async fn actions(&self, user_id: &str) -> Vec<String> {
        let events = self.events().await;
        let about = events.iter().filter(|event| event["user_id"] == user_id);
        about.map(|event| event["action"].as_str().unwrap().to_owned()).collect()
    }

    /// Everything that the console printed so far.
    pub async fn printed(&self) -> String {
        let worker = self.worker.lock().await;
        while worker.send_due().await.unwrap() > 0 {}
        String::from_utf8(self.printed.0.lock().unwrap().clone()).unwrap()
    }

    /// Every message to this address so far, oldest first.
    pub async fn mails(&self, to: &str) -> Vec<Mail> {
        let mut mails = Mail::read(&self.printed().await);
        mails.retain(|mail| mail.to == to);
        mails
    }

    /// Every message since this was asked last; the console forgets them.
    pub async fn new_mails(&self) -> Vec<Mail> {
        let mails = Mail::read(&self.printed().await);
        self.printed.0.lock().unwrap().clear();
        mails
    }

    /// The latest message to this address.
    pub async fn mail(&self, to: &str) -> Mail {
        self.mails(to).await.pop().unwrap()
    }

    /// Moves the clock forward.
    pub fn wait(&self, time: Duration) {
        self.clock.advance(time);
    }

    /// Moves the clock forward to the last instant before `time` has passed.
    pub fn wait_nearly(&self, time: Duration) {
        self.wait(time.checked_sub(MOMENT).unwrap());
    }
}

/// A caller, who sends requests.
#[derive(Clone)]
pub struct Caller<'a> {
    app: &'a App,
    pub token: Option<String>,
    headers: Vec<(&'static str, Vec<u8>)>,
    ip: Option<IpAddr>,
}

/// An answer, which was as the document says.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    /// `null` if there is none.
    pub body: Value,
    pub bytes: Vec<u8>,
}

impl Caller<'_> {
    /// The same, with a header, of any bytes that a header may have.
    pub fn header(mut self, name: &'static str, value: impl Into<Vec<u8>>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The same, from this address.
    pub fn from(mut self, ip: &str) -> Self {
        self.ip = Some(ip.parse().unwrap());
        self
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, None).await
    }

    pub async fn post(&self, path: &str, body: impl Into<Option<Value>>) -> Answer {
        self.send(Method::POST, path, body.into()).await
    }

    pub async fn patch(&self, path: &str, body: Value) -> Answer {
        self.send(Method::PATCH, path, Some(body)).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, None).await
    }

    /// A request with a JSON body, or with none.
    pub async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        match body {
            Some(body) => {
                self.send_bytes(method, path, "application/json", body.to_string().into_bytes()).await
            }
            None => self.call(method, path, Request::builder(), Vec::new()).await,
        }
    }

    /// A request with any body.
    pub async fn send_bytes(&self, method: Method, path: &str, media_type: &str, body: Vec<u8>) -> Answer {
        self.call(method, path, Request::builder().content_type(media_type), body).await
    }

    /// A form, as a browser sends it.
    pub async fn form(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let fields: Vec<_> =
            fields.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
        let body = fields.join("&").into_bytes();
        self.send_bytes(Method::POST, path, "application/x-www-form-urlencoded", body).await
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        request: poem::RequestBuilder,
        body: impl Into<Body>,
    ) -> Answer {
        let mut request = request.method(method.clone()).uri(path.parse().unwrap());
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        for (name, value) in &self.headers {
            request = request.header(*name, HeaderValue::from_bytes(value).unwrap());
        }
        let response = self.app.endpoint.get_response(self.sent_from(request.body(body.into()))).await;
        let answer = Answer::read(response).await;
        self.app.document.allows(&method, path, &answer);
        answer
    }

    /// The request as it comes from an address.
    fn sent_from(&self, request: Request) -> Request {
        let Some(ip) = self.ip else { return request };
        let (mut head, ()) = poem::http::Request::new(()).into_parts();
        head.method = request.method().clone();
        head.uri = request.uri().clone();
        head.headers = request.headers().clone();
        let peer = poem::Addr::SocketAddr((ip, 50_000).into());
        let head = (head, LocalAddr::default(), RemoteAddr(peer), Scheme::HTTP);
        Request::from_parts(head.into(), request.into_parts().1)
    }

    /// Who this is.
    pub async fn me(&self) -> Value {
        self.get("/me").await.is(200).body
    }

    /// The id of who this is.
    pub async fn id(&self) -> String {
        self.me().await["id"].as_str().unwrap().to_owned()
    }
}

impl Answer {
    async fn read(response: Response) -> Self {
        let (parts, body) = response.into_parts();
        let bytes = body.into_vec().await.unwrap();
        let body = serde_json::from_slice(&bytes).unwrap_or_default();
        Self { status: parts.status.as_u16(), headers: parts.headers, body, bytes }
    }

    /// The answer, if it has this status.
    #[track_caller]
    pub fn is(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.body);
        self
    }

    /// The answer, if it is this refusal.
    #[track_caller]
    pub fn refused(self, status: u16, code: &str) -> Self {
        let answer = self.is(status);
        assert_eq!(answer.body["code"], code, "{}", answer.body);
        assert_eq!(answer.header("content-type"), "application/problem+json");
        assert_eq!(answer.body["status"], status);
        assert_eq!(answer.body["title"].as_str().map(str::is_empty), Some(false));
        assert_eq!(answer.body["detail"].as_str().map(str::is_empty), Some(false));
        assert_eq!(answer.body["request_id"], answer.header("x-request-id"));
        answer
    }

    /// The fields that a `422 validation_failed` names, each with its code, in order of name.
    #[track_caller]
    pub fn invalid_fields(self) -> Vec<(String, String)> {
        let answer = self.refused(422, "validation_failed");
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let errors = answer.body["errors"].as_array().unwrap();
        let mut fields: Vec<_> =
            errors.iter().map(|error| (text(&error["field"]), text(&error["code"]))).collect();
        fields.sort();
        fields
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8(self.bytes.clone()).unwrap()
    }

    /// A header, or nothing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Everything that a client could tell two answers apart by, but for the request id.
    pub fn look(&self) -> (u16, String, Vec<(String, String)>) {
        let id = self.header("x-request-id");
        let headers = self.headers.iter().filter(|(name, _)| *name != "x-request-id");
        let mut headers: Vec<_> =
            headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
        headers.sort();
        (self.status, String::from_utf8(self.bytes.clone()).unwrap().replace(id, "(id)"), headers)
    }
}

/// A text as it is written in a query string or a form.
pub fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |text, byte| text + &format!("%{byte:02X}"))
}
