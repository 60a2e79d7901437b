//! Rate limits on changes and exports. Each change leaves an audit event that outlives the account, so what one account, or
//! one client with many accounts, can do again and again is limited.
//!
//! What ends something is not limited: a session ends once, and its login was charged.

use super::{
    audit::AuditActor,
    client_limits::buckets_of,
    context::{Core, Tx},
    error::Error,
    rate_limits::{EXPORTS, Rate},
    token_bucket::{TokenBucket, take_from_all},
};
use crate::domain::{Timestamp, UserId};

/// How many times as much an admin may do to all accounts together as a user to their own.
const ADMIN_FACTOR: u32 = 10;

/// What is done again and again. Each has a bucket of its own, for an account and for a client: edits without end with a
/// stolen access token keep the user neither from logging in nor from choosing another password, and neither do the edits of
/// other accounts behind the same address.
#[derive(Clone, Copy, Debug)]
pub enum ChangeKind {
    /// Logging in, or changing the password: what takes the correct one.
    WithPassword,
    /// An edit of one's own account.
    OwnEdit,
    /// What an admin does to accounts.
    ByAdmin,
}

/// Charges a change to the account that makes it, and to its client. The command line and jobs are not limited.
///
/// # Errors
/// `TooManyRequests`.
pub fn charge_change(tx: &Tx<'_>, kind: ChangeKind, by: &AuditActor, now: Timestamp) -> Result<(), Error> {
    let limits = &tx.core().rate_limits;
    let Some(actor_id) = by.actor_id().filter(|_| limits.enabled) else { return Ok(()) };
    let (kind, rate) = match kind {
        ChangeKind::WithPassword => ("with password", limits.change),
        ChangeKind::OwnEdit => ("own edit", limits.change),
        ChangeKind::ByAdmin => ("by admin", limits.change.times(ADMIN_FACTOR)),
    };
    let of_client = format!("changes {kind}");
    let mut buckets = buckets_of(tx.core(), &of_client, limits.client_change, by.client());
    buckets.push(account_bucket(tx.core(), kind, rate, actor_id));
    take_from_all(tx, &buckets, now)
}

/// Charges an export to its account.
///
/// # Errors
/// `TooManyRequests`.
pub async fn charge_export(core: &Core, id: UserId, now: Timestamp) -> Result<(), Error> {
    if !core.rate_limits.enabled {
        return Ok(());
    }
    let bucket = account_bucket(core, "exports", EXPORTS, id);
    core.write(move |tx| take_from_all(tx, &[bucket], now)).await
}

fn account_bucket(core: &Core, kind: &str, rate: Rate, id: UserId) -> TokenBucket {
    TokenBucket { key: core.secret.hash_limit(kind, &[&id.to_string()]), rate }
}
