//! Randomness from the operating system, and the tokens and codes that are made of it.

use aws_lc_rs::rand;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::domain::{PlainCode, PlainToken};

/// Random bytes from the operating system's generator.
///
/// # Panics
/// If the generator fails: nothing can be done safely then.
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    assert!(rand::fill(&mut bytes).is_ok(), "the random generator failed");
    bytes
}

/// A new token of 256 random bits, in base64url.
pub fn token() -> PlainToken {
    PlainToken::new(URL_SAFE_NO_PAD.encode(bytes::<32>()))
}

/// A new one-time code: each of the million codes is equally likely.
pub fn code() -> PlainCode {
    let number = loop {
        if let Some(number) = below_a_million(u32::from_le_bytes(bytes())) {
            break number;
        }
    };
    PlainCode::from_number(number)
}

/// The number of a code from a random one. Numbers past the last whole million are rejected: they would make small codes
/// likelier.
fn below_a_million(random: u32) -> Option<u32> {
    const CODES: u32 = 1_000_000;
    (random < u32::MAX - u32::MAX % CODES).then_some(random % CODES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_spread_evenly() {
        let mut digits = [[0_u32; 10]; 6];
        for _ in 0..20_000 {
            for (place, digit) in code().as_str().bytes().enumerate() {
                digits[place][usize::from(digit - b'0')] += 1;
            }
        }
        // 2,000 of each are expected in each place; ±300 is seven standard deviations.
        assert!(digits.iter().flatten().all(|count| (1_700..2_300).contains(count)), "{digits:?}");
    }

    #[test]
    fn each_code_is_exactly_as_likely_as_the_others() {
        for (random, code) in [
            (0, Some(0)),
            (999_999, Some(999_999)),
            (1_000_000, Some(0)),
            (4_293_999_999, Some(999_999)),
            (4_294_000_000, None),
            (u32::MAX, None),
        ] {
            assert_eq!(below_a_million(random), code, "{random}");
        }
    }
}
