//! What one client may do without being signed in: guess at codes, cause messages, have passwords checked.
//!
//! A client is an IPv4 address or an IPv6 /64; all /64s of a /48 together have a bucket of twice the size.

use super::{
    context::{Core, Tx},
    error::Error,
    proof::Proof,
    rate_limits::Rate,
    token_bucket::{Charge, TokenBucket, levels, longest_wait},
};
use crate::domain::{Client, PlainCode, Timestamp, network, site};

/// For a guess at a code. A link is none: 256 bits cannot be guessed.
pub fn code_charge(core: &Core, proof: &Proof, client: &Client, now: Timestamp) -> Charge {
    Charge { buckets: code_buckets(core, proof, client), now }
}

/// Gives that charge back: the code was correct.
pub fn refund_code(tx: &Tx<'_>, proof: &Proof, client: &Client, now: Timestamp) {
    tx.refund(code_charge(tx.core(), proof, client, now));
}

/// For a guess at a code, and the strength check of a password that follows if the code is correct.
pub fn code_and_strength_check_charge(core: &Core, proof: &Proof, client: &Client, now: Timestamp) -> Charge {
    let mut buckets = code_buckets(core, proof, client);
    buckets.extend(strength_check_buckets(core, client));
    Charge { buckets, now }
}

/// Gives the charge of the strength check back: the code was wrong, and no password was checked.
pub fn refund_strength_check(tx: &Tx<'_>, client: &Client, now: Timestamp) {
    tx.refund(Charge { buckets: strength_check_buckets(tx.core(), client), now });
}

/// Charges the strength check of a password to a client whose sign-up sends a message if it is good enough.
///
/// # Errors
/// `TooManyRequests`, also if the client can cause no message now.
pub async fn charge_strength_check(core: &Core, client: &Client, now: Timestamp) -> Result<(), Error> {
    let checks = Charge { buckets: strength_check_buckets(core, client), now };
    let messages = message_buckets(core, client);
    if checks.buckets.is_empty() {
        return Ok(());
    }
    let charged = core.write_rate_limits(move |limits| {
        let all = levels(limits, checks.buckets.iter().chain(&messages).copied(), now)?;
        if let Some(wait) = longest_wait(&all, now) {
            return Err(Error::too_many_requests(wait));
        }
        checks.take(limits)
    });
    charged.await
}

/// For a message that a client causes without being signed in.
pub fn message_charge(core: &Core, client: &Client, now: Timestamp) -> Charge {
    Charge { buckets: message_buckets(core, client), now }
}

/// The buckets of a client, and of its site; none where rate limits are off, or for what came over no network.
pub fn buckets_of(core: &Core, kind: &str, rate: Rate, client: &Client) -> Vec<TokenBucket> {
    let Some(ip) = client.ip.filter(|_| core.rate_limits.enabled) else { return Vec::new() };
    let bucket = |from: String, rate| TokenBucket { key: core.secret.hash_limit(kind, &[&from]), rate };
    let own = bucket(network(ip).to_string(), rate);
    let site = site(ip).map(|site| bucket(format!("{site}/48"), rate.times(2)));
    [Some(own), site].into_iter().flatten().collect()
}

/// Only six digits can be guessed.
fn code_buckets(core: &Core, proof: &Proof, client: &Client) -> Vec<TokenBucket> {
    match proof {
        Proof::Code(_, typed) if PlainCode::typed(typed).is_some() => {
            buckets_of(core, "codes", core.rate_limits.client, client)
        }
        Proof::Code(..) | Proof::Link(_) => Vec::new(),
    }
}

fn strength_check_buckets(core: &Core, client: &Client) -> Vec<TokenBucket> {
    buckets_of(core, "judged", core.rate_limits.strength_check, client)
}

fn message_buckets(core: &Core, client: &Client) -> Vec<TokenBucket> {
    buckets_of(core, "messages", core.rate_limits.mail, client)
}
