//! A code and its link: what a message carries to prove that its reader owns the address.

use std::fmt;

use strum::{EnumString, IntoStaticStr};

use super::{
    Email, Timestamp, UserId,
    typed::{digit, is_beside_code, without_spaces},
};

/// What a code is good for; good for nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, IntoStaticStr, EnumString)]
#[strum(const_into_str, serialize_all = "snake_case")]
pub enum Purpose {
    /// Confirms the address of an account.
    VerifyEmail,
    /// Confirms the address that an account shall have from now on.
    ChangeEmail,
    /// Lets its reader choose a new password; anyone can have it sent.
    ResetPassword,
    /// Lets somebody who was invited choose a first password.
    AcceptInvitation,
    /// Lets its reader choose a new password; an admin made it, to hand over.
    AdminReset,
    /// Lets the reader of an account's own address choose a new password, which cancels a change of address.
    CancelEmailChange,
    /// Lets its reader choose a new password on the page on which they have just confirmed their address.
    ChoosePassword,
}

impl Purpose {
    /// Those that let their reader choose a password; the others confirm an address. Each has a row of its own, so that a
    /// request for one, which may be anonymous, takes nothing from another.
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
    /// How many digits.
    pub const DIGITS: usize = 6;

    /// The code with this number, which is below 10⁶.
    #[must_use]
    pub fn from_number(number: u32) -> Self {
        Self(format!("{number:0width$}", width = Self::DIGITS))
    }

    /// The code in what was typed or pasted: six digits of any script, with spaces and punctuation between or around them and nothing else.
    #[must_use]
    pub fn typed(text: &str) -> Option<Self> {
        let digits: String =
            text.chars().filter(|c| !is_beside_code(*c)).map(digit).collect::<Option<_>>()?;
        (digits.len() == Self::DIGITS).then_some(Self(digits))
    }

    /// The digits.
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
    /// A token as text.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The token of a link in what was pasted: by itself or with the whole link, perhaps in brackets, with a full stop
    /// behind it, broken over lines, or within the address of a redirection.
    #[must_use]
    pub fn pasted(text: &str) -> Self {
        let text = without_spaces(text);
        let ends = ["token=", "token%3D", "token%3d"].map(|name| text.rfind(name).map(|at| at + name.len()));
        let start = ends.into_iter().flatten().max().unwrap_or(0);
        // Base64url, with the padding that ours has not: with it, it is another text and not one that was cut.
        let is_of_token = |c: char| c.is_ascii_alphanumeric() || "-_=".contains(c);
        Self(text[start..].chars().skip_while(|c| !is_of_token(*c)).take_while(|c| is_of_token(*c)).collect())
    }

    /// The text.
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

/// A keyed hash of an address and what is sent to it, under which the messages are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CountKey(pub [u8; 32]);

/// What the store keeps of the code and link last sent to a user for one purpose.
#[derive(Clone, Debug)]
pub struct Code {
    /// Whose it is.
    pub user_id: UserId,
    /// What it is good for.
    pub purpose: Purpose,
    /// The address it went to, the only one it proves.
    pub email: Email,
    /// The code; none once it is dead.
    pub code_hash: Option<CodeHash>,
    /// The first instant at which the code no longer counts.
    pub code_expires_at: Timestamp,
    /// How many wrong codes it still forgives.
    pub tries_left: u8,
    /// The link.
    pub token_hash: TokenHash,
    /// The first instant at which the link no longer counts.
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

    /// Over every letter, number, space and control there is: spaces and what is not seen change nothing.
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
