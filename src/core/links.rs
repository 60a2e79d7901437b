//! The links in messages: the address of a page, with the token that it is opened with.

use crate::domain::PlainToken;

/// The address of `page` with `token` as its parameter.
///
/// In a page that is a route of a single-page app (`https://shop.example/#/verify`), the parameter belongs to the route:
/// that is where the app looks, and what stands behind `#` is not sent to any server.
pub fn with_token(page: &str, token: &PlainToken) -> String {
    let place = page.split_once('#').map_or(page, |(_, route)| route);
    let separator = match place.split_once('?') {
        None => "?",
        Some((_, parameters)) if parameters.is_empty() || parameters.ends_with('&') => "",
        Some(_) => "&",
    };
    format!("{page}{separator}token={}", token.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_a_parameter_of_the_page_or_of_its_route() {
        for (page, link) in [
            ("http://localhost:8080/verify", "http://localhost:8080/verify?token=abc"),
            ("https://shop.example", "https://shop.example?token=abc"),
            ("https://shop.example/?page_id=5", "https://shop.example/?page_id=5&token=abc"),
            ("https://shop.example/?", "https://shop.example/?token=abc"),
            ("https://shop.example/?a=b&", "https://shop.example/?a=b&token=abc"),
            ("https://shop.example/#/verify", "https://shop.example/#/verify?token=abc"),
            ("https://shop.example/#/verify?lang=de", "https://shop.example/#/verify?lang=de&token=abc"),
            ("https://shop.example/?a=b#/verify", "https://shop.example/?a=b#/verify?token=abc"),
            ("https://shop.example/#", "https://shop.example/#?token=abc"),
        ] {
            assert_eq!(with_token(page, &PlainToken::new("abc".to_owned())), link);
        }
    }
}
