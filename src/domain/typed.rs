//! How typed and pasted text is read: for each field, what happens to spaces, separators and invisible characters.
//!
//! | field | rule |
//! | --- | --- |
//! | password, typed | exactly as typed, in NFC |
//! | password from a pipe, secret from a file | one line: a byte order mark before it and the line end after it are dropped, nothing else |
//! | `auth.secret`, from any source | spaces around it are dropped |
//! | code | spaces, punctuation, dashes and invisible characters are dropped; digits of any script are read; six must be left |
//! | token of a link | may be pasted within the link, in brackets, followed by a full stop, broken over lines: the token is extracted |
//! | refresh token | spaces, line ends and invisible characters are dropped |
//! | e-mail address | spaces around it are dropped; spaces within and invisible characters are refused |
//! | name | in NFC; spaces and invisible characters around it are dropped; invisible ones within are refused, unless the script or an emoji needs them |
//! | search | in NFKD without accents and case; invisible characters are dropped, spaces separate the words, typographic apostrophes and dashes become plain ones |
//! | setting | spaces around it are dropped; invisible characters within are refused as in a name |
//! | id, address or name on the command line | as over HTTP, spaces around it are dropped |
//! | id in a path, cursor, enum, number, access token | exactly as documented: programs write these |
//! | `User-Agent` | ASCII, which is all that is kept of it |
//!
//! *Invisible* are control and format characters, default ignorable code points, line and paragraph separators, and the Braille
//! blank, which looks like a space but is none.

use icu_properties::{
    CodePointMapData, CodePointSetData,
    props::{DefaultIgnorableCodePoint, GeneralCategory, GeneralCategoryGroup, PrependedConcatenationMark},
};

pub use super::joiners::{needless_invisible, trimmed};

const MINUS: char = '\u{2212}';

/// Names an invisible character in messages: `the invisible character U+200B`.
#[must_use]
pub fn describe_invisible(c: char) -> String {
    format!("the invisible character U+{:04X}", u32::from(c))
}

/// Whether a character is invisible and no plain space.
#[must_use]
pub fn is_invisible(c: char) -> bool {
    const BRAILLE_BLANK: char = '\u{2800}';
    match category(c) {
        GeneralCategory::Control | GeneralCategory::LineSeparator | GeneralCategory::ParagraphSeparator => {
            true
        }
        // The Arabic signs that enclose a number are visible.
        GeneralCategory::Format => !CodePointSetData::new::<PrependedConcatenationMark>().contains(c),
        _ => c == BRAILLE_BLANK || CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c),
    }
}

/// Whether a character may stand within or around a code: a space, punctuation, the minus sign, or an invisible one.
pub(super) fn is_beside_code(c: char) -> bool {
    let beside = GeneralCategoryGroup::Separator.union(GeneralCategoryGroup::Punctuation);
    beside.contains(category(c)) || c == MINUS || is_invisible(c)
}

pub(super) fn is_dash(c: char) -> bool {
    category(c) == GeneralCategory::DashPunctuation || c == MINUS
}

/// Converts a digit of any script to `0` to `9`.
pub(super) fn digit(c: char) -> Option<char> {
    let is_digit =
        |number: u32| char::from_u32(number).is_some_and(|c| category(c) == GeneralCategory::DecimalNumber);
    if !is_digit(c.into()) {
        return None;
    }
    // By Unicode's stability policy the ten digits of a script are consecutive from zero; such ranges may be adjacent.
    let before = (0..u32::from(c)).rev().take_while(|number| is_digit(*number)).count();
    char::from_digit(u32::try_from(before % 10).ok()?, 10)
}

/// Removes spaces, line ends and invisible characters, none of which belongs to a token.
#[must_use]
pub fn without_spaces(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace() && !is_invisible(*c)).collect()
}

/// Reads the single line of a file or pipe. Editors write a byte order mark before it and a line end after it.
///
/// # Errors
/// The rest of a sentence that begins with "the password" or "the file", if there are more lines, or it is not UTF-8.
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
    fn a_letter_is_visible_and_a_control_is_not() {
        for c in all() {
            if c.is_control()
                || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{e0000}'..='\u{e0fff}')
            {
                assert!(is_invisible(c), "{c:?}");
            }
            // Unicode counts the Hangul fillers as letters.
            if c.is_alphanumeric() && !matches!(c, '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}') {
                assert!(!is_invisible(c), "{c:?}");
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
