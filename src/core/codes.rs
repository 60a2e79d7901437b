//! Codes and links: made, sent, and redeemed once.

use std::time::Duration;

use crate::accounts::{Accounts, Error, Proof, links::with_token, not_expired, secret};
use crate::{
    domain::{
        Client, Code, CountKey, Email, Message, MessageKind, PlainCode, PlainToken, Purpose, Timestamp, User,
        Verification,
    },
    store::{Snapshot, Tx},
};

/// How many wrong codes kill a code.
pub(crate) const CODE_TRIES: u8 = 5;
/// How many codes an address is sent for one purpose, as long as they count: with five tries each, guessing at all of
/// them succeeds once in 20,000 times.
pub(crate) const MAX_CODES: u8 = 10;
/// How many messages at once. Past the codes there are links alone, and past these messages one link an hour: as long as a
/// link to choose a password lives, so that nobody who asks in somebody else's name shuts them out.
const MOST_MESSAGES: u8 = 20;
const ONE_MORE: Duration = RESET_TTL;
/// How long a link to choose a password lives.
pub(crate) const RESET_TTL: Duration = Duration::from_hours(1);
/// How long after its link is dead a message still counts.
const COUNTED_FOR: Duration = Duration::from_hours(24);
/// The same for a new password, which can be asked for as long as there is the account: until its owner has chosen one, or
/// for a year.
const RESETS_COUNTED_FOR: Duration = Duration::from_hours(365 * 24);

/// A code and link that are made before the transaction that stores them.
pub(crate) struct FreshCode {
    code: Option<PlainCode>,
    link: PlainToken,
}

impl FreshCode {
    pub(crate) fn new() -> Self {
        Self { code: Some(secret::random_code()), link: secret::random_token() }
    }

    /// A link alone.
    pub(crate) fn link() -> Self {
        Self { code: None, link: secret::random_token() }
    }
}

/// What is sent, to whom, and what for.
pub(crate) struct CodeMessage<'a> {
    pub(crate) user: &'a User,
    /// Where to; for a change of address it is not the user's yet.
    pub(crate) to: &'a Email,
    pub(crate) purpose: Purpose,
    pub(crate) kind: MessageKind,
}

impl<'a> CodeMessage<'a> {
    /// To the user's own address, with the usual words.
    pub(crate) fn to(user: &'a User, purpose: Purpose) -> Self {
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

/// A proof that was good, and is not any more.
pub(crate) struct Redeemed {
    /// Whose it was.
    pub(crate) user: User,
    /// What it was good for.
    pub(crate) purpose: Purpose,
    /// The address that it proves.
    pub(crate) email: Email,
}

/// A code or link with its owner, or the codes at which a proof was a wrong try.
type Found = Result<(Code, User), Vec<Code>>;

impl Accounts {
    /// Keeps a fresh code in the place of the one before it, and sends it in the same commit. Past the most that an
    /// address is sent, nothing happens.
    ///
    /// # Errors
    /// `TooManyRequests` if it was not sent; whoever must not learn that answers the same for it.
    pub(crate) fn send_code(
        &self,
        tx: &Tx<'_>,
        sending: CodeMessage<'_>,
        fresh: &FreshCode,
        now: Timestamp,
    ) -> Result<(), Error> {
        let CodeMessage { user, to, purpose, kind } = sending;
        let count = self.secret.hash_count(counted_as(purpose), to);
        let sent = counted(tx, count, now)?;
        let code = fresh.code.as_ref().filter(|_| sent < MAX_CODES);
        let kept = self.keep_code(tx, user, to, purpose, (code, &fresh.link), now)?;
        let counted_for = match purpose {
            Purpose::ResetPassword => RESETS_COUNTED_FOR,
            _ => COUNTED_FOR,
        };
        tx.put_sent_codes(count, sent.saturating_add(1), now, kept.token_expires_at + counted_for)?;
        let message = Message {
            code: code.map(|code| code.as_str().to_owned()),
            code_until: code.map(|_| kept.code_expires_at),
            link: Some(self.link(purpose, &fresh.link)),
            link_until: Some(kept.token_expires_at),
            ..Message::plain(to.as_str().to_owned(), kind)
        };
        self.post(tx, user, to, &message, kept.token_expires_at, now)
    }

    /// The owner has chosen a new password by what was sent: nothing of it counts any more.
    pub(crate) fn forget_resets(&self, tx: &Tx<'_>, email: &Email) -> Result<(), Error> {
        Ok(tx.delete_sent_codes(self.secret.hash_count(counted_as(Purpose::ResetPassword), email))?)
    }

    /// Sends a code like `send_code`, or not, and nobody outside is told; answers whether it did.
    pub(crate) fn send_code_quietly(
        &self,
        tx: &Tx<'_>,
        sending: CodeMessage<'_>,
        fresh: &FreshCode,
        now: Timestamp,
    ) -> Result<bool, Error> {
        match self.send_code(tx, sending, fresh, now) {
            Err(Error::TooManyRequests { .. }) => Ok(false),
            sent => sent.map(|()| true),
        }
    }

    /// Makes a link for a user's own address, which is handed over in some other way; the one before it for the same
    /// purpose dies.
    pub(crate) fn make_link(
        &self,
        tx: &Tx<'_>,
        user: &User,
        purpose: Purpose,
        fresh: &FreshCode,
        now: Timestamp,
    ) -> Result<(String, Timestamp), Error> {
        let kept = self.keep_code(tx, user, &user.profile.email, purpose, (None, &fresh.link), now)?;
        Ok((self.link(purpose, &fresh.link), kept.token_expires_at))
    }

    /// The address of a page with a link's token.
    fn link(&self, purpose: Purpose, token: &PlainToken) -> String {
        let is_for_password = Purpose::FOR_PASSWORD.contains(&purpose);
        with_token(if is_for_password { &self.rules.reset_url } else { &self.rules.verify_url }, token)
    }

    /// Keeps a link for a user's own address and a page that is shown at once.
    pub(crate) fn keep_link(
        &self,
        tx: &Tx<'_>,
        user: &User,
        purpose: Purpose,
        fresh: &FreshCode,
        now: Timestamp,
    ) -> Result<PlainToken, Error> {
        self.keep_code(tx, user, &user.profile.email, purpose, (None, &fresh.link), now)?;
        Ok(fresh.link.clone())
    }

    /// Stores a code and link, alive for as long as their purpose and their account allow.
    fn keep_code(
        &self,
        tx: &Tx<'_>,
        user: &User,
        to: &Email,
        purpose: Purpose,
        (code, link): (Option<&PlainCode>, &PlainToken),
        now: Timestamp,
    ) -> Result<Code, Error> {
        let token_expires_at = self.link_expires_at(user, purpose, now);
        let code = Code {
            user_id: user.id,
            purpose,
            email: to.clone(),
            code_hash: code.map(|code| self.secret.hash_code(code, user.id, purpose, to)),
            code_expires_at: (now + self.rules.code_ttl).min(token_expires_at),
            tries_left: CODE_TRIES,
            token_hash: secret::hash_token(link),
            token_expires_at,
        };
        tx.put_code(&code)?;
        Ok(code)
    }

    /// When a link of this purpose stops to count: with the account, and for a new password after an hour at most, but for
    /// the one that cancels a change of address, which lives for as long as the change can be confirmed.
    fn link_expires_at(&self, user: &User, purpose: Purpose, now: Timestamp) -> Timestamp {
        let own = match purpose {
            Purpose::ResetPassword | Purpose::AdminReset | Purpose::ChoosePassword => now + RESET_TTL,
            Purpose::VerifyEmail
            | Purpose::ChangeEmail
            | Purpose::CancelEmailChange
            | Purpose::AcceptInvitation => now + self.rules.unverified_after,
        };
        match (user.verification, purpose) {
            (Verification::Pending { expires_at }, Purpose::VerifyEmail | Purpose::AcceptInvitation) => {
                expires_at
            }
            (Verification::Pending { expires_at }, _) => own.min(expires_at),
            (Verification::Done { .. }, _) => own,
        }
    }

    /// Whose proof this is and what for, if it is good for one of these purposes; it is not good a second time. A wrong
    /// code is counted, so this must be committed whatever the answer is.
    pub(crate) fn redeem(
        &self,
        tx: &Tx<'_>,
        proof: &Proof,
        purposes: &[Purpose],
        now: Timestamp,
    ) -> Result<Option<Redeemed>, Error> {
        let (code, user) = match self.find(tx, proof, purposes, now)? {
            Ok(found) => found,
            Err(wrong) => {
                count_wrong_try(tx, wrong)?;
                return Ok(None);
            }
        };
        tx.delete_code(user.id, code.purpose)?;
        Ok(Some(Redeemed { user, purpose: code.purpose, email: code.email }))
    }

    /// Takes a try at a proof: whose it is, if it is good for one of these purposes. A wrong one is counted, and that is on
    /// the disk, before anybody can tell the two apart. A good one is not used up.
    ///
    /// # Errors
    /// `TooManyRequests` from this client, before a code is looked at.
    pub(crate) async fn try_proof(
        &self,
        proof: &Proof,
        purposes: &'static [Purpose],
        client: &Client,
        now: Timestamp,
    ) -> Result<Option<User>, Error> {
        self.look_for(proof, now).await?;
        let (accounts, proof, client) = (self.clone(), proof.clone(), client.clone());
        let tried = self.write_to_the_end(move |tx| {
            accounts.charge_code_and_strength_check(tx, &proof, &client, now)?;
            match accounts.find(tx, &proof, purposes, now)? {
                Ok((code, user)) => {
                    // As much as for a wrong one: where that cannot be written, the two must not be told apart.
                    tx.put_code(&code)?;
                    accounts.refund_code(tx, &proof, &client, now)?;
                    Ok(Some(user))
                }
                Err(wrong) => {
                    count_wrong_try(tx, wrong)?;
                    accounts.refund_strength_check(tx, &client, now)?;
                    Ok(None)
                }
            }
        });
        tried.await
    }

    /// Refuses a link that leads nowhere by a read alone: it is no guess, costs no budget, and is not to cost more.
    ///
    /// # Errors
    /// `VerificationFailed`.
    pub(crate) async fn look_for(&self, proof: &Proof, now: Timestamp) -> Result<(), Error> {
        let Proof::Link(link) = proof else { return Ok(()) };
        let link = link.clone();
        let found = self.store.read(move |tx| find_by_link(tx, &link, now)).await?;
        found.map(|_| ()).ok_or(Error::VerificationFailed)
    }

    /// Writes even if the request goes away that asked for it: a guess counts whether or not its answer is waited for.
    ///
    /// # Errors
    /// Those of `work`, or that the store cannot.
    pub(crate) async fn write_to_the_end<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Tx<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let store = self.store.clone();
        self.tasks.run(async move { store.write(work).await }).await
    }

    /// What was sent as this proof, and to whom, if it is good for one of these purposes; or the codes at which it is a
    /// wrong try.
    fn find(
        &self,
        tx: &Snapshot<'_>,
        proof: &Proof,
        purposes: &[Purpose],
        now: Timestamp,
    ) -> Result<Found, Error> {
        match proof {
            Proof::Link(link) => {
                let found = find_by_link(tx, link, now)?;
                Ok(found.filter(|(code, _)| purposes.contains(&code.purpose)).ok_or_else(Vec::new))
            }
            Proof::Code(email, typed) => match PlainCode::typed(typed) {
                Some(typed) => self.find_by_code(tx, email, &typed, purposes, now),
                None => Ok(Err(Vec::new())),
            },
        }
    }

    /// The right code among those that were sent to this address, or those that it is not.
    fn find_by_code(
        &self,
        tx: &Snapshot<'_>,
        email: &Email,
        typed: &PlainCode,
        purposes: &[Purpose],
        now: Timestamp,
    ) -> Result<Found, Error> {
        let mut wrong = Vec::new();
        for code in tx.codes_to(email)?.into_iter().filter(|code| purposes.contains(&code.purpose)) {
            let Some(user) = owner(tx, &code, now)?.filter(|_| code.code_expires_at > now) else { continue };
            let Some(expected) = code.code_hash else { continue };
            let given = self.secret.hash_code(typed, user.id, code.purpose, &code.email);
            if secret::same_code(expected, given) {
                return Ok(Ok((code, user)));
            }
            wrong.push(code);
        }
        Ok(Err(wrong))
    }
}

/// Takes a try off each of these codes; the last one kills it.
fn count_wrong_try(tx: &Tx<'_>, codes: Vec<Code>) -> Result<(), Error> {
    for mut code in codes {
        code.tries_left = code.tries_left.saturating_sub(1);
        if code.tries_left == 0 {
            code.code_hash = None;
        }
        tx.put_code(&code)?;
    }
    Ok(())
}

/// Counts one more under a key, for a day.
///
/// # Errors
/// `TooManyRequests` if there may be no more.
pub(crate) fn count_one(tx: &Tx<'_>, key: CountKey, now: Timestamp) -> Result<(), Error> {
    let sent = counted(tx, key, now)?;
    Ok(tx.put_sent_codes(key, sent.saturating_add(1), now, now + COUNTED_FOR)?)
}

/// How much was counted under a key.
///
/// # Errors
/// `TooManyRequests` if it is the most there may be.
fn counted(tx: &Snapshot<'_>, key: CountKey, now: Timestamp) -> Result<u8, Error> {
    match tx.sent_codes(key, now)? {
        // Counted while the clock was ahead, it is no reason to wait until then.
        Some((sent, latest)) if sent >= MOST_MESSAGES && now.distance(latest) < ONE_MORE => {
            Err(Error::too_many_requests((latest + ONE_MORE).since(now)))
        }
        Some((sent, _)) => Ok(sent),
        None => Ok(0),
    }
}

/// What was sent with a link, and to whom, if the link still counts.
pub(crate) fn find_by_link(
    tx: &Snapshot<'_>,
    link: &PlainToken,
    now: Timestamp,
) -> Result<Option<(Code, User)>, Error> {
    let found = tx.code_by_token(secret::hash_token(link))?.filter(|code| code.token_expires_at > now);
    let Some(code) = found else { return Ok(None) };
    Ok(owner(tx, &code, now)?.map(|user| (code, user)))
}

/// Whose code this is. But for a change of address it proves the address that the user has, or nothing.
fn owner(tx: &Snapshot<'_>, code: &Code, now: Timestamp) -> Result<Option<User>, Error> {
    let user = not_expired(tx.user(code.user_id)?, now);
    Ok(user.filter(|user| code.purpose == Purpose::ChangeEmail || code.email.is(&user.profile.email)))
}

/// What is counted together: an anonymous request for one purpose does not use up what a user may be sent for another.
const fn counted_as(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::VerifyEmail => "address",
        Purpose::ChangeEmail => "change",
        Purpose::AcceptInvitation => "invitation",
        _ => "password",
    }
}
