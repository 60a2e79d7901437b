//! One-time codes and links: made, stored as hashes, and sent.

use super::{
    context::Tx,
    error::Error,
    links::with_token,
    outbox::enqueue,
    sent_counts::SentCount,
    settings::{CODE_TRIES, MAX_CODES, RESET_TTL},
};
use crate::{
    crypto::{random, secret::hash_token},
    domain::{
        Code, Email, Message, MessageKind, PlainCode, PlainToken, Purpose, Timestamp, User, Verification,
    },
};

/// A code and link that are made before the transaction that stores them.
#[derive(Clone)]
pub struct FreshCode {
    code: Option<PlainCode>,
    link: PlainToken,
}

/// What is sent, to whom, and what for.
pub struct CodeMessage<'a> {
    pub user: &'a User,
    /// For a change of address it is not the user's yet.
    pub to: &'a Email,
    pub purpose: Purpose,
    pub kind: MessageKind,
}

impl FreshCode {
    pub fn new() -> Self {
        Self { code: Some(random::code()), link: random::token() }
    }

    /// A link alone.
    pub fn link() -> Self {
        Self { code: None, link: random::token() }
    }
}

impl<'a> CodeMessage<'a> {
    /// To the user's own address, with the usual text.
    pub fn to(user: &'a User, purpose: Purpose) -> Self {
        let kind = match purpose {
            Purpose::VerifyEmail => MessageKind::VerifyEmail,
            Purpose::ChangeEmail => MessageKind::ChangeEmail,
            Purpose::AcceptInvitation => MessageKind::Invitation,
            Purpose::ResetPassword
            | Purpose::AdminReset
            | Purpose::CancelEmailChange
            | Purpose::ChoosePassword => MessageKind::ResetPassword,
        };
        Self { user, to: &user.profile.email, purpose, kind }
    }
}

/// Stores a fresh code in place of the one before it, and sends it in the same commit. Beyond what an address is sent,
/// nothing happens.
///
/// # Errors
/// `TooManyRequests` if it was not sent; a caller who must not learn that is answered the same.
pub fn send_code(
    tx: &Tx<'_>,
    message: CodeMessage<'_>,
    fresh: &FreshCode,
    now: Timestamp,
) -> Result<(), Error> {
    let CodeMessage { user, to, purpose, kind } = message;
    let count = SentCount::of(tx, purpose, to, now)?;
    let code = fresh.code.as_ref().filter(|_| count.sent < MAX_CODES);
    let stored = store_code(tx, user, to, purpose, (code, &fresh.link), now)?;
    count.count(tx, purpose, stored.token_expires_at, now)?;
    let message = Message {
        code: code.map(|code| code.as_str().to_owned()),
        code_until: code.map(|_| stored.code_expires_at),
        link: Some(link(tx, purpose, &fresh.link)),
        link_until: Some(stored.token_expires_at),
        ..Message::plain(to.as_str().to_owned(), kind)
    };
    enqueue(tx, user, to, &message, stored.token_expires_at, now)
}

/// The same, where the caller is not told whether it was sent; answers whether it was.
pub fn send_code_quietly(
    tx: &Tx<'_>,
    message: CodeMessage<'_>,
    fresh: &FreshCode,
    now: Timestamp,
) -> Result<bool, Error> {
    match send_code(tx, message, fresh, now) {
        Err(Error::TooManyRequests { .. }) => Ok(false),
        sent => sent.map(|()| true),
    }
}

/// Makes a link for a user's own address, to be handed over in another way; the one before it for the same purpose is dead.
pub fn make_link(
    tx: &Tx<'_>,
    user: &User,
    purpose: Purpose,
    fresh: &FreshCode,
    now: Timestamp,
) -> Result<(String, Timestamp), Error> {
    let stored = store_code(tx, user, &user.profile.email, purpose, (None, &fresh.link), now)?;
    Ok((link(tx, purpose, &fresh.link), stored.token_expires_at))
}

/// Makes a link for a user's own address and a page that is shown at once; answers its token.
pub fn make_token(
    tx: &Tx<'_>,
    user: &User,
    purpose: Purpose,
    fresh: &FreshCode,
    now: Timestamp,
) -> Result<PlainToken, Error> {
    store_code(tx, user, &user.profile.email, purpose, (None, &fresh.link), now)?;
    Ok(fresh.link.clone())
}

/// Sends an unverified user what they need to become verified, unless they were sent too much already.
pub fn send_verification(tx: &Tx<'_>, user: &User, fresh: &FreshCode, now: Timestamp) -> Result<(), Error> {
    let purpose = verification_purpose(tx, user)?;
    send_code_quietly(tx, CodeMessage::to(user, purpose), fresh, now).map(|_| ())
}

/// Reminds an unverified user of what they need to become verified.
pub fn send_reminder(tx: &Tx<'_>, user: &User, fresh: &FreshCode, now: Timestamp) -> Result<(), Error> {
    let purpose = verification_purpose(tx, user)?;
    let kind = match purpose {
        Purpose::AcceptInvitation => MessageKind::InvitationReminder,
        _ => MessageKind::VerifyReminder,
    };
    let message = CodeMessage { kind, ..CodeMessage::to(user, purpose) };
    send_code_quietly(tx, message, fresh, now).map(|_| ())
}

/// What an unverified user proves their address with: one who was invited chooses a password in the same step.
fn verification_purpose(tx: &Tx<'_>, user: &User) -> Result<Purpose, Error> {
    Ok(match tx.password(user.id)? {
        Some(_) => Purpose::VerifyEmail,
        None => Purpose::AcceptInvitation,
    })
}

/// The address of a page with a link's token.
fn link(tx: &Tx<'_>, purpose: Purpose, token: &PlainToken) -> String {
    let is_for_password = Purpose::FOR_PASSWORD.contains(&purpose);
    with_token(if is_for_password { &tx.settings().reset_url } else { &tx.settings().verify_url }, token)
}

/// Stores the hashes of a code and link, valid for as long as their purpose and their account allow.
fn store_code(
    tx: &Tx<'_>,
    user: &User,
    to: &Email,
    purpose: Purpose,
    (code, link): (Option<&PlainCode>, &PlainToken),
    now: Timestamp,
) -> Result<Code, Error> {
    let token_expires_at = link_expires_at(tx, user, purpose, now);
    let code = Code {
        user_id: user.id,
        purpose,
        email: to.clone(),
        code_hash: code.map(|code| tx.secret().hash_code(code, user.id, purpose, to)),
        code_expires_at: (now + tx.settings().code_ttl).min(token_expires_at),
        tries_left: CODE_TRIES,
        token_hash: hash_token(link),
        token_expires_at,
    };
    tx.put_code(&code)?;
    Ok(code)
}

/// A link expires with the account, and one for a new password after an hour at most; the one that cancels a change of
/// address lives for as long as the change can be confirmed.
fn link_expires_at(tx: &Tx<'_>, user: &User, purpose: Purpose, now: Timestamp) -> Timestamp {
    let own = match purpose {
        Purpose::ResetPassword | Purpose::AdminReset | Purpose::ChoosePassword => now + RESET_TTL,
        Purpose::VerifyEmail
        | Purpose::ChangeEmail
        | Purpose::CancelEmailChange
        | Purpose::AcceptInvitation => now + tx.settings().unverified_after,
    };
    match (user.verification, purpose) {
        (Verification::Pending { expires_at }, Purpose::VerifyEmail | Purpose::AcceptInvitation) => {
            expires_at
        }
        (Verification::Pending { expires_at }, _) => own.min(expires_at),
        (Verification::Done { .. }, _) => own,
    }
}
