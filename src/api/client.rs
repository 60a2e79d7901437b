//! Where a request comes from: the peer, or whom a trusted proxy says it speaks for.

use std::{net::IpAddr, sync::Arc};

use poem::{FromRequest, Request, RequestBody, http::header};

use crate::{config::Proxy, model::Client};

/// How much of a `User-Agent` is kept.
const AGENT_CHARS: usize = 256;

/// The proxies whose word counts.
#[derive(Clone)]
pub struct TrustedProxies(pub Arc<[Proxy]>);

/// Whose request it is.
pub struct Caller(pub Client);

impl<'a> FromRequest<'a> for Caller {
    async fn from_request(request: &'a Request, _body: &mut RequestBody) -> poem::Result<Self> {
        let user_agent = request
            .header(header::USER_AGENT)
            .map(|agent| agent.chars().filter(|c| !c.is_control()).take(AGENT_CHARS).collect());
        Ok(Self(Client { user_agent, ip: address(request) }))
    }
}

/// Walks from the peer outwards as long as each hop is trusted; the first that is not is the client. What stands left
/// of it in `X-Forwarded-For` was written by anybody.
fn address(request: &Request) -> Option<IpAddr> {
    let peer = request.remote_addr().as_socket_addr()?.ip().to_canonical();
    let proxies = request.data::<TrustedProxies>();
    let is_trusted =
        |ip: &IpAddr| proxies.is_some_and(|proxies| proxies.0.iter().any(|proxy| proxy.contains(*ip)));
    let mut client = peer;
    let headers = request.headers().get_all("x-forwarded-for").into_iter().collect::<Vec<_>>();
    let hops =
        headers.iter().rev().filter_map(|value| value.to_str().ok()).flat_map(|value| value.rsplit(','));
    for hop in hops {
        if !is_trusted(&client) {
            break;
        }
        // A hop that is no address ends the walk: what is beyond it cannot be believed.
        let Ok(ip) = hop.trim().parse::<IpAddr>() else { break };
        client = ip.to_canonical();
    }
    Some(client)
}
