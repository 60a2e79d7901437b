//! The client that a request comes from: the peer, or the client that a trusted proxy names in `X-Forwarded-For`.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
};

use poem::{FromRequest, Request, RequestBody, http::header};

use crate::{
    config::Proxy,
    domain::{Client, Origin},
};

/// How much of a `User-Agent` is kept.
pub const MAX_USER_AGENT_CHARS: usize = 256;

/// What the middleware knows about a request.
#[derive(Clone)]
pub struct RequestInfo {
    pub id: Arc<str>,
    /// None if it did not come over the network.
    pub client: Option<IpAddr>,
}

/// Who sends a request, for rate limits and the audit.
pub struct RequestOrigin(pub Origin);

impl<'a> FromRequest<'a> for RequestOrigin {
    async fn from_request(request: &'a Request, _body: &mut RequestBody) -> poem::Result<Self> {
        Ok(Self(origin(request)))
    }
}

pub fn origin(request: &Request) -> Origin {
    let user_agent = request
        .header(header::USER_AGENT)
        .map(|agent| agent.chars().filter(|c| !c.is_control()).take(MAX_USER_AGENT_CHARS).collect());
    let info = request.data::<RequestInfo>();
    let ip = info.and_then(|info| info.client);
    let request_id = info.map(|info| Arc::clone(&info.id));
    Origin { client: Client { user_agent, ip }, request_id, ..Origin::default() }
}

/// How many peers are named in the log because their header was ignored. Some are proxies; any client can send the header.
const MAX_NAMED: usize = 8;

/// The trusted proxies, and the peers that were named in the log because they are none.
pub struct Proxies {
    trusted: Vec<Proxy>,
    named: Mutex<Vec<IpAddr>>,
}

impl Proxies {
    #[must_use]
    pub fn new(trusted: Vec<Proxy>) -> Self {
        Self { trusted, named: Mutex::default() }
    }

    /// The address of the client; none if the request did not come over the network.
    pub fn client(&self, request: &Request) -> Option<IpAddr> {
        let peer = request.remote_addr().as_socket_addr()?.ip().to_canonical();
        let lines: Vec<_> = request.headers().get_all("x-forwarded-for").iter().collect();
        if !lines.is_empty()
            && let Some(warning) = self.warning(peer)
        {
            tracing::warn!("{warning}");
        }
        let hops = lines.iter().rev().flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
        Some(client(peer, hops.map(|hop| str::from_utf8(hop).unwrap_or_default()), &self.trusted))
    }

    /// A warning for the log, the first time that a peer that is not trusted sends the header.
    fn warning(&self, peer: IpAddr) -> Option<String> {
        if self.trusted.iter().any(|proxy| proxy.contains(peer)) {
            return None;
        }
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        if named.len() >= MAX_NAMED || named.contains(&peer) {
            return None;
        }
        named.push(peer);
        let networks = self.trusted.iter().map(Proxy::to_string).chain([Proxy::from(peer).to_string()]);
        let networks: Vec<_> = networks.map(|network| format!("{network:?}")).collect();
        Some(format!(
            "X-Forwarded-For from {peer} was ignored; if that is your proxy, set server.trusted_proxies = [{}]",
            networks.join(", ")
        ))
    }
}

/// Walks from the peer outwards as long as each hop is trusted; the first that is not is the client. What is left of it in
/// `X-Forwarded-For` may be forged, and a hop that is not an address ends the walk.
fn client<'a>(peer: IpAddr, hops: impl Iterator<Item = &'a str>, proxies: &[Proxy]) -> IpAddr {
    let mut client = peer.to_canonical();
    for hop in hops {
        let is_trusted = proxies.iter().any(|proxy| proxy.contains(client));
        match address_of(hop.trim()) {
            Some(ip) if is_trusted => client = ip.to_canonical(),
            _ => break,
        }
    }
    client
}

/// Some proxies add the port.
fn address_of(hop: &str) -> Option<IpAddr> {
    let with_port = || hop.parse::<SocketAddr>().map(|address| address.ip());
    hop.parse().or_else(|_| with_port()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The client of a peer at 10.0.0.1 that sent this header, if these networks are trusted.
    fn seen(header: &str, proxies: &str) -> String {
        let variable = ("COFFEESHOP_SERVER__TRUSTED_PROXIES".into(), proxies.into());
        let config = crate::config::Config::load(None, [variable]).expect("good");
        let peer = "::ffff:10.0.0.1".parse().expect("an address");
        client(peer, header.rsplit(','), &config.server.trusted_proxies).to_string()
    }

    fn warning(proxies: &Proxies, peer: &str) -> Option<String> {
        proxies.warning(peer.parse().expect("an address"))
    }

    #[test]
    fn a_peer_that_is_not_trusted_is_named_once_with_what_to_set() {
        let trusted = ["10.0.0.0/8", "::1"].map(|text| {
            let proxy = serde_json::from_value(serde_json::Value::from(text));
            proxy.expect("a network")
        });
        let proxies = Proxies::new(trusted.to_vec());
        assert_eq!(warning(&proxies, "10.0.0.7"), None);
        let text = "X-Forwarded-For from 172.18.0.1 was ignored; if that is your proxy, set \
                       server.trusted_proxies = [\"10.0.0.0/8\", \"::1/128\", \"172.18.0.1/32\"]";
        assert_eq!(warning(&proxies, "172.18.0.1").as_deref(), Some(text));
        assert_eq!(warning(&proxies, "172.18.0.1"), None);
        let others = (0..20).filter(|number| warning(&proxies, &format!("2001:db8::{number}")).is_some());
        assert_eq!(others.count(), 7, "and eight in all");
    }

    #[test]
    fn a_header_counts_only_from_a_trusted_proxy() {
        assert_eq!(seen("192.0.2.7", ""), "10.0.0.1");
        assert_eq!(seen("192.0.2.7", "10.9.0.0/16"), "10.0.0.1");
        assert_eq!(seen("192.0.2.7", "10.0.0.0/8"), "192.0.2.7");
        assert_eq!(seen("192.0.2.7", "10.0.0.1"), "192.0.2.7");
    }

    #[test]
    fn addresses_left_of_the_client_are_not_trusted() {
        assert_eq!(seen("198.51.100.1, 192.0.2.7", "10.0.0.0/8"), "192.0.2.7");
        assert_eq!(seen("198.51.100.1, 192.0.2.7, 10.0.0.9", "10.0.0.0/8"), "192.0.2.7");
    }

    #[test]
    fn what_is_no_address_ends_the_walk() {
        assert_eq!(seen("192.0.2.7, unknown", "10.0.0.0/8"), "10.0.0.1");
        assert_eq!(seen("", "10.0.0.0/8"), "10.0.0.1");
        assert_eq!(seen("192.0.2.7, ::ffff:10.0.0.9", "10.0.0.0/8"), "192.0.2.7");
        assert_eq!(seen("192.0.2.7:x", "10.0.0.0/8"), "10.0.0.1");
    }

    #[test]
    fn a_port_behind_an_address_does_not_count() {
        assert_eq!(seen("198.51.100.1, 192.0.2.7:50123, 10.0.0.9:443", "10.0.0.0/8"), "192.0.2.7");
        assert_eq!(seen("[2001:db8::7]:443", "10.0.0.0/8"), "2001:db8::7");
    }
}
