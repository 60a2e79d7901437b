//! The audit log, for admins.

use crate::{
    core::{Admin, Core, Error},
    domain::{AuditCursor, AuditEvent, AuditQuery, Page},
};

#[derive(Clone)]
pub struct Audit {
    core: Core,
}

impl Audit {
    pub(crate) fn new(core: Core) -> Self {
        Self { core }
    }

    /// One page of events, newest first.
    ///
    /// # Errors
    /// Only if the store does not answer.
    pub async fn list(&self, _by: &Admin, query: AuditQuery) -> Result<Page<AuditEvent, AuditCursor>, Error> {
        self.core.read(move |tx| Ok(tx.audit_events(&query)?)).await
    }
}
