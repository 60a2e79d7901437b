//! The values of the model: users, sessions, codes, mails, and requests.

pub const SECOND: i64 = 1_000;
pub const MINUTE: i64 = 60 * SECOND;
pub const HOUR: i64 = 60 * MINUTE;
pub const DAY: i64 = 24 * HOUR;

/// The status and the `code` of a refusal.
pub type Refusal = (u16, &'static str);

pub const INVALID: Refusal = (422, "validation_failed");
pub(super) const WRONG_PASSWORD: Refusal = (401, "invalid_credentials");
pub(super) const NOT_SIGNED_IN: Refusal = (401, "invalid_token");
pub(super) const NO_REFRESH: Refusal = (401, "invalid_refresh_token");
pub(super) const NO_PROOF: Refusal = (400, "verification_failed");
pub(super) const FORBIDDEN: Refusal = (403, "forbidden");
pub(super) const NOT_FOUND: Refusal = (404, "not_found");
pub(super) const TAKEN: Refusal = (409, "email_taken");
pub(super) const LAST_ADMIN: Refusal = (409, "last_admin");
pub(super) const TOO_MANY: Refusal = (429, "too_many_requests");

/// A user's number: users are counted in the order in which they came, and a number is never used again.
pub type Tag = usize;

/// An address in one of its spellings, the first of which is the compared one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    pub number: usize,
    pub spelling: usize,
}

pub const ADDRESSES: [[&str; 3]; 8] = [
    ["boss@example.com", "Boss@Example.com", "BOSS@example.com"],
    ["ann@example.com", "ANN@Example.COM", "aNN@example.com"],
    ["bob.smith@example.org", "Bob.Smith@example.org", "bob.smith@EXAMPLE.org"],
    ["k@example.org", "K@example.org", "k@EXAMPLE.org"],
    ["josé@example.net", "JOSÉ@example.net", "José@example.net"],
    ["mia@xn--bcher-kva.example", "mia@bücher.example", "Mia@BÜCHER.example"],
    ["o'neill+till@example.com", "O'Neill+till@example.com", "o'neill+TILL@example.com"],
    ["zoe@example.com", "Zoe@example.com", "zoe@ｅxample.com"],
];

impl Address {
    /// The address that is written so.
    pub fn of(text: &str) -> Self {
        let at = |number: usize| ADDRESSES[number].iter().position(|spelling| *spelling == text);
        let mut all = 0..ADDRESSES.len();
        all.find_map(|number| at(number).map(|spelling| Self { number, spelling })).unwrap()
    }

    pub fn text(self) -> &'static str {
        ADDRESSES[self.number][self.spelling]
    }

    pub fn key(self) -> &'static str {
        ADDRESSES[self.number][0]
    }
}

/// Passwords are told apart by number; the last one is too common to be chosen.
pub const PASSWORDS: [&[&str]; 4] = [
    &["mocha stirs slowly"],
    &["lungo hums at dawn"],
    &["crème brûlée rains up", "cre\u{300}me bru\u{302}le\u{301}e rains up"],
    &["password1"],
];
pub const COMMON: usize = 3;

pub type Name = Option<&'static str>;

#[derive(Clone, Debug, PartialEq)]
pub struct Person {
    pub email: Address,
    pub names: [Name; 2],
    pub admin: bool,
    pub disabled: bool,
    pub verified_at: Option<i64>,
    pub expires_at: Option<i64>,
    pub created_at: i64,
    pub updated_at: i64,
    pub last_login_at: Option<i64>,
    pub password: Option<usize>,
    pub reminded_for: Option<i64>,
}

impl Person {
    pub fn verified(&self) -> bool {
        self.verified_at.is_some()
    }

    pub fn acts(&self) -> bool {
        self.admin && self.verified() && !self.disabled && self.password.is_some()
    }
}

#[derive(Debug)]
pub struct Session {
    pub whose: Tag,
    pub created_at: i64,
    pub last_used_at: i64,
    pub expires_at: i64,
    /// The refresh token that counts, and the one before it, by their `jti`.
    pub current: String,
    pub previous: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    VerifyEmail,
    ChangeEmail,
    ResetPassword,
    AcceptInvitation,
    AdminReset,
    CancelEmailChange,
    ChoosePassword,
}

/// What lets its reader choose a password.
pub(super) const FOR_PASSWORD: [Purpose; 5] = [
    Purpose::ResetPassword,
    Purpose::AcceptInvitation,
    Purpose::AdminReset,
    Purpose::CancelEmailChange,
    Purpose::ChoosePassword,
];

#[derive(Debug)]
pub struct Code {
    pub whose: Tag,
    pub purpose: Purpose,
    pub to: Address,
    pub digits: Option<String>,
    pub digits_until: i64,
    pub tries: u8,
    pub link: String,
    pub link_until: i64,
}

/// A mail that must come; it may carry the code and the link of a user for a purpose.
#[derive(Debug)]
pub struct MessageKind {
    pub to: Address,
    pub subject: &'static str,
    pub has_code: bool,
    pub has_link: bool,
    pub carries: Option<(Tag, Purpose)>,
}

/// What a caller presents to prove that they read the mail of an address.
#[derive(Clone, Debug)]
pub enum Proof {
    Code(Address, String),
    Link(String),
}

/// What an access or a refresh token is, besides its text.
#[derive(Clone, Copy, Debug)]
pub struct Access {
    pub session: usize,
    pub until: i64,
}

#[derive(Clone, Debug, Default)]
pub struct Change {
    pub names: [Option<Name>; 2],
    pub email: Option<Address>,
    pub admin: Option<bool>,
    pub verified: Option<bool>,
    pub disabled: Option<bool>,
}

#[derive(Clone, Debug, Default)]
pub struct Query {
    pub text: Option<&'static str>,
    pub admin: Option<bool>,
    pub verified: Option<bool>,
    pub disabled: Option<bool>,
    /// Of `SORTS`.
    pub sort: usize,
    /// Who was last on the page before: when they came, their number, their address.
    pub after: Option<(i64, Tag, &'static str)>,
    pub limit: usize,
}

pub const SORTS: [&str; 4] = ["-created_at", "created_at", "email", "-email"];
