//! Everything that is stored about a user, for that user.

use crate::{
    core::{
        Actor, Core, Error, charge_export, find_user, outbox,
        settings::{MAX_EXPORTED_EVENTS, MAX_EXPORTED_MESSAGES},
    },
    crypto::Hasher,
    domain::{AuditEvent, Channel, Code, Origin, OutboxEntry, Session, Timestamp, User, UserId},
};

#[derive(Clone)]
pub struct Exports {
    core: Core,
    hasher: Hasher,
}

/// Everything that is stored about a user; of secrets no more than that they exist.
#[derive(Clone, Debug)]
pub struct Export {
    pub exported_at: Timestamp,
    pub user: User,
    /// Whether they have chosen a password; only its hash is stored.
    pub has_password: bool,
    pub sessions: Vec<Session>,
    /// Codes and links that were sent and not used; only their hashes are stored.
    pub codes: Vec<Code>,
    /// Messages that were not sent yet.
    pub messages: Vec<OutboxEntry>,
    /// What they did, and what was done to them: the latest events.
    pub events: Vec<AuditEvent>,
}

impl Exports {
    pub(crate) fn new(core: Core, hasher: Hasher) -> Self {
        Self { core, hasher }
    }

    /// Exports the user's own data, as `write` writes it: where passwords are hashed, since it takes some milliseconds.
    ///
    /// Simplified: it is put together in memory, and therefore limited. With more time it would be written out as it is read,
    /// with the whole of a long history.
    ///
    /// # Errors
    /// `TooManyRequests`, `Busy`; `InvalidToken` if the account was deleted in the meantime.
    pub async fn create<T: Send + 'static>(
        &self,
        actor: &Actor,
        write: impl FnOnce(Export) -> T + Send + 'static,
    ) -> Result<T, Error> {
        let now = self.core.now();
        let id = actor.user().id;
        charge_export(&self.core, id, now).await?;
        let read = self.core.read(move |tx| {
            let user = find_user(tx, id, now)?.ok_or(Error::InvalidToken)?;
            let messages = tx.messages_of(&user, MAX_EXPORTED_MESSAGES)?;
            let export = Export {
                exported_at: now,
                has_password: tx.password(id)?.is_some(),
                sessions: tx.sessions_of(id, now)?,
                codes: tx.codes_of(id)?,
                messages: Vec::new(),
                events: tx.audit_events_of(id, MAX_EXPORTED_EVENTS)?,
                user,
            };
            Ok((export, messages))
        });
        let (mut export, messages) = read.await?;
        let core = self.core.clone();
        let written = self.hasher.run(move || {
            export.messages =
                messages.iter().map(|message| outbox::entry(&core.secret, message, now)).collect();
            export.events.iter_mut().for_each(|event| omit_origin_of_others(event, id));
            write(export)
        });
        Ok(written.await?)
    }
}

/// The origin of an admin's action is the admin's own data.
fn omit_origin_of_others(event: &mut AuditEvent, id: UserId) {
    let is_own = match event.actor_id {
        Some(actor) => actor == id,
        None => event.origin.channel != Channel::Cli,
    };
    if !is_own {
        event.origin = Origin { channel: event.origin.channel, ..Origin::default() };
    }
}
