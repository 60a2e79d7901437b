//! Everything that is stored about a user, for that user.

use super::{Accounts, Actor, Error};
use crate::model::{AuditEvent, Code, Door, Origin, Posted, Session, Timestamp, User};

/// How many events an export holds.
const MOST_EVENTS: u32 = 2_000;

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
    pub messages: Vec<Posted>,
    /// What they did, and what was done to them: the latest 2,000 events.
    pub events: Vec<AuditEvent>,
}

impl Accounts {
    /// Everything that is stored about whoever asks.
    ///
    /// Simplified: it is put together in memory, and so has an end. With more time it would be written out as it is read,
    /// with the whole of a long history.
    ///
    /// # Errors
    /// `InvalidToken` if the account went away in the meantime.
    pub async fn export(&self, actor: &Actor) -> Result<Export, Error> {
        let now = self.clock.now();
        let (accounts, id) = (self.clone(), actor.user().id);
        let read = self.store.read(move |tx| {
            let user = tx.user(id)?.ok_or(Error::InvalidToken)?;
            let messages = tx.messages_of(&user)?;
            let mut events = tx.audit_events_of(id, MOST_EVENTS)?;
            let own = |event: &AuditEvent| match event.actor_id {
                Some(actor) => actor == id,
                None => event.origin.door != Door::Console,
            };
            for event in events.iter_mut().filter(|event| !own(event)) {
                // Where an admin sat is the admin's own.
                event.origin = Origin { door: event.origin.door, ..Origin::default() };
            }
            Ok::<_, Error>(Export {
                exported_at: now,
                has_password: tx.password(id)?.is_some(),
                sessions: tx.sessions_of(id, now)?,
                codes: tx.codes_of(id)?,
                messages: messages.iter().map(|message| accounts.posted(message, now)).collect(),
                events,
                user,
            })
        });
        read.await
    }
}
