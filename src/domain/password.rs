//! Passwords: as typed, checked against the policy, and hashed.

use std::{fmt, sync::LazyLock};

use unicode_normalization::UnicodeNormalization;

use super::{Email, FieldError, Profile, fold};

/// A password as typed, in NFC, so that both encodings of é are equal.
#[derive(Clone)]
pub struct Password(String);

impl Password {
    /// A longer password is refused, never truncated.
    pub const MAX_CHARS: usize = 256;

    /// Parses the value of `field`.
    ///
    /// # Errors
    /// `too_long`, before the rest is even normalized.
    pub fn parse(field: &'static str, typed: &str) -> Result<Self, FieldError> {
        let normal: String = typed.chars().take(Self::MAX_CHARS + 1).nfc().collect();
        if typed.chars().nth(Self::MAX_CHARS).is_some() || normal.chars().nth(Self::MAX_CHARS).is_some() {
            let message = format!("The field {field} must have at most {} characters.", Self::MAX_CHARS);
            return Err(FieldError::new(field, "too_long", message));
        }
        Ok(Self(normal))
    }

    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

/// A password that meets the policy.
#[derive(Clone, Debug)]
pub struct NewPassword(Password);

impl NewPassword {
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// A stored hash, as a PHC string: `$argon2id$v=19$m=…,t=…,p=…$salt$hash`.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(String);

impl PasswordHash {
    #[must_use]
    pub fn from_phc(phc: String) -> Self {
        Self(phc)
    }

    #[must_use]
    pub fn as_phc(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}

/// The rules for a new password, wherever one is set (NIST SP 800-63B-4, section 3.1.1.2).
#[derive(Clone, Debug)]
pub struct PasswordPolicy {
    /// At least 8.
    pub min_chars: usize,
    /// A password must not consist of it.
    pub shop_name: String,
}

impl PasswordPolicy {
    /// The minimum of zxcvbn's estimate. A common password, a name or a word, alone or with the usual additions, takes fewer
    /// guesses; eight random letters take a thousand times more.
    const MIN_GUESSES_LOG10: f64 = 5.0;
    /// How much of a long password is rated. The time grows with the cube of it, and an attacker can send the worst case: 24
    /// characters take 7 ms at most, 100 would take half a second.
    const RATED_CHARS: usize = 24;

    /// Checks a new password for the account of `profile`.
    ///
    /// # Errors
    /// `too_short`, `too_long`, or `too_common`. There is no rule on composition.
    pub fn check(
        &self,
        field: &'static str,
        typed: &str,
        profile: &Profile,
    ) -> Result<NewPassword, FieldError> {
        let password = self.check_length(field, typed)?;
        if self.is_guessable(&password.0, profile) {
            let message = format!(
                "The field {field} is too easy to guess: it is a common password, or made of your e-mail address, \
                 your name or the shop's name. A few unrelated words make a good one."
            );
            return Err(FieldError::new(field, "too_common", message));
        }
        Ok(NewPassword(password))
    }

    /// Checks only the length, which is cheap.
    ///
    /// # Errors
    /// `too_short`, `too_long`.
    pub fn check_length(&self, field: &'static str, typed: &str) -> Result<Password, FieldError> {
        let password = Password::parse(field, typed)?;
        if password.0.chars().count() < self.min_chars {
            let message = format!("The field {field} must have at least {} characters.", self.min_chars);
            return Err(FieldError::new(field, "too_short", message));
        }
        Ok(password)
    }

    fn is_guessable(&self, password: &str, profile: &Profile) -> bool {
        if is_common(password) {
            return true;
        }
        let context = self.context(profile);
        let folded = fold(password);
        if context.iter().any(|part| fold(part) == folded) {
            return true;
        }
        let rated: String = password.chars().take(Self::RATED_CHARS).collect();
        let inputs: Vec<&str> = context.iter().map(String::as_str).collect();
        zxcvbn::zxcvbn(&rated, &inputs).guesses_log10() < Self::MIN_GUESSES_LOG10
    }

    /// What an attacker who knows the user and the shop would try first.
    fn context(&self, profile: &Profile) -> Vec<String> {
        let mut context = vec!["coffeeshop".to_owned(), "coffee shop".to_owned(), self.shop_name.clone()];
        context.push(self.shop_name.split_whitespace().collect());
        context.extend(words(&self.shop_name));
        context.extend(words_of_email(&profile.email));
        for name in [&profile.first_name, &profile.last_name].into_iter().flatten() {
            context.push(name.as_str().to_owned());
            context.extend(words(name.as_str()));
        }
        context
    }
}

/// Whether it is, in any case, one of the most used passwords: those of at least eight characters among the first 20,000 of Pwned
/// Passwords, sorted.
fn is_common(password: &str) -> bool {
    static COMMON: LazyLock<Vec<&str>> =
        LazyLock::new(|| include_str!("common_passwords.txt").lines().collect());
    COMMON.binary_search(&fold(password).as_str()).is_ok()
}

fn words_of_email(email: &Email) -> Vec<String> {
    let (local, domain) = email.key().split_once('@').unwrap_or((email.key(), ""));
    let mut context =
        vec![email.as_str().to_owned(), email.key().to_owned(), local.to_owned(), domain.to_owned()];
    context.extend(words(email.key()));
    context
}

/// The words of a text with at least three characters.
fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| word.chars().count() > 2).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Name;

    fn check(typed: &str) -> Result<(), &'static str> {
        let policy = PasswordPolicy { min_chars: 8, shop_name: "Blue Cup".to_owned() };
        let profile = Profile {
            email: Email::parse("email", "theodora.lark@roastery.example").expect("plain"),
            first_name: Name::parse("first_name", "Theodora").ok(),
            last_name: Name::parse("last_name", "Larkspur").ok(),
        };
        policy.check("password", typed, &profile).map(|_| ()).map_err(|error| error.code)
    }

    #[test]
    fn length_is_counted_in_characters_after_nfc() {
        assert_eq!(check("x7#Kp2m"), Err("too_short"));
        assert_eq!(check("e\u{301}7#Kp2m"), Err("too_short"), "seven after NFC");
        assert_eq!(check("x7#Kp2mQ"), Ok(()));
        assert_eq!(check(&"mocha stirs ".repeat(22)[..256]), Ok(()));
        assert_eq!(check(&"q".repeat(257)), Err("too_long"));
    }

    #[test]
    fn there_is_no_rule_on_composition() {
        for good in [
            "kdwqmzrtgbvxplhnscjf",
            "83520917460295318467",
            "correct horse battery staple",
            "пять слов о кофе",
            "☕🥐 morning \u{0} tray",
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
    }

    #[test]
    fn common_passwords_are_refused() {
        for bad in [
            "password",
            "Password1",
            "P@ssw0rd",
            "12345678",
            "qwertyuiop",
            "iloveyou",
            "aaaaaaaaaaaaaaa",
            "abcdefgh",
            "letmein1",
            "football1",
        ] {
            assert_eq!(check(bad), Err("too_common"), "{bad}");
        }
    }

    #[test]
    fn every_password_of_the_list_is_refused_in_any_case() {
        let list: Vec<&str> = include_str!("common_passwords.txt").lines().collect();
        assert!(list.len() > 8_000 && list.is_sorted(), "binary search needs it sorted");
        for bad in list.iter().step_by(7) {
            assert_eq!(check(bad), Err("too_common"), "{bad}");
            assert_eq!(check(&bad.to_uppercase()), Err("too_common"), "{bad}");
        }
    }

    #[test]
    fn ones_made_of_the_user_or_the_shop_are_refused() {
        for bad in [
            "theodora.lark@roastery.example",
            "theodora.lark",
            "Theodora",
            "theodora1",
            "larkspur",
            "larkspur2024",
            "Roastery1",
            "Blue Cup",
            "bluecup1",
            "bluecupbluecup",
            "coffeeshop",
            "coffeeshopcoffeeshop",
            "TheodoraLarkspur",
            "roastery.example",
        ] {
            assert_eq!(check(bad), Err("too_common"), "{bad}");
        }
    }

    #[test]
    fn nothing_of_it_is_printed() {
        let password = Password::parse("password", "correct horse").expect("short enough");
        assert_eq!(format!("{password:?}"), "Password(…)");
        assert_eq!(format!("{:?}", NewPassword(password)), "NewPassword(Password(…))");
    }
}
