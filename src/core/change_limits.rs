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
    token_bucket::{Charge, TokenBucket},
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

/// For a change, to the account that makes it, and to its client. The command line and jobs are not limited.
pub fn change_charge(core: &Core, kind: ChangeKind, by: &AuditActor, now: Timestamp) -> Charge {
    Charge { buckets: change_buckets(core, kind, by), now }
}

/// Gives that charge back: nothing was changed.
pub fn refund_change(tx: &Tx<'_>, kind: ChangeKind, by: &AuditActor, now: Timestamp) {
    tx.refund(change_charge(tx.core(), kind, by, now));
}

/// Charges an export to its account.
///
/// # Errors
/// `TooManyRequests`.
pub async fn charge_export(core: &Core, id: UserId, now: Timestamp) -> Result<(), Error> {
    if !core.rate_limits.enabled {
        return Ok(());
    }
    let charge = Charge { buckets: vec![account_bucket(core, "exports", EXPORTS, id)], now };
    core.write_rate_limits(move |limits| charge.take(limits)).await
}

fn change_buckets(core: &Core, kind: ChangeKind, by: &AuditActor) -> Vec<TokenBucket> {
    let limits = &core.rate_limits;
    let Some(actor_id) = by.actor_id().filter(|_| limits.enabled) else { return Vec::new() };
    let (kind, rate) = match kind {
        ChangeKind::WithPassword => ("with password", limits.change),
        ChangeKind::OwnEdit => ("own edit", limits.change),
        ChangeKind::ByAdmin => ("by admin", limits.change.times(ADMIN_FACTOR)),
    };
    let of_client = format!("changes {kind}");
    let mut buckets = buckets_of(core, &of_client, limits.client_change, by.client());
    buckets.push(account_bucket(core, kind, rate, actor_id));
    buckets
}

fn account_bucket(core: &Core, kind: &str, rate: Rate, id: UserId) -> TokenBucket {
    TokenBucket { key: core.secret.hash_limit(kind, &[&id.to_string()]), rate }
}
