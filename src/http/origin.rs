//! Where a request comes from: the peer, or whom a trusted proxy says it speaks for.

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

/// What the outermost layer has found out about a request.
#[derive(Clone)]
pub struct RequestInfo {
    /// Its id.
    pub id: Arc<str>,
    /// Whom it comes from; nobody if it came by no network.
    pub client: Option<IpAddr>,
}

/// Where a request comes from.
pub struct RequestOrigin(pub Origin);

impl<'a> FromRequest<'a> for RequestOrigin {
    async fn from_request(request: &'a Request, _body: &mut RequestBody) -> poem::Result<Self> {
        Ok(Self(origin(request)))
    }
}

/// Where a request comes from.
pub fn origin(request: &Request) -> Origin {
    let user_agent = request
        .header(header::USER_AGENT)
        .map(|agent| agent.chars().filter(|c| !c.is_control()).take(MAX_USER_AGENT_CHARS).collect());
    let arrival = request.data::<RequestInfo>();
    let ip = arrival.and_then(|arrival| arrival.client);
    let request_id = arrival.map(|arrival| Arc::clone(&arrival.id));
    Origin { client: Client { user_agent, ip }, request_id, ..Origin::default() }
}

/// For how many peers the log says that what they say about clients is ignored: a few are proxies, and any client can send
/// the header.
const MOST_NAMED: usize = 8;

/// The proxies whose word about clients counts, and those peers whose word did not.
pub struct Proxies {
    trusted: Vec<Proxy>,
    named: Mutex<Vec<IpAddr>>,
}

impl Proxies {
    /// Those of the settings.
    pub fn new(trusted: Vec<Proxy>) -> Self {
        Self { trusted, named: Mutex::default() }
    }

    /// The address that a request comes from; none if it came by no network.
    pub fn client(&self, request: &Request) -> Option<IpAddr> {
        let peer = request.remote_addr().as_socket_addr()?.ip().to_canonical();
        let lines: Vec<_> = request.headers().get_all("x-forwarded-for").iter().collect();
        if !lines.is_empty()
            && let Some(warning) = self.ignored(peer)
        {
            tracing::warn!("{warning}");
        }
        let hops = lines.iter().rev().flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
        Some(client(peer, hops.map(|hop| str::from_utf8(hop).unwrap_or_default()), &self.trusted))
    }

    /// What the log is to say about a peer that sent the header and is not trusted; nothing a second time.
    fn ignored(&self, peer: IpAddr) -> Option<String> {
        if self.trusted.iter().any(|proxy| proxy.contains(peer)) {
            return None;
        }
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        if named.len() >= MOST_NAMED || named.contains(&peer) {
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

/// Walks from the peer outwards as long as each hop is trusted; the first that is not is the client. What stands left
/// of it in `X-Forwarded-For` was written by anybody, and a hop that is no address ends the walk.
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

    /// Who it is for a peer at 10.0.0.1 that sent this header, if these networks are trusted.
    fn seen(header: &str, proxies: &str) -> String {
        let variable = ("COFFEESHOP_SERVER__TRUSTED_PROXIES".into(), proxies.into());
        let config = crate::config::Config::load(None, [variable]).expect("good");
        let peer = "::ffff:10.0.0.1".parse().expect("an address");
        client(peer, header.rsplit(','), &config.server.trusted_proxies).to_string()
    }

    /// What the log says about a peer at this address that sent the header.
    fn ignored(proxies: &Proxies, peer: &str) -> Option<String> {
        proxies.ignored(peer.parse().expect("an address"))
    }

    #[test]
    fn a_peer_that_is_not_trusted_is_named_once_with_what_to_set() {
        let trusted = ["10.0.0.0/8", "::1"].map(|text| {
            let proxy = serde_json::from_value(serde_json::Value::from(text));
            proxy.expect("a network")
        });
        let proxies = Proxies::new(trusted.to_vec());
        assert_eq!(ignored(&proxies, "10.0.0.7"), None);
        let warning = "X-Forwarded-For from 172.18.0.1 was ignored; if that is your proxy, set \
                       server.trusted_proxies = [\"10.0.0.0/8\", \"::1/128\", \"172.18.0.1/32\"]";
        assert_eq!(ignored(&proxies, "172.18.0.1").as_deref(), Some(warning));
        assert_eq!(ignored(&proxies, "172.18.0.1"), None);
        let others = (0..20).filter(|number| ignored(&proxies, &format!("2001:db8::{number}")).is_some());
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
