//! Takes connections: so many and no more, so many from one client, and none that does not get on with it.

use std::{
    convert::Infallible,
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use futures_util::TryStreamExt;
use hyper::{
    body::{Body as _, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use poem::{
    Body, Endpoint, Response,
    http::uri::Scheme,
    web::{LocalAddr, RemoteAddr},
};
use tokio::{net::TcpListener, sync::watch, task::JoinSet};

use super::{
    connection::{ConnectionState, Deadlines, TimeoutStream},
    connection_limiter::{ConnectionLimiter, Permit},
};
use crate::{config, domain::network};

/// How much of a head is read: ours is to say that it is too long, in words, before the parser does without.
///
/// Simplified: the parser answers what is no HTTP, or longer than this, by itself and without a body. With more time the
/// connection would look for such an answer on its way out and give it a problem for a body.
const HEAD_BYTES: usize = 64 * 1024;
const HEAD_FIELDS: usize = 256;
/// The pause after the system has refused a connection, which is mostly for want of file descriptors.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Takes connections, as many as there are limiter for.
pub struct Listener {
    socket: TcpListener,
    limiter: Arc<ConnectionLimiter>,
    /// Proxies speak for many.
    proxies: Vec<config::Proxy>,
    deadlines: Deadlines,
}

impl Listener {
    /// Connections to `socket`, as many as the settings allow.
    pub fn new(socket: TcpListener, settings: &config::Server) -> Self {
        Self {
            socket,
            limiter: ConnectionLimiter::new(settings),
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
                accepted = self.socket.accept() => accepted,
                Some(_) = connections.join_next() => continue,
                _ = stop.wait_for(|stop| *stop) => break,
            };
            match accepted {
                Ok((stream, peer)) => {
                    pause = FIRST_PAUSE;
                    let _ = stream.set_nodelay(true);
                    let (stream, state) = TimeoutStream::new(stream, self.deadlines);
                    let permit = tokio::select! {
                        permit = self.limiter.take(self.client(peer), &state) => permit,
                        _ = stop.wait_for(|stop| *stop) => break,
                    };
                    let Some(permit) = permit else { continue };
                    let stopped = stop.clone();
                    connections.spawn(answer(
                        (stream, state),
                        (local, peer),
                        Arc::clone(&endpoint),
                        stopped,
                        permit,
                    ));
                }
                Err(_) if self.limiter.evict_some() => tokio::time::sleep(FIRST_PAUSE).await,
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

    /// Who has come, unless they speak for many.
    fn client(&self, peer: SocketAddr) -> Option<IpAddr> {
        let is_proxy = self.proxies.iter().any(|proxy| proxy.contains(peer.ip().to_canonical()));
        (!is_proxy).then(|| network(peer.ip()))
    }
}

/// Answers the requests of one connection.
async fn answer<E: Endpoint<Output = Response> + 'static>(
    (stream, state): (TimeoutStream, ConnectionState),
    (local, peer): (SocketAddr, SocketAddr),
    endpoint: Arc<E>,
    mut stop: watch::Receiver<bool>,
    _place: Permit,
) {
    let service = service_fn(move |request: poem::http::Request<Incoming>| {
        let has_body = !request.body().is_end_stream();
        state.begin_request();
        let (endpoint, state) = (Arc::clone(&endpoint), state.clone());
        async move {
            let from = (LocalAddr(local.into()), RemoteAddr(peer.into()), Scheme::HTTP);
            let mut request = poem::Request::from((request, from.0, from.1, from.2));
            if has_body {
                await_body(&mut request, &state);
            }
            let answer = endpoint.get_response(request).await;
            state.end_request();
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

/// Has the conversation wait for the body of a request until that was read, or is not wanted any more.
fn await_body(request: &mut poem::Request, state: &ConnectionState) {
    state.begin_body();
    let read = Read(state.clone());
    let pieces = request.take_body().into_bytes_stream().inspect_ok(move |_| {
        let _goes_with_the_stream = &read;
    });
    request.set_body(Body::from_bytes_stream(pieces));
}

/// Says that a body was read, when it is let go of.
struct Read(ConnectionState);

impl Drop for Read {
    fn drop(&mut self) {
        self.0.begin_request();
    }
}
