//! The networks that rate limits count by: a client with one address of a network can usually use them all.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The network of a client: an IPv4 address, or the /64 of an IPv6 address. An IPv6 address that embeds an IPv4 address for a
/// translator or tunnel counts as that, since its /64 would hold all of IPv4.
#[must_use]
pub fn network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => embedded(ip).map_or_else(|| masked(ip, 64), IpAddr::V4),
        ip @ IpAddr::V4(_) => ip,
    }
}

/// The /48 of an IPv6 address, the usual size of a site (RFC 6177); `None` for IPv4.
#[must_use]
pub fn site(ip: IpAddr) -> Option<IpAddr> {
    match network(ip) {
        IpAddr::V6(ip) => Some(masked(ip, 48)),
        IpAddr::V4(_) => None,
    }
}

fn masked(ip: Ipv6Addr, bits: u32) -> IpAddr {
    IpAddr::V6((u128::from(ip) & (u128::MAX << (128 - bits))).into())
}

/// The IPv4 address in an IPv6 address of a NAT64 translator (RFC 6052 and RFC 8215), a 6to4 tunnel (RFC 3056), or a Teredo
/// tunnel (RFC 4380, section 4).
fn embedded(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let o = ip.octets();
    let last = [o[12], o[13], o[14], o[15]];
    let v4 = match o {
        [0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0, ..] => last,
        // The length of a local translator's prefix is unknown, but what follows the IPv4 address is zero (RFC 6052, section
        // 2.2). An IPv4 address that ends in zeros may be taken for another one, but never are all taken for one.
        [0, 0x64, 0xff, 0x9b, 0, 1, ..] if o[13..] != [0; 3] => last,
        [0, 0x64, 0xff, 0x9b, 0, 1, ..] if o[12] != 0 => [o[9], o[10], o[11], o[12]],
        [0, 0x64, 0xff, 0x9b, 0, 1, ..] if o[11] != 0 => [o[7], o[9], o[10], o[11]],
        [0, 0x64, 0xff, 0x9b, 0, 1, ..] => [o[6], o[7], o[9], o[10]],
        [0x20, 0x02, ..] => [o[2], o[3], o[4], o[5]],
        [0x20, 0x01, 0, 0, ..] => last.map(|byte| !byte),
        _ => return None,
    };
    Some(v4.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_client_is_an_ipv4_address_or_a_64_at_a_48() {
        for (of, client, its_site) in [
            ("192.0.2.1", "192.0.2.1", None),
            ("::ffff:192.0.2.1", "192.0.2.1", None),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::", Some("2001:db8:1::")),
            ("2001:db8:1:ffff::1", "2001:db8:1:ffff::", Some("2001:db8:1::")),
        ] {
            assert_eq!((network(ip(of)), site(ip(of))), (ip(client), its_site.map(ip)), "{of}");
        }
    }

    #[test]
    fn an_embedded_ipv4_address_counts_as_the_network() {
        for of in [
            "64:ff9b::192.0.2.33",
            // The examples of RFC 6052, section 2.4, under the prefix of RFC 8215.
            "64:ff9b:1:c000:2:2100::",
            "64:ff9b:1:c0:0:221::",
            "64:ff9b:1:0:c0:2:2100:0",
            "64:ff9b:1::192.0.2.33",
            "64:ff9b:1:fffe::192.0.2.33",
            "2002:c000:221::1",
            "2002:c000:221:ffff::1",
            // The example of RFC 4380 is another address; the bits of this one are inverted, too.
            "2001:0:4136:e378:8000:63bf:3fff:fdde",
        ] {
            assert_eq!((network(ip(of)), site(ip(of))), (ip("192.0.2.33"), None), "{of}");
        }
        assert_eq!(network(ip("64:ff9b:2::1")), ip("64:ff9b:2::"));
        assert_eq!(network(ip("2001:1::1")), ip("2001:1::"));
    }
}
