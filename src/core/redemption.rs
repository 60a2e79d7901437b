//! One-time codes and links coming back: found, counted if wrong, and redeemed once.

use super::{
    client_limits::{code_and_strength_check_charge, refund_code, refund_strength_check},
    context::{Core, Tx},
    error::Error,
    live::find_user,
    proof::Proof,
};
use crate::{
    crypto::secret::{hash_token, same_code},
    domain::{Client, Code, Email, PlainCode, PlainToken, Purpose, Timestamp, User},
    store::Snapshot,
};

/// A proof that was valid, and is not any more.
pub struct Redeemed {
    pub user: User,
    pub purpose: Purpose,
    /// The address that it proves.
    pub email: Email,
}

/// A code or link with its user, or the codes for which a proof was a wrong attempt.
type Found = Result<(Code, User), Vec<Code>>;

/// Uses a proof up, if it is valid for one of these purposes. A wrong code is counted, so this must be committed whatever the
/// answer is.
pub fn redeem(
    tx: &Tx<'_>,
    proof: &Proof,
    purposes: &[Purpose],
    now: Timestamp,
) -> Result<Option<Redeemed>, Error> {
    let (code, user) = match find(tx, proof, purposes, now)? {
        Ok(found) => found,
        Err(wrong) => {
            count_wrong_attempt(tx, wrong)?;
            return Ok(None);
        }
    };
    tx.delete_code(user.id, code.purpose)?;
    Ok(Some(Redeemed { user, purpose: code.purpose, email: code.email }))
}

/// Checks a proof without using it up: its user, if it is valid for one of these purposes. A wrong one is counted, and that
/// is on the disk before a caller can tell the two apart.
///
/// # Errors
/// `TooManyRequests` from this client, before a code is looked at; `VerificationFailed` for a link that leads nowhere.
pub async fn check_proof(
    core: &Core,
    proof: &Proof,
    purposes: &'static [Purpose],
    client: &Client,
    now: Timestamp,
) -> Result<Option<User>, Error> {
    refuse_dead_link(core, proof, now).await?;
    let (proof, client) = (proof.clone(), client.clone());
    let charge = code_and_strength_check_charge(core, &proof, &client, now);
    let checked = core.write_charged_to_the_end(charge, move |tx| {
        match find(tx, &proof, purposes, now)? {
            Ok((found, user)) => {
                // As much as for a wrong one: where that cannot be written, the two must not be told apart.
                tx.put_code(&found)?;
                refund_code(tx, &proof, &client, now);
                Ok(Some(user))
            }
            Err(wrong) => {
                count_wrong_attempt(tx, wrong)?;
                refund_strength_check(tx, &client, now);
                Ok(None)
            }
        }
    });
    checked.await
}

/// Refuses a link that leads nowhere by a read alone: it is no guess, is not charged, and is not to cost more.
///
/// # Errors
/// `VerificationFailed`.
pub async fn refuse_dead_link(core: &Core, proof: &Proof, now: Timestamp) -> Result<(), Error> {
    let Proof::Link(link) = proof else { return Ok(()) };
    let link = link.clone();
    let found = core.read(move |tx| find_by_link(tx, &link, now)).await?;
    found.map(|_| ()).ok_or(Error::VerificationFailed)
}

/// What was sent with a link, and to whom, if the link is still valid.
pub fn find_by_link(
    tx: &Snapshot<'_>,
    link: &PlainToken,
    now: Timestamp,
) -> Result<Option<(Code, User)>, Error> {
    let found = tx.code_by_token(hash_token(link))?.filter(|code| code.token_expires_at > now);
    let Some(code) = found else { return Ok(None) };
    Ok(user_of(tx, &code, now)?.map(|user| (code, user)))
}

fn find(tx: &Tx<'_>, proof: &Proof, purposes: &[Purpose], now: Timestamp) -> Result<Found, Error> {
    match proof {
        Proof::Link(link) => {
            let found = find_by_link(tx, link, now)?;
            Ok(found.filter(|(code, _)| purposes.contains(&code.purpose)).ok_or_else(Vec::new))
        }
        Proof::Code(email, typed) => match PlainCode::typed(typed) {
            Some(typed) => find_by_code(tx, email, &typed, purposes, now),
            None => Ok(Err(Vec::new())),
        },
    }
}

/// The correct code among those that were sent to this address, or those that it is not.
fn find_by_code(
    tx: &Tx<'_>,
    email: &Email,
    typed: &PlainCode,
    purposes: &[Purpose],
    now: Timestamp,
) -> Result<Found, Error> {
    let mut wrong = Vec::new();
    for code in tx.codes_to(email)?.into_iter().filter(|code| purposes.contains(&code.purpose)) {
        let Some(user) = user_of(tx, &code, now)?.filter(|_| code.code_expires_at > now) else { continue };
        let Some(expected) = code.code_hash else { continue };
        let given = tx.secret().hash_code(typed, user.id, code.purpose, &code.email);
        if same_code(expected, given) {
            return Ok(Ok((code, user)));
        }
        wrong.push(code);
    }
    Ok(Err(wrong))
}

/// Takes an attempt off each of these codes; the last one kills it.
fn count_wrong_attempt(tx: &Tx<'_>, codes: Vec<Code>) -> Result<(), Error> {
    for mut code in codes {
        code.tries_left = code.tries_left.saturating_sub(1);
        if code.tries_left == 0 {
            code.code_hash = None;
        }
        tx.put_code(&code)?;
    }
    Ok(())
}

/// The user of a code. But for a change of address it proves the address that the user has, or nothing.
fn user_of(tx: &Snapshot<'_>, code: &Code, now: Timestamp) -> Result<Option<User>, Error> {
    let user = find_user(tx, code.user_id, now)?;
    Ok(user.filter(|user| code.purpose == Purpose::ChangeEmail || code.email.is(&user.profile.email)))
}
