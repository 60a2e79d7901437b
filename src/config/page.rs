//! URLs of web pages: which texts are one, and which of them work on this machine only.

use std::net::IpAddr;

use super::origin::{split_port, web_authority};

/// Whether a text is the URL of a web page, judged by scheme, host and port, without characters that could end it in HTML or
/// in a mail.
pub(super) fn is_page(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once("://") else { return false };
    let is_plain = !text.contains(|c: char| c.is_whitespace() || c.is_control() || "\"<>\\".contains(c));
    is_plain && ["http", "https"].contains(&scheme) && web_authority(scheme, authority(rest)).is_ok()
}

/// Whether the URL of a page works on this machine only.
pub(super) fn is_local(page: &str) -> bool {
    let rest = page.split_once("://").map_or(page, |(_, rest)| rest);
    let (host, _) = split_port(authority(rest));
    let ip: Result<IpAddr, _> = host.trim_matches(['[', ']']).parse();
    host == "localhost" || host.ends_with(".localhost") || ip.is_ok_and(|ip| ip.is_loopback())
}

/// Host and port of what follows the scheme.
fn authority(rest: &str) -> &str {
    rest.split(['/', '?', '#']).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_on_this_machine_is_known_by_its_host() {
        for page in [
            "http://localhost:8080/reset",
            "http://localhost",
            "http://shop.localhost/#/reset",
            "http://127.0.0.1:8080",
            "http://127.1.2.3/",
            "http://[::1]:8080/reset",
        ] {
            assert!(is_local(page), "{page}");
        }
        for page in [
            "https://shop.example/reset",
            "https://localhost.example:80/",
            "http://192.0.2.7",
            "http://[2001:db8::1]/",
        ] {
            assert!(!is_local(page), "{page}");
        }
    }

    #[test]
    fn a_page_has_a_host_and_may_have_a_query_and_a_fragment() {
        for text in [
            "https://shop.example",
            "https://shop.example/#/verify",
            "https://shop.example/?page_id=5",
            "http://localhost:5173/index.html?a=b#!/reset",
            "https://bücher.example/coffee",
        ] {
            assert!(is_page(text), "{text}");
        }
        for text in [
            "",
            "shop.example",
            "https://",
            "https:///verify",
            "https://?a",
            "https://#/verify",
            "ftp://shop.example",
            "javascript://shop.example/%0aalert(1)",
            "https://shop.example:port",
            "https://ann:secret@shop.example",
            "https://shop.example/a b",
            "https://shop.example/\"><b>",
            "https://shop.example/\u{7}",
        ] {
            assert!(!is_page(text), "{text}");
        }
    }
}
