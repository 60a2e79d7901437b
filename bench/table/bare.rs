//! The API beside a handler that always answers the same bytes, behind poem's server and behind ours: three listeners of one process and one runtime.

use std::{
    future::pending,
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use coffeeshop::{
    api,
    app::App,
    config::Config,
    domain::{Clock, Email, Origin, Password},
    http,
    messaging::ConfiguredTransport,
    server,
    store::{OpenMode, Store},
};
use poem::{EndpointExt, IntoEndpoint, Server, listener::TcpAcceptor};
use poem_openapi::{Object, OpenApi, OpenApiService, payload::Json};
use serde::Deserialize;
use tokio::net::TcpListener;
use uuid::Uuid;

use super::seed;

/// The process with both.
pub struct Pair {
    child: Child,
    /// The API, as the binary serves it.
    pub api: SocketAddr,
    /// The same answer without a check, from poem's own server.
    pub bare: SocketAddr,
    /// The same without a check, from our listener.
    pub bare_at_ours: SocketAddr,
    /// An access token.
    pub token: String,
}

impl Pair {
    /// Starts it on a store with users.
    pub fn start(database: &Path) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.arg("pair").arg(database).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let words: Vec<_> = line.split_whitespace().collect();
        let [api, bare, bare_at_ours, token] = words[..] else { panic!("the pair did not start: {line}") };
        let [api, bare, bare_at_ours] = [api, bare, bare_at_ours].map(|address| address.parse().unwrap());
        Self { child, api, bare, bare_at_ours, token: token.to_owned() }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Serves both until its input ends.
pub fn serve_both(database: &Path) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let mut config = Config::default();
        config.database.path = database.to_owned();
        config.messages.folder = database.with_file_name("mail");
        let (store, _) = Store::open(&config.database, OpenMode::RequireCurrent).await.unwrap();
        let app = App::open(&config, store, Clock::system()).await.unwrap();
        app.sessions.enable_cache().await;
        let carrier = ConfiguredTransport::new(&config).unwrap();
        let email = seed::customers().next().unwrap().email();
        let (email, password) =
            (Email::parse("", &email).unwrap(), Password::parse("", seed::PASSWORD).unwrap());
        let token = app.sessions.login(email, password, None, Origin::default()).await.unwrap().access_token;
        let actor = app.sessions.authenticate(&token, Origin::default()).await.unwrap();
        let answer: Me = serde_json::from_value(api::user_json(actor.user())).unwrap();
        let sockets = [(); 3].map(|()| std::net::TcpListener::bind("127.0.0.1:0").unwrap());
        let addresses = sockets.each_ref().map(|socket| socket.local_addr().unwrap().to_string());
        println!("{} {token}", addresses.join(" "));
        let [for_api, for_bare, for_bare_at_ours] = sockets.map(|socket| {
            socket.set_nonblocking(true).unwrap();
            TcpListener::from_std(socket).unwrap()
        });
        let service = || OpenApiService::new(Bare(answer.clone()), "", "");
        let bare = Server::new_with_acceptor(TcpAcceptor::from_tokio(for_bare).unwrap()).run(service());
        let endpoint = service().into_endpoint().map_to_response();
        let bare_at_ours = http::serve(for_bare_at_ours, &config.server, endpoint, pending(), Duration::ZERO);
        let end = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
        tokio::select! {
            served = server::run(for_api, app, carrier, &config, pending()) => served.unwrap(),
            served = bare => served.unwrap(),
            served = bare_at_ours => served.unwrap(),
            _ = end => {}
        }
    });
}

/// A user as the API shows them, with nothing but the types that JSON has.
#[derive(Clone, Object, Deserialize)]
struct Me {
    id: Uuid,
    email: String,
    #[oai(nullable)]
    first_name: Option<String>,
    #[oai(nullable)]
    last_name: Option<String>,
    role: String,
    status: String,
    disabled: bool,
    created_at: String,
    updated_at: String,
    #[oai(nullable)]
    verified_at: Option<String>,
    #[oai(nullable)]
    last_login_at: Option<String>,
    #[oai(nullable)]
    expires_at: Option<String>,
}

struct Bare(Me);

#[OpenApi]
impl Bare {
    #[oai(path = "/me", method = "get")]
    async fn me(&self) -> Json<Me> {
        Json(self.0.clone())
    }
}
