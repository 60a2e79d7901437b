//! Takes connections: so many and no more, so many from one client, and none that does not get on with it.

use std::{
    collections::HashMap,
    convert::Infallible,
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use poem::{
    Endpoint, Response,
    http::uri::Scheme,
    web::{LocalAddr, RemoteAddr},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::JoinSet,
};

use super::pace::{Deadlines, Paced};
use crate::{config, model::network};

/// How much of a head is read: ours is to say that it is too long, in words, before the parser does without.
///
/// Simplified: the parser answers what is no HTTP, or longer than this, by itself and without a body. With more time the
/// connection would look for such an answer on its way out and give it a problem for a body.
const HEAD_BYTES: usize = 64 * 1024;
const HEAD_FIELDS: usize = 256;
/// The pause after the system has refused a connection, which is mostly for want of file descriptors.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// How many connections there may be.
pub struct Listener {
    socket: TcpListener,
    all: Arc<Semaphore>,
    each: usize,
    clients: Arc<Mutex<HashMap<IpAddr, usize>>>,
    /// Proxies speak for many.
    proxies: Vec<config::Proxy>,
    deadlines: Deadlines,
}

/// A connection's place among those that there may be.
struct Place {
    client: Option<IpAddr>,
    clients: Arc<Mutex<HashMap<IpAddr, usize>>>,
    _one_of_all: OwnedSemaphorePermit,
}

impl Listener {
    /// Connections to `socket`, as many as the settings allow.
    pub fn new(socket: TcpListener, settings: &config::Server) -> Self {
        Self {
            socket,
            all: Arc::new(Semaphore::new(settings.connections)),
            each: settings.connections_per_client,
            clients: Arc::default(),
            proxies: settings.trusted_proxies.clone(),
            deadlines: Deadlines {
                head: settings.head_timeout.get(),
                idle: settings.idle_timeout.get(),
                write: settings.request_timeout.get(),
            },
        }
    }

    /// Answers until `stop` says so, then finishes what came in before, for `drain` at most.
    ///
    /// # Errors
    /// If there is no socket to listen on (any more).
    pub async fn serve<E>(
        self,
        endpoint: E,
        mut stop: watch::Receiver<bool>,
        drain: Duration,
    ) -> io::Result<()>
    where
        E: Endpoint<Output = Response> + 'static,
    {
        let endpoint = Arc::new(endpoint);
        let local = self.socket.local_addr()?;
        let mut connections = JoinSet::new();
        let mut pause = FIRST_PAUSE;
        loop {
            let accepted = tokio::select! {
                accepted = self.accept() => accepted,
                Some(_) = connections.join_next() => continue,
                _ = stop.wait_for(|stop| *stop) => break,
            };
            match accepted {
                Ok(Some((stream, peer, place))) => {
                    pause = FIRST_PAUSE;
                    let stopped = stop.clone();
                    connections.spawn(answer(
                        (stream, self.deadlines),
                        local,
                        peer,
                        Arc::clone(&endpoint),
                        stopped,
                        place,
                    ));
                }
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(%error, "a connection cannot be taken");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
        drop(self.socket);
        let finished = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(drain, finished).await.is_err() {
            tracing::warn!(connections = connections.len(), "hung up on whoever was not done in time");
            connections.shutdown().await;
        }
        Ok(())
    }

    /// The next connection; none if its client has enough of them.
    async fn accept(&self) -> io::Result<Option<(TcpStream, SocketAddr, Place)>> {
        let Ok(one_of_all) = Arc::clone(&self.all).acquire_owned().await else { return Ok(None) };
        let (stream, peer) = self.socket.accept().await?;
        let is_proxy = self.proxies.iter().any(|proxy| proxy.contains(peer.ip().to_canonical()));
        let client = (!is_proxy).then(|| network(peer.ip()));
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = client {
            let has = clients.entry(client).or_default();
            if *has >= self.each {
                return Ok(None);
            }
            *has += 1;
        }
        let clients = Arc::clone(&self.clients);
        Ok(Some((stream, peer, Place { client, clients, _one_of_all: one_of_all })))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = self.client
            && let Some(has) = clients.get_mut(&client)
        {
            *has -= 1;
            if *has == 0 {
                clients.remove(&client);
            }
        }
    }
}

/// Answers the requests of one connection.
async fn answer<E: Endpoint<Output = Response> + 'static>(
    (stream, deadlines): (TcpStream, Deadlines),
    local: SocketAddr,
    peer: SocketAddr,
    endpoint: Arc<E>,
    mut stop: watch::Receiver<bool>,
    _place: Place,
) {
    let _ = stream.set_nodelay(true);
    let (stream, talk) = Paced::new(stream, deadlines);
    let service = service_fn(move |request| {
        talk.begin_request();
        let (endpoint, talk) = (Arc::clone(&endpoint), talk.clone());
        async move {
            let from = (LocalAddr(local.into()), RemoteAddr(peer.into()), Scheme::HTTP);
            let request = poem::Request::from((request, from.0, from.1, from.2));
            let answer = endpoint.get_response(request).await;
            talk.end_request();
            Ok::<_, Infallible>(poem::http::Response::from(answer))
        }
    });
    let connection = http1::Builder::new()
        .max_buf_size(HEAD_BYTES)
        .max_headers(HEAD_FIELDS)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let stopped = async {
        let _ = stop.wait_for(|stop| *stop).await;
    };
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stopped => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection broke off");
    }
}
