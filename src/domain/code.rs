//! Codes and link tokens, which prove that their reader owns an address.

use std::fmt;

use strum::{EnumString, IntoStaticStr};

use super::{
    Email, Timestamp, UserId,
    typed::{digit, is_beside_code, without_spaces},
};

/// What a code and its link are for; they work for nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, IntoStaticStr, EnumString)]
#[strum(const_into_str, serialize_all = "snake_case")]
pub enum Purpose {
    /// Confirms the address of an account.
    VerifyEmail,
    /// Confirms the new address of an account.
    ChangeEmail,
    /// Chooses a new password; requested anonymously.
    ResetPassword,
    /// Chooses the first password of an invited user.
    AcceptInvitation,
    /// Chooses a new password; created by an admin, who passes it on.
    AdminReset,
    /// Chooses a new password and thereby cancels a change of address; sent to the old address.
    CancelEmailChange,
    /// Chooses a new password on the page where the address was just confirmed.
    ChoosePassword,
}

impl Purpose {
    /// Those that choose a password; the others confirm an address. Each has a row of its own, so that a request for one, which
    /// may be anonymous, does not replace another.
    pub const FOR_PASSWORD: &'static [Self] = &[
        Self::ResetPassword,
        Self::AcceptInvitation,
        Self::AdminReset,
        Self::CancelEmailChange,
        Self::ChoosePassword,
    ];
}

/// Six digits to type, shown once in a message.
#[derive(Clone, PartialEq, Eq)]
pub struct PlainCode(String);

impl PlainCode {
    pub const DIGITS: usize = 6;

    /// `number` is below 10⁶.
    #[must_use]
    pub fn from_number(number: u32) -> Self {
        Self(format!("{number:0width$}", width = Self::DIGITS))
    }

    /// Parses what was typed or pasted: six digits of any script, with nothing but spaces, punctuation and invisible characters
    /// between or around them.
    #[must_use]
    pub fn typed(text: &str) -> Option<Self> {
        let digits: String =
            text.chars().filter(|c| !is_beside_code(*c)).map(digit).collect::<Option<_>>()?;
        (digits.len() == Self::DIGITS).then_some(Self(digits))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PlainCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PlainCode(…)")
    }
}

/// A 256-bit random token, shown once: in a link or in a refresh token.
#[derive(Clone, PartialEq, Eq)]
pub struct PlainToken(String);

impl PlainToken {
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// Extracts the token from what was pasted: the token alone or the whole link, perhaps in brackets, followed by a full stop,
    /// broken over lines, or percent-encoded in a redirection.
    #[must_use]
    pub fn pasted(text: &str) -> Self {
        let text = without_spaces(text);
        let ends = ["token=", "token%3D", "token%3d"].map(|name| text.rfind(name).map(|at| at + name.len()));
        let start = ends.into_iter().flatten().max().unwrap_or(0);
        // Base64url, and the padding that our tokens lack: a token with padding is a wrong one, not ours with an addition.
        let is_of_token = |c: char| c.is_ascii_alphanumeric() || "-_=".contains(c);
        Self(text[start..].chars().skip_while(|c| !is_of_token(*c)).take_while(|c| is_of_token(*c)).collect())
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PlainToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PlainToken(…)")
    }
}

/// SHA-256 of a `PlainToken`: all that is stored of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenHash(pub [u8; 32]);

/// HMAC-SHA-256 of a `PlainCode` with its owner, purpose and address, under a key that is not in the database.
#[derive(Clone, Copy, Debug)]
pub struct CodeHash(pub [u8; 32]);

/// A keyed hash of what is counted or limited, and for whom: the key of `sent_codes` and `rate_limits`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CountKey(pub [u8; 32]);

/// The code and link last sent to a user for one purpose, as stored.
#[derive(Clone, Debug)]
pub struct Code {
    pub user_id: UserId,
    pub purpose: Purpose,
    /// The address it was sent to, the only one it proves.
    pub email: Email,
    /// `None` once no attempt is left.
    pub code_hash: Option<CodeHash>,
    /// From then on the code is invalid.
    pub code_expires_at: Timestamp,
    pub tries_left: u8,
    pub token_hash: TokenHash,
    /// From then on the link is invalid.
    pub token_expires_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leading_zeros_are_kept() {
        assert_eq!(PlainCode::from_number(42).as_str(), "000042");
    }

    #[test]
    fn only_six_digits_are_a_code() {
        for text in ["012345", " 012-345.", "０１２３４５", "٠١٢٣٤٥", "01234５", "012\u{200b}345"]
        {
            assert_eq!(PlainCode::typed(text).as_ref().map(PlainCode::as_str), Some("012345"), "{text}");
        }
        for text in [
            "",
            "12345",
            "1234567",
            "12345a",
            " 12345",
            "-12345",
            "+123456",
            "12345²",
            "12345Ⅵ",
            "123456\u{301}",
        ] {
            assert!(PlainCode::typed(text).is_none(), "{text}");
        }
    }

    /// Over every letter, number, space and control character.
    #[test]
    fn spaces_and_controls_do_not_count_in_a_code() {
        for c in
            (char::MIN..=char::MAX).filter(|c| c.is_alphanumeric() || c.is_whitespace() || c.is_control())
        {
            let is_blank = is_beside_code(c);
            assert!(is_blank || c.is_alphanumeric(), "{c:?}");
            assert_eq!(PlainCode::typed(&format!("123{c}456")).is_some(), is_blank, "{c:?}");
            assert_eq!(PlainCode::typed(&format!("123{c}45")).is_some(), digit(c).is_some(), "{c:?}");
        }
    }

    #[test]
    fn neither_code_nor_token_is_printed() {
        assert_eq!(format!("{:?}", PlainCode::from_number(7)), "PlainCode(…)");
        assert_eq!(format!("{:?}", PlainToken::new("abc".to_owned())), "PlainToken(…)");
    }
}
