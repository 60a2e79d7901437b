//! Everything that is stored about a user, for that user.

use super::{Accounts, Actor, Error};
use crate::domain::{AuditEvent, Channel, Code, Origin, OutboxEntry, Session, Timestamp, User, UserId};

/// How many events an export holds.
pub(crate) const MAX_EXPORTED_EVENTS: usize = 2_000;
/// How many messages.
const MOST_MESSAGES: usize = 200;

/// Everything that is stored about a user; of secrets no more than that they are there.
#[derive(Clone, Debug)]
pub struct Export {
    /// When it was read.
    pub exported_at: Timestamp,
    /// The account.
    pub user: User,
    /// Whether they have chosen a password; only its hash is stored.
    pub has_password: bool,
    /// Where they are logged in.
    pub sessions: Vec<Session>,
    /// Codes and links that were sent and not used; only their hashes are stored.
    pub codes: Vec<Code>,
    /// Messages that were not sent yet.
    pub messages: Vec<OutboxEntry>,
    /// What they did, and what was done to them: the latest 2,000 events.
    pub events: Vec<AuditEvent>,
}

impl Accounts {
    /// Everything that is stored about the user who asks, as `write` writes it: where passwords are hashed, since it takes
    /// some milliseconds, and so often as their budget says.
    ///
    /// Simplified: it is put together in memory, and so has an end. With more time it would be written out as it is read,
    /// with the whole of a long history.
    ///
    /// # Errors
    /// `TooManyRequests`, `Busy`; `InvalidToken` if the account went away in the meantime.
    pub async fn export<T: Send + 'static>(
        &self,
        actor: &Actor,
        write: impl FnOnce(Export) -> T + Send + 'static,
    ) -> Result<T, Error> {
        let now = self.clock.now();
        let id = actor.user().id;
        self.charge_export(id, now).await?;
        let read = self.store.read(move |tx| {
            let user = tx.user(id)?.ok_or(Error::InvalidToken)?;
            let messages = tx.messages_of(&user, MOST_MESSAGES)?;
            let export = Export {
                exported_at: now,
                has_password: tx.password(id)?.is_some(),
                sessions: tx.sessions_of(id, now)?,
                codes: tx.codes_of(id)?,
                messages: Vec::new(),
                events: tx.audit_events_of(id, MAX_EXPORTED_EVENTS)?,
                user,
            };
            Ok::<_, Error>((export, messages))
        });
        let (mut export, messages) = read.await?;
        let accounts = self.clone();
        let written = self.hasher.run(move || {
            export.messages = messages.iter().map(|message| accounts.posted(message, now)).collect();
            export.events.iter_mut().for_each(|event| keep_to_themselves(event, id));
            write(export)
        });
        written.await
    }
}

/// Where an admin sat is the admin's own.
fn keep_to_themselves(event: &mut AuditEvent, id: UserId) {
    let is_own = match event.actor_id {
        Some(actor) => actor == id,
        None => event.origin.channel != Channel::Cli,
    };
    if !is_own {
        event.origin = Origin { channel: event.origin.channel, ..Origin::default() };
    }
}
