//! What stands before the @ of an address: which letters it may have, and the form in which two of them are compared.

use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

/// Letters of living alphabets that folding takes for others or for two: the final sigma, the Thai and Lao letters for
/// *am*, two letters of Lao that were made of others, and the Armenian *ev*. They are ordinary letters, each compared as
/// what it is, like the German ß, which has no letter of its own in upper case either.
const ORDINARY: [char; 6] = ['ς', '\u{e33}', '\u{eb3}', '\u{edc}', '\u{edd}', 'և'];

/// A local part in NFC, as RFC 6532 (section 3.1) has addresses written. None if a letter in it stands for another one, so
/// that folding would change it by more than case: a full-width letter, a ligature, the long s, the dotless i, the Kelvin
/// sign. Such an address is another mailbox than the one that it would be taken for.
pub(super) fn normal(typed: &str) -> Option<String> {
    let normal: String = typed.nfc().collect();
    (!typed.chars().any(is_double) && normal.chars().all(is_ordinary)).then_some(normal)
}

/// The form in which two local parts in NFC are compared: in lower case. A sigma in upper case is the final one where a word
/// ends, as people write it in lower case.
pub(super) fn compared(normal: &str) -> String {
    let is_in_word = |c: char| c.is_alphanumeric() || is_combining_mark(c);
    normal.split_inclusive(|c| !is_in_word(c)).map(str::to_lowercase).collect::<String>().nfc().collect()
}

/// Whether a character is another one all the same by canonical equivalence.
fn is_double(c: char) -> bool {
    let mut normal = std::iter::once(c).nfc();
    normal.next() != Some(c) && normal.next().is_none()
}

/// Whether folding leaves it but for case: it has no other form by compatibility, and of its upper case the lower case is
/// itself.
fn is_ordinary(c: char) -> bool {
    if c.is_ascii() || ORDINARY.contains(&c) {
        return true;
    }
    let Some(small) = only(c.to_lowercase()) else { return false };
    let large = only(small.to_uppercase()).unwrap_or(small);
    only(std::iter::once(c).nfkc()) == Some(c) && only(large.to_lowercase()) == Some(small)
}

/// The one character that there is.
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

    /// Each that an address can have, with what `x…y` with it in the middle is compared as.
    fn taken() -> impl Iterator<Item = (char, String)> {
        let letters = (char::MIN..=char::MAX).filter(|c| c.is_alphanumeric() || is_combining_mark(*c));
        letters.filter_map(|c| Some((c, key(&format!("x{c}y"))?)))
    }

    /// Over every letter there is: a user with another one has another mailbox, unless they differ by case alone.
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
                // Two letters in place of one are other letters, and a sigma within a word is no final one.
                if c != 'ς' && case.chars().nth(1).is_none() {
                    assert_eq!(key(&format!("x{case}y")).as_deref(), Some(&*key_of_it), "{c:?}");
                }
            }
        }
    }
}
