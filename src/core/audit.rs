//! The audit: every change of an account is recorded in the commit that makes it.

use uuid::Uuid;

use super::error::Error;
use crate::{
    domain::{Action, AuditEvent, Client, FieldChange, Origin, Timestamp, User, UserId},
    store::Tx,
};

/// Who does something, and from where.
#[derive(Clone, Debug)]
pub struct AuditActor {
    actor_id: Option<UserId>,
    origin: Origin,
}

impl AuditActor {
    /// A user who is signed in.
    pub const fn user(id: UserId, origin: Origin) -> Self {
        Self { actor_id: Some(id), origin }
    }

    /// A client that is not signed in; also the command line and jobs.
    pub const fn anonymous(origin: Origin) -> Self {
        Self { actor_id: None, origin }
    }

    pub const fn actor_id(&self) -> Option<UserId> {
        self.actor_id
    }

    pub const fn client(&self) -> &Client {
        &self.origin.client
    }

    pub fn record(&self, tx: &Tx<'_>, action: Action, user_id: UserId, at: Timestamp) -> Result<(), Error> {
        self.record_with(tx, action, user_id, at, Vec::new())
    }

    /// Records which fields an edit changed.
    pub fn record_edit(&self, tx: &Tx<'_>, old: &User, new: &User) -> Result<(), Error> {
        self.record_with(tx, Action::UserEdited, new.id, new.updated_at, changes(old, new))
    }

    fn record_with(
        &self,
        tx: &Tx<'_>,
        action: Action,
        user_id: UserId,
        at: Timestamp,
        changes: Vec<FieldChange>,
    ) -> Result<(), Error> {
        let (actor_id, origin) = (self.actor_id, self.origin.clone());
        let event = AuditEvent { id: Uuid::now_v7(), at, action, actor_id, user_id, origin, changes };
        Ok(tx.insert_audit_event(&event)?)
    }
}

/// The command line, and the user of the operating system who runs it.
#[must_use]
pub fn cli() -> Origin {
    Origin::cli(rustix::process::getuid().as_raw())
}

/// The fields that differ. Names and addresses are not repeated here: an event outlives the account.
fn changes(old: &User, new: &User) -> Vec<FieldChange> {
    let told = [
        ("email", old.profile.email != new.profile.email),
        ("first_name", old.profile.first_name != new.profile.first_name),
        ("last_name", old.profile.last_name != new.profile.last_name),
    ];
    let told = told.into_iter().filter(|(_, differs)| *differs);
    let told = told.map(|(field, _)| FieldChange { field: field.to_owned(), from: None, to: None });
    let ruled = [
        ("role", old.role.into_str(), new.role.into_str()),
        ("status", old.status().into_str(), new.status().into_str()),
        ("disabled", truth(old.disabled), truth(new.disabled)),
    ];
    let ruled = ruled.into_iter().filter(|(_, from, to)| from != to);
    let ruled = ruled.map(|(field, from, to)| FieldChange {
        field: field.to_owned(),
        from: Some(from.to_owned()),
        to: Some(to.to_owned()),
    });
    told.chain(ruled).collect()
}

const fn truth(value: bool) -> &'static str {
    if value { "true" } else { "false" }
}
