//! Codes and links: made, sent, and spent once.

use std::time::Duration;

use super::{Accounts, Error, living, secret};
use crate::{
    model::{Code, Email, Message, PlainCode, PlainToken, Purpose, Standing, Timestamp, User},
    store::Tx,
};

/// How many wrong codes kill a code.
const TRIES: u8 = 5;
/// How many codes an account is sent for one purpose until a day after the last of them: with five tries each, a guess
/// succeeds once in 20,000 such spells.
const MOST_CODES: u8 = 10;
/// How many messages. A password can be reset by link when there are no codes left, so that nobody who asks in somebody
/// else's name shuts them out.
const MOST_MESSAGES: u8 = 20;
/// How long a link to choose a password lives.
const RESET_TTL: Duration = Duration::from_hours(1);
/// How long after its link is dead a row is kept, for the count in it.
pub(super) const COUNTED_FOR: Duration = Duration::from_hours(24);

/// A code and link that are made before the transaction that stores them.
pub(super) struct FreshCode {
    code: PlainCode,
    pub(super) link: PlainToken,
}

impl FreshCode {
    pub(super) fn new() -> Self {
        Self { code: secret::random_code(), link: secret::random_token() }
    }
}

impl Accounts {
    /// Keeps a fresh code in the place of the one before it, and sends it in the same commit. Past the most that an
    /// account is sent, nothing happens.
    pub(super) fn send_code(
        &self,
        tx: &Tx<'_>,
        user: &User,
        purpose: Purpose,
        fresh: &FreshCode,
        now: Timestamp,
    ) -> Result<(), Error> {
        let last = tx.code(user.id, purpose)?.filter(|code| code.token_expires_at + COUNTED_FOR > now);
        let issued = last.map_or(0, |code| code.issued);
        let most = if purpose == Purpose::ResetPassword { MOST_MESSAGES } else { MOST_CODES };
        if issued >= most {
            return Ok(());
        }
        let code = self.keep_code(tx, user, purpose, fresh, now, issued + 1)?;
        let (subject, page) = match purpose {
            Purpose::VerifyEmail => ("Confirm your e-mail", &self.rules.verify_url),
            Purpose::ResetPassword => ("Choose a new password", &self.rules.reset_url),
        };
        let message = Message {
            to: user.profile.email.as_str().to_owned(),
            subject: subject.to_owned(),
            code: code.code_hash.map(|_| fresh.code.as_str().to_owned()),
            link: Some(link(page, &fresh.link)),
        };
        self.post(tx, user, &message, code.token_expires_at, now)
    }

    /// Stores a code, alive for as long as its purpose and its account allow.
    pub(super) fn keep_code(
        &self,
        tx: &Tx<'_>,
        user: &User,
        purpose: Purpose,
        fresh: &FreshCode,
        now: Timestamp,
        issued: u8,
    ) -> Result<Code, Error> {
        let email = &user.profile.email;
        let token_expires_at = self.link_expires_at(user, purpose, now);
        let code = Code {
            user_id: user.id,
            purpose,
            email: email.clone(),
            code_hash: (issued <= MOST_CODES)
                .then(|| self.secret.hash_code(&fresh.code, user.id, purpose, email)),
            code_expires_at: (now + self.rules.code_ttl).min(token_expires_at),
            tries_left: TRIES,
            token_hash: secret::hash_token(&fresh.link),
            token_expires_at,
            issued,
        };
        tx.put_code(&code)?;
        Ok(code)
    }

    /// When a link of this purpose stops to count: with the account, and for a password after an hour at most.
    fn link_expires_at(&self, user: &User, purpose: Purpose, now: Timestamp) -> Timestamp {
        let account = match user.standing {
            Standing::Unverified { expires_at } => Some(expires_at),
            Standing::Verified { .. } => None,
        };
        match (purpose, account) {
            (Purpose::VerifyEmail, Some(account)) => account,
            (Purpose::VerifyEmail, None) => now + self.rules.unverified_after,
            (Purpose::ResetPassword, account) => {
                let hour = now + RESET_TTL;
                account.map_or(hour, |account| account.min(hour))
            }
        }
    }

    /// The user who typed the right code for `purpose`, if it was. A wrong one is counted, so this must be committed
    /// whatever the answer is.
    pub(super) fn spend_code(
        &self,
        tx: &Tx<'_>,
        email: &Email,
        typed: &PlainCode,
        purpose: Purpose,
        now: Timestamp,
    ) -> Result<Option<User>, Error> {
        let Some(user) = living(tx.user_by_email(email)?.map(|(user, _)| user), now) else { return Ok(None) };
        let Some(mut code) = tx.code(user.id, purpose)? else { return Ok(None) };
        let Some(expected) = code.code_hash else { return Ok(None) };
        if code.code_expires_at <= now || !code.email.is(&user.profile.email) {
            return Ok(None);
        }
        if secret::same_code(expected, self.secret.hash_code(typed, user.id, purpose, &code.email)) {
            tx.delete_code(user.id, purpose)?;
            return Ok(Some(user));
        }
        code.tries_left = code.tries_left.saturating_sub(1);
        if code.tries_left == 0 {
            code.code_hash = None;
        }
        tx.put_code(&code)?;
        Ok(None)
    }

    /// The user whose link for `purpose` this is, if it is good.
    pub(super) fn spend_link(
        tx: &Tx<'_>,
        link: &PlainToken,
        purpose: Purpose,
        now: Timestamp,
    ) -> Result<Option<User>, Error> {
        let Some(code) = tx.code_by_token(secret::hash_token(link), purpose)? else { return Ok(None) };
        let Some(user) = living(tx.user(code.user_id)?, now) else { return Ok(None) };
        if code.token_expires_at <= now || !code.email.is(&user.profile.email) {
            return Ok(None);
        }
        tx.delete_code(user.id, purpose)?;
        Ok(Some(user))
    }
}

/// The address of a page with a link's token.
///
/// Simplified: unless the settings name a page of the shop's own, there is none there yet. With more time a small page of
/// ours would ask its reader to press a button, which sends the token to the same use case as the API does.
pub(super) fn link(page: &str, token: &PlainToken) -> String {
    format!("{page}?token={}", token.as_str())
}
