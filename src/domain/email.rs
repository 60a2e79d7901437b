//! An e-mail address: as typed, and in the normalized form that makes it unique.

use std::fmt;

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};

use super::{
    FieldError, local_part,
    typed::{describe_invisible, is_invisible},
};

/// An address that can receive mail: a plain local part, an `@`, and a domain with a dot.
///
/// It is kept as typed, with the local part in NFC, for sending and showing; and as a key for comparison: the local part in
/// lower case, the domain as IDNA A-labels (UTS #46). Stricter than RFC 5322 on purpose: no display name, no quotes, no address
/// literal, and no letter that case folding turns into another one, because the owner of that mailbox would be taken for the
/// owner of the other.
#[derive(Clone, PartialEq, Eq)]
pub struct Email {
    typed: String,
    key: String,
}

impl Email {
    /// RFC 5321, section 4.5.3.1, less the angle brackets.
    pub const MAX_BYTES: usize = 254;
    const MAX_LOCAL_BYTES: usize = 64;

    /// Parses the value of `field`; drops spaces around it.
    ///
    /// # Errors
    /// `invalid_email`.
    pub fn parse(field: &'static str, typed: &str) -> Result<Self, FieldError> {
        let wrong = |why: &str| FieldError::new(field, "invalid_email", format!("The field {field} {why}."));
        let typed = typed.trim();
        if let Some(hidden) = typed.chars().find(|c| is_invisible(*c)) {
            return Err(wrong(&format!("must not contain {}", describe_invisible(hidden))));
        }
        check(typed).map_err(wrong)
    }

    /// An address from the store, which is not checked again.
    #[must_use]
    pub fn stored(typed: String, key: String) -> Self {
        Self { typed, key }
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.typed
    }

    /// The mailbox that mail is delivered to: the local part as typed, since only its server knows whether case counts there
    /// (RFC 5321, section 2.4), and the domain in ASCII.
    #[must_use]
    pub fn mailbox(&self) -> String {
        mailbox(&self.typed).unwrap_or_else(|| self.typed.clone())
    }

    /// Whether both are spellings of the same address.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        self.key == other.key
    }

    /// As much as its owner recognises: `a…@example.com`.
    #[must_use]
    pub fn masked(&self) -> String {
        let (local, domain) = self.typed.rsplit_once('@').unwrap_or((&self.typed, ""));
        let first: String = local.chars().take(1).collect();
        format!("{first}…@{domain}")
    }

    /// The normalized form, equal for all spellings of an address.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }
}

/// The mailbox that mail to an address is delivered to, or `None` if there is no such domain name. The domain is in ASCII, since
/// not every mail server accepts other characters.
#[must_use]
pub fn mailbox(typed: &str) -> Option<String> {
    let (local, domain) = typed.rsplit_once('@')?;
    Some(format!("{local}@{}", idna::domain_to_ascii(domain).ok()?))
}

/// Addresses are personal data: the log gets the domain alone.
impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Email(…@{})", self.key.rsplit('@').next().unwrap_or_default())
    }
}

fn check(typed: &str) -> Result<Email, &'static str> {
    if typed.is_empty() {
        return Err("must not be empty");
    }
    if typed.len() > Email::MAX_BYTES {
        return Err("must have at most 254 bytes");
    }
    if typed.contains(char::is_whitespace) {
        return Err("must not contain spaces");
    }
    let (local, domain) = typed.rsplit_once('@').ok_or("must look like name@example.com")?;
    let local = local_part::normal(local)
        .ok_or("must not have a letter before the @ that stands for others, such as \u{fb01} for fi")?;
    // NFC can make it longer.
    if local.len() > Email::MAX_LOCAL_BYTES {
        return Err("must have at most 64 bytes before the @");
    }
    if !is_dot_atom(&local) {
        return Err("must be a plain address such as name@example.com, without quotes or a display name");
    }
    let ascii = Uts46::new()
        .to_ascii(domain.as_bytes(), AsciiDenyList::STD3, Hyphens::CheckFirstLast, DnsLength::Verify)
        .map_err(|_| "must end in a domain such as example.com")?;
    let last_label = ascii.rsplit_once('.').ok_or("must end in a domain with a dot, such as example.com")?.1;
    if last_label.bytes().all(|b| b.is_ascii_digit()) {
        return Err("must end in a domain, not in a network address");
    }
    let key = format!("{}@{ascii}", local_part::compared(&local));
    let email = Email { typed: format!("{local}@{domain}"), key };
    let longest = email.key.len().max(email.typed.len());
    if longest > Email::MAX_BYTES { Err("must have at most 254 bytes") } else { Ok(email) }
}

/// `dot-atom` of RFC 5322, section 3.2.3, with the letters and digits of every script (RFC 6532).
fn is_dot_atom(local: &str) -> bool {
    local.split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_atext))
}

fn is_atext(c: char) -> bool {
    if c.is_ascii() {
        c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c)
    } else {
        c.is_alphanumeric() || unicode_normalization::char::is_combining_mark(c)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(typed: &str) -> Option<String> {
        Email::parse("email", typed).ok().map(|email| email.key)
    }

    #[test]
    fn spellings_of_one_address_have_one_key() {
        for typed in ["ann@example.com", " Ann@Example.COM ", "ANN@example.com", "ann@ＥＸＡＭＰＬＥ.com"]
        {
            assert_eq!(key(typed).as_deref(), Some("ann@example.com"), "{typed}");
        }
        assert_eq!(key("a@bücher.example"), key("a@xn--bcher-kva.example"));
        assert_eq!(key("jose\u{301}@example.com"), key("JOSÉ@example.com"));
        assert_eq!(key("ΝΊΚΟΣ.ΠΑΠΠΆΣ@example.com"), key("νίκος.παππάς@example.com"));
        assert_eq!(key("ꭰꮃ@example.com"), key("ᎠᎳ@example.com"), "Cherokee has its upper case first");
    }

    #[test]
    fn people_of_many_alphabets_have_addresses() {
        for local in [
            "josé",
            "straße",
            "νίκος",
            "иван",
            "نرگس",
            "שרה",
            "राम",
            "น้ำ",
            "նարեկև",
            "渡辺",
            "김",
            "ສຳ",
            "đức",
        ] {
            assert!(key(&format!("{local}@example.com")).is_some(), "{local}");
        }
    }

    #[test]
    fn it_is_kept_as_typed() {
        let email = Email::parse("email", "  Ann.Smith+till@Example.com ").expect("plain");
        assert_eq!(email.as_str(), "Ann.Smith+till@Example.com");
        assert_eq!(email.key(), "ann.smith+till@example.com");
        let composed = Email::parse("email", "jose\u{301}@example.com").expect("plain");
        assert_eq!(composed.as_str(), "josé@example.com", "mail servers do not compare by Unicode's rules");
    }

    #[test]
    fn a_mailbox_is_the_local_part_as_typed_and_the_domain_in_ascii() {
        let mailbox = |typed| Email::parse("email", typed).map(|email| email.mailbox()).ok();
        for (typed, delivered) in [
            ("Ann@Example.COM", "Ann@example.com"),
            ("ann@ＥＸＡＭＰＬＥ.com", "ann@example.com"),
            ("ann@BÜCHER.example", "ann@xn--bcher-kva.example"),
            ("jörg@example.com", "jörg@example.com"),
        ] {
            assert_eq!(mailbox(typed).as_deref(), Some(delivered));
        }
        let one_key = |typed| Email::stored(typed, "victim@example.com".to_owned()).mailbox();
        assert_ne!(one_key("ｖictim@example.com".to_owned()), one_key("victim@example.com".to_owned()));
    }

    #[test]
    fn what_is_no_plain_address_is_refused() {
        let long_local = format!("{}@example.com", "a".repeat(65));
        let long = format!("a@{}.com", "b.".repeat(130));
        for typed in [
            "",
            " ",
            "ann",
            "@example.com",
            "ann@",
            "ann@localhost",
            "ann@b",
            "a@[127.0.0.1]",
            "a@127.0.0.1",
            "Ann <ann@example.com>",
            "\"a b\"@example.com",
            "a b@example.com",
            "a@b@example.com",
            "a@ex ample.com",
            ".a@example.com",
            "a.@example.com",
            "a..b@example.com",
            "a@example..com",
            "a@.example.com",
            "a@example.com.",
            "a@-example.com",
            "a@example-.com",
            "a\u{200b}b@example.com",
            "a\u{0}@example.com",
            "a@exam\u{ad}ple.com",
            "a\r\nBcc: b@example.com",
            "a＠b@example.com",
            "a@exa_mple.com",
            "a(c)@example.com",
            "a,b@example.com",
            "a;b@example.com",
            "a:b@example.com",
            "a\\b@example.com",
            "a@xn--.com",
            "ｖictim@example.com",
            "vıctim@example.com",
            "İsmail@example.com",
            "ſam@example.com",
            "ﬁona@example.com",
            "\u{212a}im@example.com",
            "x²@example.com",
            "ǆ@example.com",
            &long_local,
            &long,
        ] {
            assert_eq!(key(typed), None, "{typed:?}");
        }
    }

    #[test]
    fn a_log_gets_no_address() {
        let email = Email::parse("email", "ann@example.com").expect("plain");
        assert_eq!(format!("{email:?}"), "Email(…@example.com)");
    }

    proptest! {
        #[test]
        fn any_text_is_an_address_or_refused_and_the_key_is_its_own_key(typed in "\\PC{0,40}@?\\PC{0,20}(\\.com)?") {
            if let Some(once) = key(&typed) {
                prop_assert_eq!(key(&once), Some(once.clone()));
                prop_assert!(once.len() <= Email::MAX_BYTES);
            }
        }
    }
}
