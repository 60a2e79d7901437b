//! Origins of web pages and apps, in the form in which browsers write them.

use std::{
    borrow::Cow,
    fmt,
    net::{Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use idna::AsciiDenyList;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Stands for one or more labels at the start of a host.
const ANY: &str = "*.";

/// An origin whose scripts may read responses (RFC 6454): one, or with `*.` all subdomains of a domain.
///
/// Normalized as browsers send it, so that comparing bytes is enough: scheme and host in lower case, letters beyond ASCII in
/// Punycode (UTS 46), no port where it is the default of the scheme.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowedOrigin(String);

impl AllowedOrigin {
    /// Whether this matches the value of an `Origin` header.
    #[must_use]
    pub fn allows(&self, origin: &[u8]) -> bool {
        let Some((scheme, domain)) = self.0.split_once(ANY) else { return self.0.as_bytes() == origin };
        let subdomain = origin.strip_prefix(scheme.as_bytes()).and_then(|rest| {
            let rest = rest.strip_suffix(domain.as_bytes())?;
            rest.strip_suffix(b".")
        });
        let is_label = |label: &[u8]| {
            !label.is_empty() && label.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(byte))
        };
        subdomain.is_some_and(|labels| labels.split(|byte| *byte == b'.').all(is_label))
    }
}

/// A text is not an origin that a browser sends.
#[derive(Debug, thiserror::Error)]
#[error("{text} is no origin such as https://shop.example or capacitor://localhost: {why}")]
pub struct NoOrigin {
    text: String,
    why: &'static str,
}

impl FromStr for AllowedOrigin {
    type Err = NoOrigin;

    fn from_str(text: &str) -> Result<Self, NoOrigin> {
        origin(text).map(Self).map_err(|why| NoOrigin { text: text.to_owned(), why })
    }
}

impl fmt::Display for AllowedOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for AllowedOrigin {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for AllowedOrigin {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

fn origin(text: &str) -> Result<String, &'static str> {
    match text {
        "*" => return Err("name each origin; *. covers the subdomains of a domain"),
        "null" => return Err("it is what every sandboxed page and local file sends"),
        _ => {}
    }
    let (scheme, rest) = text.split_once("://").ok_or("it has no scheme")?;
    let scheme = scheme.to_ascii_lowercase();
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_lowercase())
        && scheme.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"+-.".contains(&b));
    if !is_scheme {
        return Err("it has no scheme");
    }
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    if authority.contains(['/', '?', '#', '\\']) {
        return Err("it has a path; scheme, host and port are all that a browser sends");
    }
    if scheme == "http" || scheme == "https" {
        let (wildcard, domain) = match authority.strip_prefix(ANY) {
            Some(domain) => (ANY, domain),
            None => ("", authority),
        };
        let authority = web_authority(&scheme, domain)?;
        let host = authority.split(':').next().unwrap_or_default();
        let can_have_any = host == "localhost" || has_subdomains(host);
        if !wildcard.is_empty() && !can_have_any {
            return Err("*. stands before a domain such as shop.example");
        }
        return Ok(format!("{scheme}://{wildcard}{authority}"));
    }
    // Schemes of apps, which choose their host freely.
    let is_host =
        !authority.is_empty() && authority.bytes().all(|b| b.is_ascii_graphic() && b != b'*' && b != b'@');
    if !is_host {
        return Err("it has no host of plain letters");
    }
    Ok(format!("{scheme}://{authority}"))
}

/// Whether a host is a domain below a top-level domain.
fn has_subdomains(host: &str) -> bool {
    host.contains('.') && host.parse::<Ipv4Addr>().is_err()
}

/// Host and port as browsers write them (URL Standard, host parsing).
pub(super) fn web_authority(scheme: &str, text: &str) -> Result<String, &'static str> {
    let (host, port) = split_port(text);
    let host = web_host(host)?;
    let port = match port {
        None => None,
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => {
            Some(digits.parse::<u16>().map_err(|_| "its port is no number from 1 to 65535")?)
        }
        Some(_) => return Err("its port is no number from 1 to 65535"),
    };
    match (scheme, port) {
        (_, Some(0)) => Err("its port is no number from 1 to 65535"),
        (_, None) | ("http", Some(80)) | ("https", Some(443)) => Ok(host),
        (_, Some(port)) => Ok(format!("{host}:{port}")),
    }
}

fn web_host(text: &str) -> Result<String, &'static str> {
    if let Some(ip) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        let ip: Ipv6Addr = ip.parse().map_err(|_| "its host is no IPv6 address")?;
        return Ok(format!("[{ip}]"));
    }
    if text.contains('*') {
        return Err("* may only be the first label, as in https://*.shop.example");
    }
    let host = idna::domain_to_ascii_cow(text.as_bytes(), AsciiDenyList::URL).map(Cow::into_owned);
    let host = host.ok().filter(|host| !host.is_empty()).ok_or("its host is no domain")?;
    // A browser parses a host that ends in a number as an IPv4 address, and writes that in one way only.
    let last = host.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
    let ends_in_number =
        !last.is_empty() && last.bytes().all(|b| b.is_ascii_digit()) || last.starts_with("0x");
    if ends_in_number && host.parse::<Ipv4Addr>().is_err() {
        return Err("its host is no IPv4 address of four numbers");
    }
    Ok(host)
}

/// The colons of an IPv6 address are within brackets.
pub(super) fn split_port(authority: &str) -> (&str, Option<&str>) {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (authority, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_normalized_as_browsers_send_it() {
        for (text, kept) in [
            ("https://shop.example", "https://shop.example"),
            ("HTTPS://Shop.Example", "https://shop.example"),
            ("https://shop.example/", "https://shop.example"),
            ("https://shop.example:443", "https://shop.example"),
            ("http://shop.example:80/", "http://shop.example"),
            ("http://localhost:03000", "http://localhost:3000"),
            ("https://bücher.example", "https://xn--bcher-kva.example"),
            ("https://BÜCHER.example:8443", "https://xn--bcher-kva.example:8443"),
            ("https://*.bücher.example", "https://*.xn--bcher-kva.example"),
            ("http://[0:0::1]:3000", "http://[::1]:3000"),
            ("http://192.0.2.7", "http://192.0.2.7"),
            ("http://*.localhost:3000", "http://*.localhost:3000"),
            ("capacitor://localhost", "capacitor://localhost"),
            ("ionic://localhost", "ionic://localhost"),
            ("tauri://localhost/", "tauri://localhost"),
            ("app://obsidian.md", "app://obsidian.md"),
            ("moz-extension://b4a6c1f0-1d2e", "moz-extension://b4a6c1f0-1d2e"),
        ] {
            assert_eq!(text.parse::<AllowedOrigin>().expect(text).to_string(), kept);
        }
    }

    #[test]
    fn an_origin_that_no_browser_sends_is_refused_with_the_reason() {
        for (text, why) in [
            ("shop.example", "no scheme"),
            ("", "no scheme"),
            ("://shop.example", "no scheme"),
            ("*", "name each origin"),
            ("null", "sandboxed"),
            ("https://", "no domain"),
            ("file://", "no host"),
            ("https://shop.example/app", "path"),
            ("https://shop.example/?a", "path"),
            ("https://ann@shop.example", "no domain"),
            ("https://shop example", "no domain"),
            ("https://shop.example:0", "port"),
            ("https://shop.example:70000", "port"),
            ("https://shop.example:+80", "port"),
            ("https://shop.example:", "port"),
            ("https://shop.*.example", "first label"),
            ("https://shop*.example", "first label"),
            ("https://*.*.shop.example", "first label"),
            ("https://*.example", "shop.example"),
            ("https://*.192.0.2.7", "shop.example"),
            ("https://127.1", "four numbers"),
            ("http://[::1", "no domain"),
            ("http://[fe80::1%25eth0]", "IPv6"),
            ("capacitor://", "no host"),
            ("capacitor://*.localhost", "no host"),
        ] {
            let error = text.parse::<AllowedOrigin>().expect_err(text).to_string();
            assert!(error.starts_with(&format!("{text} is no origin such as")), "{error}");
            assert!(error.rsplit_once(": ").is_some_and(|(_, said)| said.contains(why)), "{error}");
        }
    }

    #[test]
    fn a_wildcard_covers_subdomains_of_any_depth_and_nothing_else() {
        let shops: AllowedOrigin = "https://*.shop.example:8443".parse().expect("an origin");
        for origin in ["https://www.shop.example:8443", "https://a.b-c.d_1.shop.example:8443"] {
            assert!(shops.allows(origin.as_bytes()), "{origin}");
        }
        for origin in [
            "https://shop.example:8443",
            "https://.shop.example:8443",
            "https://a..shop.example:8443",
            "https://evilshop.example:8443",
            "https://www.shop.example",
            "http://www.shop.example:8443",
            "https://evil.example/.shop.example:8443",
            "https://evil.example:1.shop.example:8443",
            "https://www.shop.example:8443.evil.example",
            "null",
            "",
        ] {
            assert!(!shops.allows(origin.as_bytes()), "{origin}");
        }
    }
}
