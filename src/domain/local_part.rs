//! The part of an address before the @: which letters it may have, and its form for comparison.

use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

/// Letters of living alphabets that NFKC or case folding replaces: the final sigma, the Thai and Lao letters for *am*, two Lao
/// ligatures, and the Armenian *ev*. They are ordinary letters, each compared as itself, like the German ß.
const ORDINARY: [char; 6] = ['ς', '\u{e33}', '\u{eb3}', '\u{edc}', '\u{edd}', 'և'];

/// The local part in NFC (RFC 6532, section 3.1). `None` if folding would change a letter by more than case: a full-width letter,
/// a ligature, the long s, the dotless i, the Kelvin sign. Such an address would be taken for another mailbox.
pub(super) fn normal(typed: &str) -> Option<String> {
    let normal: String = typed.nfc().collect();
    (!typed.chars().any(is_duplicate) && normal.chars().all(is_ordinary)).then_some(normal)
}

/// The form for comparison of a local part in NFC: lower case, with the final sigma at the end of a word.
pub(super) fn compared(normal: &str) -> String {
    let is_in_word = |c: char| c.is_alphanumeric() || is_combining_mark(c);
    normal.split_inclusive(|c| !is_in_word(c)).map(str::to_lowercase).collect::<String>().nfc().collect()
}

/// Whether a character is canonically equivalent to another single one.
fn is_duplicate(c: char) -> bool {
    let mut normal = std::iter::once(c).nfc();
    normal.next() != Some(c) && normal.next().is_none()
}

/// Whether folding changes its case alone: it has no compatibility form, and the lower case of its upper case is itself.
fn is_ordinary(c: char) -> bool {
    if c.is_ascii() || ORDINARY.contains(&c) {
        return true;
    }
    let Some(small) = only(c.to_lowercase()) else { return false };
    let large = only(small.to_uppercase()).unwrap_or(small);
    only(std::iter::once(c).nfkc()) == Some(c) && only(large.to_lowercase()) == Some(small)
}

/// The character, if there is exactly one.
fn only(mut chars: impl Iterator<Item = char>) -> Option<char> {
    chars.next().filter(|_| chars.next().is_none())
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn key(typed: &str) -> Option<String> {
        normal(typed).map(|normal| compared(&normal))
    }

    /// Each character that an address can have, with the form for comparison of `x…y` around it.
    fn taken() -> impl Iterator<Item = (char, String)> {
        let letters = (char::MIN..=char::MAX).filter(|c| c.is_alphanumeric() || is_combining_mark(*c));
        letters.filter_map(|c| Some((c, key(&format!("x{c}y"))?)))
    }

    /// Over all of Unicode: two mailboxes are taken for one only if they differ by case alone.
    #[test]
    fn no_letter_is_compared_as_another_one() {
        let mut seen = HashMap::new();
        for (c, key) in taken() {
            let other = *seen.entry(key).or_insert(c);
            assert!(c.to_lowercase().eq(other.to_lowercase()), "{c:?} and {other:?}");
        }
        assert!(seen.len() > 100_000, "{}", seen.len());
    }

    #[test]
    fn case_does_not_count_for_any_letter() {
        for (c, key_of_it) in taken() {
            for case in [c.to_lowercase().to_string(), c.to_uppercase().to_string()] {
                // Two letters instead of one are other letters, and a sigma within a word is not a final one.
                if c != 'ς' && case.chars().nth(1).is_none() {
                    assert_eq!(key(&format!("x{case}y")).as_deref(), Some(&*key_of_it), "{c:?}");
                }
            }
        }
    }
}
