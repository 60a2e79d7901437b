//! Normalized forms of text, for comparison and search.

use unicode_normalization::{UnicodeNormalization, char::canonical_combining_class};

use super::typed::{is_dash, is_invisible};

/// Normalizes case and Unicode spelling: NFKC, with each letter in the lower case of its upper case, so that both lower-case
/// forms of the Greek sigma are equal.
#[must_use]
pub fn fold(text: &str) -> String {
    text.nfkc().flat_map(char::to_uppercase).flat_map(char::to_lowercase).nfkc().collect()
}

/// Normalizes a text for search: drops case, accents and invisible characters. A letter with a stroke becomes the letter
/// without, as people type it whose keyboard lacks it.
#[must_use]
pub fn searchable(text: &str) -> String {
    const TATWEEL: char = '\u{640}';
    if text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ') {
        return text.to_ascii_lowercase();
    }
    let spaced = text.chars().map(|c| if c.is_whitespace() { ' ' } else { c });
    let seen = spaced.nfkd().filter(|c| !is_accent(*c) && !is_invisible(*c) && *c != TATWEEL);
    let small = seen.flat_map(char::to_uppercase).flat_map(char::to_lowercase);
    let mut plain = String::with_capacity(text.len());
    for c in small {
        match c {
            'đ' | 'ð' => plain.push('d'),
            'ħ' => plain.push('h'),
            'ł' => plain.push('l'),
            'ø' => plain.push('o'),
            'ŧ' => plain.push('t'),
            'æ' => plain.push_str("ae"),
            'œ' => plain.push_str("oe"),
            // Reached from ẞ alone: the upper case of ß is SS.
            'ß' => plain.push_str("ss"),
            'þ' => plain.push_str("th"),
            // Typographic apostrophes, and letters that look like one.
            '\u{2018}' | '\u{2019}' | '\u{201b}' | '\u{2bb}' | '\u{2bc}' => plain.push('\''),
            c if is_dash(c) => plain.push('-'),
            c => plain.push(c),
        }
    }
    plain.nfc().collect()
}

/// The words to search for, the longest first. One that is part of another is left out, since it is found with that.
#[must_use]
pub fn search_words(text: &str) -> Vec<String> {
    let text = searchable(text);
    let mut all: Vec<&str> = text.split_whitespace().collect();
    all.sort_unstable_by_key(|word| (std::cmp::Reverse(word.len()), *word));
    let mut words: Vec<String> = Vec::new();
    for word in all {
        if !words.iter().any(|longer| longer.contains(word)) {
            words.push(word.to_owned());
        }
    }
    words
}

/// Whether it is a mark that people leave out when they search: an accent, a nukta, a point of Hebrew, Arabic or Syriac. By
/// combining class (Unicode Standard, table 4-3), which leaves the marks that make another letter or syllable: those of kana, the
/// virama, and the vowels and tones of Thai, Lao and Tibetan.
fn is_accent(c: char) -> bool {
    matches!(canonical_combining_class(c), 1..=7 | 10..=36 | 200..=240)
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

    /// Turkish, German, Greek, Vietnamese, Russian, Arabic, Persian, Hebrew, Hindi, Korean, Polish, Danish, Icelandic, Thai.
    #[test]
    fn case_and_accents_do_not_count_in_a_search() {
        for (stored, typed) in [
            ("İSMAİL Işık", "ismail isik"),
            ("Ismail ışık", "İSMAİL IŞIK"),
            ("Weiß STRASSE", "WEISS straße"),
            ("Νίκος ΟΔΥΣΣΕΎΣ", "νικοσ οδυσσευς"),
            ("Nguyễn Thị Đức", "nguyen thi duc"),
            ("Соловьёв Андрей", "соловьев андреи"),
            ("أَحْمَد مـحـمـد", "احمد محمد"),
            ("نرگس\u{200c}خاتون", "نرگسخاتون"),
            ("שָׂרָה", "שרה"),
            ("ज़ाकिर", "जाकिर"),
            ("김\u{1112}\u{1161}\u{11ab}", "김한"),
            ("Łukasz Żółć", "lukasz zolc"),
            ("Sørensen Æbelø", "sorensen aebelo"),
            ("Þórður", "thordur"),
            ("ＡＮＮ ﬁona", "ann fiona"),
            ("O\u{2019}Neill Anne\u{2010}Marie", "o'neill anne-marie"),
            ("Anna\u{a0}Maria\u{3000}x", "anna maria x"),
        ] {
            assert_eq!(searchable(stored), searchable(typed), "{stored}");
        }
        for (one, other) in [("が", "か"), ("น้ำ", "นำ"), ("क्", "क"), ("ann", "anna")] {
            assert_ne!(searchable(one), searchable(other));
        }
    }

    /// Over all of Unicode.
    #[test]
    fn no_case_of_a_letter_and_nothing_invisible_counts_in_a_search() {
        for c in char::MIN..=char::MAX {
            if is_invisible(c) && !c.is_whitespace() {
                assert_eq!(searchable(&format!("a{c}b")), "ab", "{c:?}");
            // Ancient Greek: the iota below a letter is an accent, and stands beside the letter in upper case.
            } else if c.is_alphabetic() && !std::iter::once(c).nfd().any(|part| part == '\u{345}') {
                let form = searchable(&c.to_string());
                assert_eq!(searchable(&c.to_uppercase().to_string()), form, "{c:?}");
                assert_eq!(searchable(&c.to_lowercase().to_string()), form, "{c:?}");
            }
        }
    }

    #[test]
    fn words_that_are_part_of_others_are_not_looked_for_twice() {
        assert_eq!(search_words(" SMITH\u{a0}ann smi\u{200b} Ann an x"), ["smith", "ann", "x"]);
        assert_eq!(search_words(" \u{200b}\n"), [""; 0]);
    }

    proptest! {
        #[test]
        fn what_is_searchable_stays_as_it_is(text in "\\PC{0,20}") {
            prop_assert_eq!(searchable(&searchable(&text)), searchable(&text));
        }

        #[test]
        fn folding_twice_is_folding_once(text in "\\PC{0,20}") {
            prop_assert_eq!(fold(&fold(&text)), fold(&text));
        }
    }
}
