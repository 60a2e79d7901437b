//! Reminders: who is about to be deleted for not having verified hears of it once, in time.

use std::time::Duration;

use super::{Accounts, Error, codes::FreshCode};

/// How long before the end.
const AHEAD: Duration = Duration::from_hours(24);
/// How many at a time.
const SLICE: u32 = 100;

impl Accounts {
    /// Sends one reminder, with a fresh code, to everybody whose unverified account has a day left, or half of its time
    /// where that is shorter; answers how many.
    ///
    /// # Errors
    /// If the store does not answer; who was reminded by then is.
    pub async fn remind(&self) -> Result<u64, Error> {
        let mut reminded = 0;
        loop {
            let slice = self.remind_slice().await?;
            reminded += u64::from(slice);
            if slice > 0 {
                self.posted.notify_one();
            }
            if slice < SLICE {
                return Ok(reminded);
            }
        }
    }

    async fn remind_slice(&self) -> Result<u32, Error> {
        let now = self.clock.now();
        let by = now + AHEAD.min(self.rules.unverified_after / 2);
        let due = self.store.read(move |tx| Ok::<_, Error>(tx.users_to_remind(now, by, SLICE)?)).await?;
        let Some(count) = u32::try_from(due.len()).ok().filter(|count| *count > 0) else { return Ok(0) };
        let accounts = self.clone();
        let reminded = self.store.write(move |tx| {
            // Looked for again: somebody may have verified since.
            for user in tx.users_to_remind(now, by, count)? {
                tx.set_reminded(user.id)?;
                accounts.remind_to_verify(tx, &user, &FreshCode::new(), now)?;
            }
            Ok::<_, Error>(count)
        });
        reminded.await
    }
}
