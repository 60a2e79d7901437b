//! The audit: every change of an account leaves one event, in the commit that makes the change.

use uuid::Uuid;

use crate::accounts::{Accounts, Admin, Error};
use crate::{
    domain::{
        Action, AuditCursor, AuditEvent, AuditQuery, Client, FieldChange, Origin, Page, Timestamp, User,
        UserId,
    },
    store::Tx,
};

/// Who does something, and from where.
#[derive(Clone, Debug)]
pub(crate) struct AuditActor {
    actor_id: Option<UserId>,
    origin: Origin,
}

impl AuditActor {
    /// Somebody who is signed in.
    pub(crate) const fn user(id: UserId, origin: Origin) -> Self {
        Self { actor_id: Some(id), origin }
    }

    /// Somebody who is not signed in, as which the console and the timers count.
    pub(crate) const fn anonymous(origin: Origin) -> Self {
        Self { actor_id: None, origin }
    }

    /// Who is signed in.
    pub(crate) const fn actor_id(&self) -> Option<UserId> {
        self.actor_id
    }

    /// The program and the address that it was done from.
    pub(crate) const fn client(&self) -> &Client {
        &self.origin.client
    }

    /// Writes down what was done to an account.
    pub(crate) fn record(
        &self,
        tx: &Tx<'_>,
        action: Action,
        user_id: UserId,
        at: Timestamp,
    ) -> Result<(), Error> {
        self.record_with(tx, action, user_id, at, Vec::new())
    }

    /// Writes down which fields an edit changed.
    pub(crate) fn record_edit(&self, tx: &Tx<'_>, old: &User, new: &User) -> Result<(), Error> {
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

/// The command line, run by whoever runs this process.
#[must_use]
pub fn console() -> Origin {
    Origin::cli(rustix::process::getuid().as_raw())
}

impl Accounts {
    /// One page of events, newest first.
    ///
    /// # Errors
    /// Only if the store does not answer.
    pub async fn audit(
        &self,
        _by: &Admin,
        query: AuditQuery,
    ) -> Result<Page<AuditEvent, AuditCursor>, Error> {
        self.store.read(move |tx| Ok::<_, Error>(tx.audit_events(&query)?)).await
    }
}

/// The fields that differ. Names and addresses are not repeated here: an event outlives whom it is about.
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
