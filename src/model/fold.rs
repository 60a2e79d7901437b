//! The form in which texts are compared.

use unicode_normalization::UnicodeNormalization;

/// A text without regard to case or to which of Unicode's spellings it came in: NFKC, and each letter by way of its
/// upper case, so that both small forms of the Greek sigma are one.
#[must_use]
pub fn fold(text: &str) -> String {
    text.nfkc().flat_map(char::to_uppercase).flat_map(char::to_lowercase).nfkc().collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn case_and_spelling_do_not_count() {
        for (a, b) in [
            ("ANN", "ann"),
            ("ＡＮＮ", "ann"),
            ("ΝΊΚΟΣ", "νίκος"),
            ("JOSE\u{301}", "josé"),
            ("\u{212a}", "k"),
        ] {
            assert_eq!(fold(a), fold(b));
        }
        assert_ne!(fold("josé"), fold("jose"));
    }

    proptest! {
        #[test]
        fn folding_twice_is_folding_once(text in "\\PC{0,20}") {
            prop_assert_eq!(fold(&fold(&text)), fold(&text));
        }
    }
}
