//! Budgets for changes and exports. Each change leaves an audit event that outlives the account, so that what one account, or
//! one client with many accounts, can do again and again has an end.
//!
//! What ends something has no budget and is never refused: a session ends once, and its login was paid for.

use std::time::Duration;

use crate::accounts::{
    Accounts, Error,
    audit::AuditActor,
    rate_limits::{Budget, Rate, take_from_all},
};
use crate::{
    domain::{Timestamp, UserId},
    store::Tx,
};

/// How often an account is exported.
pub(crate) const EXPORTS: Rate = Rate { burst: 5, refill: Duration::from_mins(1) };
/// How many times as much an admin may do to all accounts together as a user to their own.
const ADMINS: u32 = 10;

/// What is done again and again. Each has a budget of its own, for an account and for a client: a stolen access token, whose
/// thief edits without end, keeps the owner neither from logging in nor from choosing another password, and neither do the edits
/// of other accounts behind the same address.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ChangeKind {
    /// Logging in, or changing the password: what takes the right one.
    WithPassword,
    /// An edit of one's own account.
    OwnEdit,
    /// What an admin does to accounts.
    ByAdmin,
}

impl Accounts {
    /// Takes a change out of the budget of the account that makes it, and out of that of its client. The command line and the
    /// clock have neither.
    ///
    /// # Errors
    /// `TooManyRequests`.
    pub(crate) fn charge_change(
        &self,
        tx: &Tx<'_>,
        deed: ChangeKind,
        by: &AuditActor,
        now: Timestamp,
    ) -> Result<(), Error> {
        let Some(actor_id) = by.actor_id().filter(|_| self.limits.enabled) else { return Ok(()) };
        let rate = self.limits.change;
        let (kind, rate) = match deed {
            ChangeKind::WithPassword => ("with password", rate),
            ChangeKind::OwnEdit => ("own edit", rate),
            ChangeKind::ByAdmin => ("by admin", rate.times(ADMINS)),
        };
        let of_client = format!("changes {kind}");
        let mut budgets = self.budgets_of(&of_client, self.limits.client_change, by.client());
        budgets.push(self.budget_of_account(kind, rate, actor_id));
        take_from_all(tx, &budgets, now)
    }

    /// Takes an export out of the budget of its account.
    ///
    /// # Errors
    /// `TooManyRequests`.
    pub(crate) async fn charge_export(&self, id: UserId, now: Timestamp) -> Result<(), Error> {
        if !self.limits.enabled {
            return Ok(());
        }
        let budget = self.budget_of_account("exports", EXPORTS, id);
        self.store.write(move |tx| take_from_all(tx, &[budget], now)).await
    }

    fn budget_of_account(&self, kind: &str, rate: Rate, id: UserId) -> Budget {
        Budget { key: self.secret.hash_limit(kind, &[&id.to_string()]), rate }
    }
}
