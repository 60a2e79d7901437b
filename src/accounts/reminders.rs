//! Reminders: a user whose unverified account is about to be deleted is told once, in time.

use std::time::Duration;

use crate::core::{Core, Error, FreshCode, send_reminder};

/// How long before the end.
const AHEAD: Duration = Duration::from_hours(24);
/// How many at a time.
const SLICE: u32 = 100;

#[derive(Clone)]
pub struct Reminders {
    core: Core,
}

impl Reminders {
    pub(crate) fn new(core: Core) -> Self {
        Self { core }
    }

    /// Sends one reminder, with a new code, to each user whose unverified account has a day left, or half of its time
    /// where that is shorter; answers how many.
    ///
    /// # Errors
    /// If the store does not answer; the users who were reminded by then are.
    pub async fn send(&self) -> Result<u64, Error> {
        let mut reminded = 0;
        loop {
            let slice = self.send_slice().await?;
            reminded += u64::from(slice);
            if slice < SLICE {
                return Ok(reminded);
            }
        }
    }

    async fn send_slice(&self) -> Result<u32, Error> {
        let now = self.core.now();
        let by = now + AHEAD.min(self.core.settings.unverified_after / 2);
        let due = self.core.read(move |tx| Ok(tx.users_to_remind(now, by, SLICE)?)).await?;
        let Some(count) = u32::try_from(due.len()).ok().filter(|count| *count > 0) else { return Ok(0) };
        let reminded = self.core.write(move |tx| {
            // Looked for again: a user may have verified since.
            for user in tx.users_to_remind(now, by, count)? {
                tx.set_reminded(user.id)?;
                send_reminder(tx, &user, &FreshCode::new(), now)?;
            }
            Ok(count)
        });
        reminded.await
    }
}
