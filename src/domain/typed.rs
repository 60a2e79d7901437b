//! What people type and paste: for each text field, what becomes of spaces, separators and characters that are not seen.
//!
//! | field | rule |
//! | --- | --- |
//! | password, typed | exactly as typed, in NFC |
//! | password from a pipe, secret from a file | one line: a byte order mark before it and the line end behind it are dropped, all else counts |
//! | `auth.secret`, from wherever it comes | spaces around it are dropped |
//! | code | spaces, punctuation, dashes and what is not seen are dropped; a digit of any script is that digit; six are left |
//! | token of a link | may be pasted with the link around it, in brackets, with a full stop behind it, broken over lines: the token is taken out |
//! | refresh token | spaces, line ends and what is not seen are dropped |
//! | e-mail address | spaces around it are dropped; one within, and anything that is not seen, is refused |
//! | name | in NFC; spaces and what is not seen are dropped around it; within, what is not seen is refused, unless the script or an emoji needs it where it stands |
//! | search | in NFKD without accents and case; what is not seen is dropped, spaces part the words, typographic apostrophes and dashes are the plain ones |
//! | setting | spaces around it are dropped; within, what is not seen is refused as in a name |
//! | id, address or name on the command line | as over HTTP, spaces around it are dropped |
//! | id in a path, cursor, choice, number, access token | exactly as documented: programs write these |
//! | `User-Agent` | ASCII, which is all that is kept of it |
//!
//! *Not seen* are control and format characters, what Unicode calls default ignorable, line and paragraph separators, and the
//! blank of Braille, which looks like a space and is none.

use icu_properties::{
    CodePointMapData, CodePointSetData,
    props::{DefaultIgnorableCodePoint, GeneralCategory, GeneralCategoryGroup, PrependedConcatenationMark},
};

pub use super::joiners::{hidden, trimmed};

const MINUS: char = '\u{2212}';

/// A character that is not seen, as it is named to people: `U+200B, which is not seen`.
#[must_use]
pub fn unseen(c: char) -> String {
    format!("U+{:04X}, which is not seen", u32::from(c))
}

/// Whether a character is not seen, and is no plain space either.
#[must_use]
pub fn is_unseen(c: char) -> bool {
    const BRAILLE_BLANK: char = '\u{2800}';
    match category(c) {
        GeneralCategory::Control | GeneralCategory::LineSeparator | GeneralCategory::ParagraphSeparator => {
            true
        }
        // The signs of Arabic that stand below a number are seen.
        GeneralCategory::Format => !CodePointSetData::new::<PrependedConcatenationMark>().contains(c),
        _ => c == BRAILLE_BLANK || CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c),
    }
}

/// Whether a character may part or surround a code: a space, punctuation, the minus sign, or one that is not seen.
pub(super) fn is_beside_code(c: char) -> bool {
    let beside = GeneralCategoryGroup::Separator.union(GeneralCategoryGroup::Punctuation);
    beside.contains(category(c)) || c == MINUS || is_unseen(c)
}

/// Whether it is a hyphen, a dash or the minus sign.
pub(super) fn is_dash(c: char) -> bool {
    category(c) == GeneralCategory::DashPunctuation || c == MINUS
}

/// The digit from `0` to `9` that a digit of any script stands for.
pub(super) fn digit(c: char) -> Option<char> {
    let is_digit =
        |number: u32| char::from_u32(number).is_some_and(|c| category(c) == GeneralCategory::DecimalNumber);
    if !is_digit(c.into()) {
        return None;
    }
    // The ten digits of a script stand in a row, from zero on, by Unicode's policy of stability; rows may touch.
    let before = (0..u32::from(c)).rev().take_while(|number| is_digit(*number)).count();
    char::from_digit(u32::try_from(before % 10).ok()?, 10)
}

/// A text less its spaces, its line ends and what is not seen: none of them belongs to a token.
#[must_use]
pub fn without_spaces(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace() && !is_unseen(*c)).collect()
}

/// The secret in a file or from a pipe: its one line. Editors write a byte order mark before it and a line end behind it.
///
/// # Errors
/// In words, which go on after "the password" or "the file", if there is more than a line, or it is no text.
pub fn secret_line(bytes: &[u8]) -> Result<&str, &'static str> {
    let text = str::from_utf8(bytes).map_err(|_| "is not text in UTF-8")?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let line = text.strip_suffix('\n').unwrap_or(text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.contains(['\n', '\r']) { Err("has more than one line") } else { Ok(line) }
}

fn category(c: char) -> GeneralCategory {
    CodePointMapData::<GeneralCategory>::new().get(c)
}

#[cfg(test)]
mod tests {
    use unicode_normalization::UnicodeNormalization;

    use super::*;

    fn all() -> impl Iterator<Item = char> {
        char::MIN..=char::MAX
    }

    #[test]
    fn the_digits_of_every_script_are_digits() {
        for zero in ['0', '٠', '۰', '߀', '०', '০', '๐', '༠', '០', '᠐', '０', '𝟎', '𝟘', '𝟬', '𑁦', '𞥐']
        {
            for value in 0..10 {
                let c = char::from_u32(u32::from(zero) + value).expect("a digit");
                assert_eq!(digit(c), char::from_digit(value, 10), "{c}");
            }
        }
        let mut digits = 0;
        for c in all().filter(|c| digit(*c).is_some()) {
            assert!(c.is_numeric(), "{c:?}");
            let plain = std::iter::once(c).nfkc().next();
            assert!(plain == Some(c) || plain == digit(c), "{c:?}");
            digits += 1;
        }
        assert!(digits >= 650 && digits % 10 == 0, "{digits}");
    }

    #[test]
    fn a_letter_is_seen_and_a_control_is_not() {
        for c in all() {
            if c.is_control()
                || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{e0000}'..='\u{e0fff}')
            {
                assert!(is_unseen(c), "{c:?}");
            }
            // Among letters there are the blanks of Hangul, and two vowels of Khmer that nobody writes.
            if c.is_alphanumeric() && !matches!(c, '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}') {
                assert!(!is_unseen(c), "{c:?}");
            }
        }
    }

    #[test]
    fn a_secret_is_one_line() {
        for text in ["a b ", "\u{feff}a b ", "a b \n", "a b \r\n", "\u{feff}a b \r\n"] {
            assert_eq!(secret_line(text.as_bytes()), Ok("a b "), "{text:?}");
        }
        for text in ["a\n\n", "a\nb", "a\rb", "\na"] {
            assert_eq!(secret_line(text.as_bytes()), Err("has more than one line"), "{text:?}");
        }
        assert_eq!(secret_line(b"\xff"), Err("is not text in UTF-8"));
    }
}
