//! Invisible characters that a text needs: joiners, variation selectors, and those that make one emoji of several.

use icu_properties::{
    CodePointMapData, CodePointSetData,
    props::{ExtendedPictographic, GeneralCategory, GeneralCategoryGroup, JoiningType},
};
use unicode_normalization::char::canonical_combining_class;

use super::typed::is_invisible;

const NON_JOINER: char = '\u{200c}';
const JOINER: char = '\u{200d}';
const BLACK_FLAG: char = '\u{1f3f4}';
const END_OF_TAGS: char = '\u{e007f}';

/// The first invisible character that the text does not need.
#[must_use]
pub fn needless_invisible(text: &str) -> Option<char> {
    let chars: Vec<char> = text.chars().collect();
    (0..chars.len()).find(|at| is_needless(&chars, *at)).map(|at| chars[at])
}

/// The text without spaces and needless invisible characters at either end.
#[must_use]
pub fn trimmed(text: &str) -> String {
    let mut chars: Vec<char> =
        text.trim_start_matches(|c: char| c.is_whitespace() || is_invisible(c)).chars().collect();
    while chars.last().is_some_and(|last| last.is_whitespace())
        || is_needless(&chars, chars.len().wrapping_sub(1))
    {
        chars.pop();
    }
    chars.into_iter().collect()
}

fn is_needless(chars: &[char], at: usize) -> bool {
    chars.get(at).is_some_and(|c| is_invisible(*c)) && !is_needed(chars, at)
}

fn is_needed(chars: &[char], at: usize) -> bool {
    let (before, after) = (&chars[..at], &chars[at + 1..]);
    let Some(&last) = before.last() else { return false };
    match chars[at] {
        NON_JOINER => is_virama(last) || is_within_joined(before, after),
        // Bengali has it before a virama, too.
        JOINER => {
            is_virama(last)
                || after.first().is_some_and(|next| is_virama(*next))
                || is_within_joined(before, after)
                || is_within_emoji(before, after)
        }
        // Text or emoji presentation, keycaps, and variants of caseless characters.
        '\u{fe00}'..='\u{fe0f}' => {
            is_pictographic(last) || is_symbol(last) || is_caseless(last) || "#*".contains(last)
        }
        // Variants of ideographs, as in Japanese names.
        '\u{e0100}'..='\u{e01ef}' => is_caseless(last),
        // Variants of Mongolian letters.
        '\u{180b}'..='\u{180f}' => ('\u{1820}'..='\u{18aa}').contains(&last),
        '\u{e0020}'..=END_OF_TAGS => is_within_flag(chars, at),
        _ => false,
    }
}

/// The sign that suppresses the vowel of an Indic letter: combining class 9 (Unicode Standard, table 4-3).
fn is_virama(c: char) -> bool {
    canonical_combining_class(c) == 9
}

/// Whether it is between two letters of a joining script, such as Arabic (RFC 5892, appendix A.1). Unlike there, the letters need
/// not join on this side, since people write it after those, too.
fn is_within_joined(before: &[char], after: &[char]) -> bool {
    let joining = |c: &char| CodePointMapData::<JoiningType>::new().get(*c);
    let joins = |kind: JoiningType| {
        matches!(kind, JoiningType::DualJoining | JoiningType::LeftJoining | JoiningType::RightJoining)
    };
    let is_letter = |kind: &JoiningType| *kind != JoiningType::Transparent;
    before.iter().rev().map(joining).find(is_letter).is_some_and(joins)
        && after.iter().map(joining).find(is_letter).is_some_and(joins)
}

/// Whether it is between two emoji that are shown as one (UTS #51, ED-16).
fn is_within_emoji(before: &[char], after: &[char]) -> bool {
    let is_modifier = |c: &char| matches!(c, '\u{fe0f}' | '\u{1f3fb}'..='\u{1f3ff}');
    before.iter().rev().find(|c| !is_modifier(c)).is_some_and(|c| is_pictographic(*c))
        && after.first().is_some_and(|c| is_pictographic(*c))
}

/// Whether it is in the flag of a part of a country (UTS #51, ED-14a): a black flag, 3 to 6 tag characters, and the cancel tag.
fn is_within_flag(chars: &[char], at: usize) -> bool {
    let is_tag = |c: &char| ('\u{e0020}'..END_OF_TAGS).contains(c);
    let start = chars[..at].iter().rposition(|c| !is_tag(c));
    let Some(start) = start.filter(|start| chars[*start] == BLACK_FLAG) else { return false };
    let tags = chars[start + 1..].iter().take_while(|c| is_tag(c)).count();
    (3..=6).contains(&tags) && chars.get(start + 1 + tags) == Some(&END_OF_TAGS)
}

fn is_pictographic(c: char) -> bool {
    CodePointSetData::new::<ExtendedPictographic>().contains(c)
}

fn is_symbol(c: char) -> bool {
    GeneralCategoryGroup::Symbol.union(GeneralCategoryGroup::DecimalNumber).contains(category(c))
}

fn is_caseless(c: char) -> bool {
    category(c) == GeneralCategory::OtherLetter && !is_invisible(c)
}

fn category(c: char) -> GeneralCategory {
    CodePointMapData::<GeneralCategory>::new().get(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Persian, Kurdish, Hindi, Marathi, Bengali twice, Malayalam, Sinhala, Mongolian, Japanese; emoji.
    const NEEDED: [&str; 17] = [
        "نرگس\u{200c}خاتون",
        "ره\u{200c}آورد",
        "به\u{64e}\u{200c}نام",
        "क्\u{200c}ष",
        "र्\u{200d}ह",
        "র\u{200d}্যাব",
        "উৎ ত্\u{200d}",
        "അവന്\u{200d}",
        "ශ්\u{200d}රී",
        "ᠭ\u{180b}ᠠ",
        "葛\u{e0100}城",
        "👩\u{200d}💻",
        "👩🏽\u{200d}🚀",
        "🏳\u{fe0f}\u{200d}🌈",
        "❤\u{fe0f}",
        "1\u{fe0f}\u{20e3}",
        "🏴\u{e0067}\u{e0062}\u{e0073}\u{e0063}\u{e0074}\u{e007f}",
    ];

    #[test]
    fn what_a_script_or_an_emoji_needs_is_kept() {
        for text in NEEDED {
            assert_eq!(needless_invisible(text), None, "{text}");
            assert_eq!(trimmed(&format!(" {text}\u{200b}\u{feff} ")), text);
        }
    }

    #[test]
    fn where_nothing_needs_it_it_is_needless() {
        for (text, expected) in [
            ("an\u{200c}n", '\u{200c}'),
            ("an\u{200d}n", '\u{200d}'),
            ("\u{200d}💻", '\u{200d}'),
            ("👩\u{200d}a", '\u{200d}'),
            ("نر\u{200c}\u{200c}گس", '\u{200c}'),
            ("a\u{fe0f}", '\u{fe0f}'),
            ("葛\u{e0100}\u{e0101}", '\u{e0101}'),
            ("a\u{e0100}", '\u{e0100}'),
            ("a\u{180b}", '\u{180b}'),
            ("a\u{e0067}\u{e0062}\u{e007f}", '\u{e0067}'),
            ("🏴\u{e0067}\u{e0062}\u{e0073}", '\u{e0067}'),
            ("a\u{202e}b", '\u{202e}'),
        ] {
            assert_eq!(needless_invisible(text), Some(expected), "{text:?}");
        }
    }

    /// Over all of Unicode: at the ends, and between Latin letters.
    #[test]
    fn nothing_invisible_is_left_among_latin_letters() {
        for c in (char::MIN..=char::MAX).filter(|c| is_invisible(*c)) {
            assert_eq!(trimmed(&format!("{c}{c}An{c} {c}")), "An", "{c:?}");
            assert_eq!(needless_invisible(&format!("A{c}n")), Some(c), "{c:?}");
        }
    }
}
