//! Accepts connections within the limits, and has the endpoint answer the requests on them until the shutdown.

use std::{
    convert::Infallible,
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use hyper::{
    body::{Body as _, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::{
    rt::TokioIo,
    server::graceful::{GracefulShutdown, Watcher},
};
use poem::{
    Endpoint, Response, http,
    web::{LocalAddr, RemoteAddr},
};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{
    connection::{ConnectionState, Step, TimeoutStream},
    connection_limiter::{ConnectionLimiter, Permit},
};
use crate::{config, domain::network};

/// How much of a head the parser accepts. The middleware refuses less than that with problem details.
///
/// Simplified: beyond it, and for what is not HTTP, the parser answers `400` or `431` without a body. With more time the
/// connection would look for such an answer on its way out and give it a problem for a body.
const HEAD_BYTES: usize = 64 * 1024;
const HEAD_FIELDS: usize = 256;
/// The pause after a connection cannot be accepted, mostly for want of file descriptors.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Answers what comes to `socket` until `shutdown`, then finishes what came in before, for `drain` at most.
///
/// # Errors
/// If the socket has no address.
pub async fn serve(
    socket: TcpListener,
    settings: &config::Server,
    endpoint: impl Endpoint<Output = Response> + 'static,
    shutdown: impl Future<Output = ()>,
    drain: Duration,
) -> io::Result<()> {
    let (endpoint, local) = (Arc::new(endpoint), socket.local_addr()?);
    let limiter = ConnectionLimiter::new(settings);
    let (graceful, mut tasks) = (GracefulShutdown::new(), JoinSet::new());
    tasks.spawn(Arc::clone(&limiter).close_overdue());
    let accepting = async {
        loop {
            while tasks.try_join_next().is_some() {}
            let (stream, peer) = accept(&socket, &limiter).await;
            let (stream, state) = TimeoutStream::new(stream);
            if let Some(permit) = limiter.admit(client(peer, settings), &state).await {
                let (endpoint, watcher) = (Arc::clone(&endpoint), graceful.watcher());
                tasks.spawn(answer((stream, state), (local, peer), endpoint, watcher, permit));
            }
        }
    };
    tokio::select! {
        () = accepting => {},
        () = shutdown => {},
    }
    drop(socket);
    if timeout(drain, graceful.shutdown()).await.is_err() {
        tracing::warn!("closed the connections that were not done in time");
    }
    tasks.shutdown().await;
    Ok(())
}

async fn accept(socket: &TcpListener, limiter: &ConnectionLimiter) -> (TcpStream, SocketAddr) {
    let mut pause = FIRST_PAUSE;
    loop {
        match socket.accept().await {
            Ok((stream, peer)) => {
                let _ = stream.set_nodelay(true);
                return (stream, peer);
            }
            Err(_) if limiter.evict_some() => pause = FIRST_PAUSE,
            Err(error) => tracing::warn!(%error, "a connection cannot be accepted"),
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Whose limit a connection counts for: a trusted proxy passes on the requests of many clients.
fn client(peer: SocketAddr, settings: &config::Server) -> Option<IpAddr> {
    let is_proxy = settings.trusted_proxies.iter().any(|proxy| proxy.contains(peer.ip().to_canonical()));
    (!is_proxy).then(|| network(peer.ip()))
}

/// Answers the requests on one connection.
async fn answer(
    (stream, state): (TimeoutStream, ConnectionState),
    (local, peer): (SocketAddr, SocketAddr),
    endpoint: Arc<impl Endpoint<Output = Response> + 'static>,
    watcher: Watcher,
    _permit: Permit,
) {
    let service = service_fn(move |request: http::Request<Incoming>| {
        let has_body = !request.body().is_end_stream();
        state.enter(Step::Request);
        let (endpoint, state) = (Arc::clone(&endpoint), state.clone());
        async move {
            let (local, peer) = (LocalAddr(local.into()), RemoteAddr(peer.into()));
            let mut request = poem::Request::from((request, local, peer, http::uri::Scheme::HTTP));
            if has_body {
                state.enter(Step::Body); // until the body was read
                request.set_data(state.clone());
            }
            let answer = endpoint.get_response(request).await;
            state.enter(Step::Idle);
            Ok::<_, Infallible>(http::Response::from(answer))
        }
    });
    let mut http = http1::Builder::new();
    http.max_buf_size(HEAD_BYTES).max_headers(HEAD_FIELDS);
    let connection = http.serve_connection(TokioIo::new(stream), service);
    if let Err(error) = watcher.watch(connection).await {
        tracing::debug!(%error, "a connection broke off");
    }
}
